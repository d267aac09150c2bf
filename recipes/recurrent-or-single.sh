#!/usr/bin/env bash
# The same training twice from an untrained adapter: on memory that grows (ccm-concat), on single contexts
# (gist-online).
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
for method in ccm-concat gist-online; do
    train "$out/$method" $(dialogues "$data") --method $method --ratios 8 --planted 0 --lr 5e-3 --steps 60 --seed 56 \
        --lengths 288 448 640 --tokens 2048
done
