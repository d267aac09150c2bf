#!/usr/bin/env bash
# CCM-concat without recurrence, from the bundled adapter.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
train "$out" $(dialogues "$data") --method ccm-concat-apart --init "$memory" --ratios 8 --lr 1e-3 --steps 24 --seed 53 \
    --lengths 288 448 640 --tokens 2816 --planted 0.2 --labels 0.3
