#!/usr/bin/env bash
# LoMA's one-pass form at 4:1, from the adapter of loma-retell.sh: problems, novels and dialogues; then segments of 200 tokens.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2 retell=$3
files=("$data"/gsm8k.jsonl.gz "$data"/text_novels.jsonl.gz "$data"/dialog_sgd.jsonl.gz)
train "$out"/first "${files[@]}" --method loma --init "$retell" --planted 0 --ratios 2 4 4 4 --lengths 240 --tokens 960 \
    --lr 2e-3 --steps 110 --seed 58
train "$out" "${files[0]}" "${files[@]}" --method loma --init "$out"/first/adapter --zone 200 --text 200 --ratios 2 4 4 4 \
    --lengths 400 --tokens 960 --lr 1.5e-3 --steps 75 --seed 83
