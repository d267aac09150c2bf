#!/usr/bin/env bash
# LoCoCo's convolutions for running text and 128 slots; everything else is frozen.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
train "$out" "$data/text_novels.jsonl.gz" --method lococo --slots 128 --planted 0 --lr 1e-3 --steps 20 --seed 59 \
    --lengths 640 768 --tokens 2816
