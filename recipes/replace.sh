#!/usr/bin/env bash
# Replace with readout alignment, from the bundled adapter, in two stages.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
stage() {
    local to=$1
    shift
    train "$to" $(dialogues "$data") --method replace --lr 1e-3 --lengths 288 448 --tokens 1408 --planted 0.2 "$@"
}
stage "$out"/first --init "$memory" --steps 45 --seed 54
stage "$out" --init "$out"/first/adapter --steps 36 --seed 62
