#!/usr/bin/env bash
# LoMA at 4:1 on texts and problems: dialogues, novels and GSM8K's training part.
set -euo pipefail
data=$1 out=$2
torchrun --standalone --nproc_per_node 2 -m loma_memory.cli train memory \
    "$data"/gsm8k.jsonl.gz "$data"/text_novels.jsonl.gz "$data"/dialog_sgd.jsonl.gz \
    --method loma --ratios 4 --planted 0 --lengths 400 --tokens 1200 \
    --lr 1e-3 --steps 300 --seed 5 --threads 1 --save-every 50 --out "$out"
