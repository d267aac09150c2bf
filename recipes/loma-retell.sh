#!/usr/bin/env bash
# LoMA with restating one token after another, on problems, novels and dialogues: 1:1, 2:1 and 4:1 together, then
# 4:1 alone. 28 minutes on two cores beside other work.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
stage() {
    local to=$1
    shift
    train "$to" "$data"/gsm8k.jsonl.gz "$data"/text_novels.jsonl.gz "$data"/dialog_sgd.jsonl.gz --method loma-retell \
        --planted 0 --lengths 240 --tokens 960 "$@"
}
stage "$out"/first --ratios 1 2 4 4 --lr 2e-3 --steps 220 --seed 5
stage "$out" --ratios 4 --lr 1.5e-3 --steps 150 --seed 6 --init "$out"/first/adapter
