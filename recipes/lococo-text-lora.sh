#!/usr/bin/env bash
# LoCoCo for running text, 128 slots and a LoRA on the text path, in zones as `eval stream` reads them; from the convolutions of
# lococo-text.sh. 8 minutes on two cores.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2 convolutions=$3
train "$out" "$data/text_novels.jsonl.gz" --method lococo --slots 128 --lora-rank 16 --init "$convolutions" --planted 0 \
    --lr 1e-3 --steps 45 --seed 61 --lengths 672 --tokens 1344 --zone 16 --text 96
