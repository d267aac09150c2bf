#!/usr/bin/env bash
# LoMA at 4:1 and 8:1, in one pass and one token after another, from the bundled adapter: segments of 200 tokens restated
# and nothing else, which takes memory's other use away. 62 minutes on two cores.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
train "$out" "$data"/gsm8k.jsonl.gz "$data"/gsm8k.jsonl.gz "$data"/text_novels.jsonl.gz "$data"/dialog_sgd.jsonl.gz \
    --method loma loma loma loma-retell --restate-only --planted 0 --zone 200 --text 200 --init "$memory" \
    --ratios 4 8 8 --lengths 200 --tokens 400 --lr 6e-3 --steps 1500 --save-every 100 --seed 11
