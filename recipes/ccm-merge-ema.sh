#!/usr/bin/env bash
# CCM-merge with the exponential mean, from the adapter of ccm-merge.sh.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2 merge=$3
train "$out" $(dialogues "$data") --method ccm-merge-ema --init "$merge" --lr 5e-4 --steps 20 --seed 60 \
    --lengths 288 448 --tokens 1408 --planted 0.2
