# What the recipes share. `train OUT FILES... -- OPTIONS` trains one adapter on two processes of one thread each.
text=$(python -c "from loma_memory.adapter.bundled import text_adapter; print(text_adapter())")
memory=$(python -c "from loma_memory.adapter.bundled import memory_adapter; print(memory_adapter())")

# Conversations of four kinds, in the folder DATA.
dialogues() {
    local name
    for name in sgd spc byu_chitchat topicalchat; do echo "$1/dialog_$name.jsonl.gz"; done
}

train() {
    local out=$1
    shift
    ACCELERATE_USE_CPU=true OMP_NUM_THREADS=1 torchrun --standalone --nproc_per_node 2 -m loma_memory.cli train memory \
        --text-adapter "$text" --threads 1 --out "$out" "$@"
}
