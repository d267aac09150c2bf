#!/usr/bin/env bash
# An adapter of ccm-concat for running text, from the bundled one: 8:1 and 4:1, then mostly 4:1.
set -euo pipefail
source "$(dirname "$0")/common.sh"
data=$1 out=$2
stage() {
    local to=$1
    shift
    train "$to" "$data/text_novels.jsonl.gz" --method ccm-concat --planted 0 --lr 1e-3 --lengths 512 768 --tokens 2816 "$@"
}
stage "$out"/first --init "$memory" --ratios 8 8 4 --steps 60 --seed 57
stage "$out" --init "$out"/first/adapter --ratios 4 4 8 --steps 36 --seed 61
