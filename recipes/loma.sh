#!/usr/bin/env bash
# LoMA's one-pass form at 4:1 and 8:1, from the adapter of loma-retell.sh: problems, novels and dialogues; then segments of
# 200 tokens; then restating alone; then both terms of the loss on messages. 75 minutes on two cores.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2 retell=$3
files=("$data"/gsm8k.jsonl.gz "$data"/text_novels.jsonl.gz "$data"/dialog_sgd.jsonl.gz)
zones=(--method loma --planted 0 --zone 200 --text 200)
train "$out"/first "${files[@]}" --method loma --init "$retell" --planted 0 --ratios 2 4 4 4 --lengths 240 --tokens 960 \
    --lr 2e-3 --steps 110 --seed 58
train "$out"/second "${files[0]}" "${files[@]}" "${zones[@]}" --init "$out"/first/adapter --ratios 2 4 4 4 \
    --lengths 400 --tokens 960 --lr 1.5e-3 --steps 150 --seed 83
train "$out"/third "${files[0]}" "${files[@]}" "${zones[@]}" --init "$out"/second/adapter --ratios 4 4 4 8 \
    --lengths 200 --tokens 800 --restate-only --lr 1.5e-3 --steps 600 --seed 101
train "$out" "${files[0]}" "${files[@]}" "$data"/dialog_spc.jsonl.gz --method loma --planted 0 --labels 0.3 \
    --init "$out"/third/adapter --ratios 4 4 4 8 --lengths 400 --tokens 800 --lr 1.2e-3 --steps 260 --seed 211
