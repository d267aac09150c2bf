#!/usr/bin/env bash
# LoMA's one-pass form at 4:1, from the adapter of loma-retell.sh: problems, novels and dialogues.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2 retell=$3
train "$out" "$data"/gsm8k.jsonl.gz "$data"/text_novels.jsonl.gz "$data"/dialog_sgd.jsonl.gz --method loma \
    --init "$retell" --planted 0 --ratios 2 4 4 4 --lengths 240 --tokens 960 --lr 2e-3 --steps 110 --seed 58
