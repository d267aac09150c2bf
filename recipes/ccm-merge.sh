#!/usr/bin/env bash
# CCM-merge, from the bundled adapter.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
train "$out" $(dialogues "$data") --method ccm-merge --init "$memory" --lr 1e-3 --steps 45 --seed 51 \
    --lengths 288 448 --tokens 1408 --planted 0.2
