#!/usr/bin/env bash
# An adapter of ccm-concat for running text in zones of 16 tokens, from the bundled one.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
train "$out" "$data/text_novels.jsonl.gz" --method ccm-concat --init "$memory" --ratios 8 8 4 --zone 16 --text 112 \
    --labels 0.5 --lr 1e-3 --steps 90 --seed 57 --lengths 560 784 --tokens 2352
