#!/usr/bin/env bash
# Replace with readout alignment, from the bundled adapter, in three stages; the last with the true next words beside the teacher.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
stage() {
    local to=$1
    shift
    train "$to" $(dialogues "$data") --method replace --lr 1e-3 --lengths 288 448 --tokens 1408 --planted 0.2 "$@"
}
stage "$out"/first --init "$memory" --steps 45 --seed 54
stage "$out"/second --init "$out"/first/adapter --steps 36 --seed 62
stage "$out" --init "$out"/second/adapter --steps 60 --seed 73 --lr 8e-4 --labels 0.35
