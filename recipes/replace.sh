#!/usr/bin/env bash
# Replace with readout alignment, from the bundled adapter.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
train "$out" $(dialogues "$data") --method replace --init "$memory" --lr 1e-3 --steps 36 --seed 54 \
    --lengths 288 448 640 --tokens 2816 --planted 0.2
