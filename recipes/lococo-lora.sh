#!/usr/bin/env bash
# LoCoCo's convolutions for 32 slots, and a LoRA on the text path with them.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
train "$out" $(dialogues "$data") --method lococo --lora-rank 16 --lr 1e-3 --steps 30 --seed 55 \
    --lengths 288 448 640 --tokens 2816 --planted 0.2
