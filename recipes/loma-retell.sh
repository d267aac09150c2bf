#!/usr/bin/env bash
# LoMA with restating one token after another, at 1:1, 2:1 and 4:1 together, on problems, novels and dialogues.
set -euo pipefail
data=$1 out=$2
text=$(python -c "from loma_memory.adapter.bundled import text_adapter; print(text_adapter())")
torchrun --standalone --nproc_per_node 2 -m loma_memory.cli train memory \
    "$data"/gsm8k.jsonl.gz "$data"/text_novels.jsonl.gz "$data"/dialog_sgd.jsonl.gz \
    --text-adapter "$text" --method loma-retell --ratios 1 2 4 4 --planted 0 --lengths 240 --tokens 960 \
    --lr 2e-3 --steps 220 --seed 5 --threads 1 --save-every 20 --out "$out"
