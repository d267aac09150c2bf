#!/usr/bin/env bash
# An adapter of ccm-concat for running text, from the bundled one.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
train "$out" "$data/text_novels.jsonl.gz" --method ccm-concat --init "$memory" --ratios 8 8 4 --planted 0 --lr 1e-3 \
    --steps 60 --seed 57 --lengths 512 768 --tokens 2816
