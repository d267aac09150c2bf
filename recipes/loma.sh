#!/usr/bin/env bash
# LoMA at 4:1 and 8:1, in one pass and one token after another, from the bundled adapter: both terms of the loss, on messages.
# 45 minutes on two cores.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
train "$out" "$data"/gsm8k.jsonl.gz "$data"/gsm8k.jsonl.gz "$data"/text_novels.jsonl.gz "$data"/dialog_sgd.jsonl.gz \
    "$data"/dialog_spc.jsonl.gz --method loma loma loma loma-retell --planted 0 --labels 0.3 --init "$memory" \
    --ratios 4 8 --lengths 400 --tokens 800 --lr 4e-3 --steps 370 --seed 31
