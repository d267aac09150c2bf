#!/usr/bin/env bash
# CCM-merge without recurrence, from the bundled adapter.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
train "$out" $(dialogues "$data") --method ccm-merge-apart --init "$memory" --lr 1e-3 --steps 30 --seed 52 \
    --lengths 288 448 --tokens 1408 --planted 0.2
