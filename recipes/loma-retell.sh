#!/usr/bin/env bash
# LoMA with restating one token after another, on problems, novels and dialogues: 1:1, 2:1 and 4:1 together, then
# 4:1 alone. 28 minutes on two cores beside other work.
set -euo pipefail
data=$1 out=$2
text=$(python -c "from loma_memory.adapter.bundled import text_adapter; print(text_adapter())")
stage() {
    torchrun --standalone --nproc_per_node 2 -m loma_memory.cli train memory \
        "$data"/gsm8k.jsonl.gz "$data"/text_novels.jsonl.gz "$data"/dialog_sgd.jsonl.gz \
        --text-adapter "$text" --method loma-retell --planted 0 --lengths 240 --tokens 960 --threads 1 "$@"
}
stage --ratios 1 2 4 4 --lr 2e-3 --steps 220 --seed 5 --out "$out"/first
stage --ratios 4 --lr 1.5e-3 --steps 150 --seed 6 --init "$out"/first/adapter --out "$out"
