"""The two trainings, whole: the text adapter (CCM's step 1) and the memory adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from loma_memory.adapter import AdapterSettings, MemoryAdapter
from loma_memory.adapter.adapter import CONFIG_FILE, forget_paths
from loma_memory.adapter.adapter import NAME as LORA
from loma_memory.adapter.gated import install_gate
from loma_memory.data import Dialogue, read_dialogues
from loma_memory.engine.models import LoadedModel
from loma_memory.errors import UsageError
from loma_memory.methods import METHODS, Method, method
from loma_memory.methods.lococo import Fusion, LoCoCo
from loma_memory.training.batches import Batches, Mixture
from loma_memory.training.encode import Encoded, Weights, fit
from loma_memory.training.fusion import FusionObjective
from loma_memory.training.loop import LoopSettings, train
from loma_memory.training.objectives import MemoryObjective, TextObjective
from loma_memory.training.prompts import kept_answers, own_answers, own_prompts
from loma_memory.training.restating import RestatingObjective

Report = Callable[[str], None]


REPEAT_ROWS = 8
"""Rows of the table for tokens that restate: as many as a slot has tokens at 8:1."""


@dataclass(frozen=True)
class MemoryRun:
    """Settings of a memory adapter's training.

    Attributes:
        methods: what to train for; one is drawn a step. Several must read the same adapter.
        ratios: tokens of text per slot; one is drawn a step, so a ratio named twice counts twice.
        rank: rank of the low-rank update; its scale is 1.
        loop: steps, learning rate, seed.
        mixture: rows of a batch.
        positions: targets sampled a step.
        answer_weight: weight of planted answers' words; they are few beside all others.
        labels: share of the true next token in what a conversation's words are to be predicted as.
        own: the answers that `train_text` made, to plant facts in, and to mix in as `mixture.own` says.
        restate_only: learn to restate the first turn of every row, and nothing else.
        per_file: dialogues taken from each file.
        slots: of LoCoCo's cache.
        lora_rank: rank of a LoRA on the text path, trained along with LoCoCo's convolutions; 0 for none.
        init: an adapter to go on from, of this method or another (its rank counts), instead of an untrained
            one.
    """

    loop: LoopSettings
    mixture: Mixture
    methods: tuple[str, ...] = ("ccm-concat",)
    ratios: tuple[float, ...] = (8.0, 8.0, 8.0, 4.0, 6.0, 12.0, 16.0, 16.0)
    rank: int = 32
    positions: int = 1024
    answer_weight: float = 8.0
    labels: float = 0.0
    own: Path | None = None
    restate_only: bool = False
    per_file: int = 6000
    slots: int = 32
    lora_rank: int = 0
    init: Path | None = None


@dataclass(frozen=True)
class TextRun:
    """Settings of a text adapter's training.

    Attributes:
        rank: rank of the low-rank update; its scale is 2.
        loop: steps, learning rate, seed.
        mixture: rows of a batch.
        dialogue_weight: weight of the dialogues' words, of both sides, beside that of the model's own
            answers, 1: enough to keep next-token loss from rising, too little to change the manner.
        answer_weight: weight of planted answers' words; they are few beside all others.
        per_file: dialogues taken from each file.
        init: an adapter to go on from (its rank counts), instead of an untrained one.
    """

    loop: LoopSettings
    mixture: Mixture
    rank: int = 16
    dialogue_weight: float = 0.15
    answer_weight: float = 6.0
    per_file: int = 4000
    init: Path | None = None


def train_memory(
    loaded: LoadedModel, files: Sequence[str | Path], run: MemoryRun, folder: Path, report: Report = print
) -> list[dict[str, Any]]:
    """Train a memory adapter; `folder/adapter` holds it after every checkpoint.

    Raises:
        DataError: a file breaks the format.
        UsageError: the method needs no adapter, a ratio is below 1, or a setting is another method's.
    """
    kind = _check(run)
    methods = [method(name, ratio=r) for name in run.methods for r in run.ratios]
    groups = _groups(files, run.per_file)
    torch.manual_seed(run.loop.seed)
    if kind.needs_weights:
        return _train_fusion(loaded, groups, run, folder, report)
    wanted = kind.adapter_of or kind.name
    repeat_rows = REPEAT_ROWS if kind.restates is not None else 0
    if run.init is None:
        settings = AdapterSettings(method=wanted, rank=run.rank, alpha=run.rank, repeat_rows=repeat_rows)
        adapter = MemoryAdapter.create(loaded.model, settings)
    else:
        adapter = MemoryAdapter.load(loaded.model, run.init, trainable=True)
        if adapter.settings.method != wanted:
            report(f"begins with what was learned for {adapter.settings.method}")
        if (adapter.settings.method, adapter.settings.repeat_rows) != (wanted, repeat_rows):
            adapter.become(wanted, repeat_rows)
    sink = loaded.format.header_ids()
    weights = Weights(user=1.0, assistant=1.0, answer=run.answer_weight)
    first = 0 if run.restate_only else 1
    own = kept_answers(run.own) if run.own is not None else ()
    batches = Batches(
        loaded.format, groups, run.mixture, weights, own=own, first_turn=first, seed=run.loop.seed
    )
    objective: nn.Module = (
        RestatingObjective(adapter.model, adapter.tokens, methods, sink)
        if run.restate_only
        else MemoryObjective(
            adapter.model, adapter.tokens, methods, sink, run.positions, loaded.format.weigh, run.labels
        )
    )

    def batch(step: int) -> list[Encoded]:
        """With `restate_only` the first turns alone: what is not trained on is not counted either."""
        rows = batches(step)
        return [fit(e, sum(map(len, e.turns[0]))) for e in rows] if run.restate_only else rows

    before = adapter.settings.trained_tokens

    def save(tokens: int) -> None:
        adapter.settings = replace(
            adapter.settings, base_digest=loaded.digest, trained_tokens=before + tokens
        )
        adapter.save(folder / "adapter", dtype=torch.bfloat16)

    _say_plan(report, run, groups)
    return train(
        objective,
        adapter.parameters(),
        batch,
        run.loop,
        folder,
        tables=[adapter.tokens.weight],
        report=report,
        on_save=save,
    )


def _check(run: MemoryRun) -> type[Method]:
    """The rules that the settings of a run keep to one another; the first of its methods."""
    trained = [name for name, m in METHODS.items() if m.needs_adapter or m.needs_weights]
    for name in run.methods:
        if name not in trained:
            raise UsageError(f"method must be one that is trained ({', '.join(trained)}), got {name!r}")
    kind = METHODS[run.methods[0]]
    if len({METHODS[name].adapter_of or name for name in run.methods}) > 1:
        raise UsageError(
            f"methods trained together must read the same adapter, got {' and '.join(run.methods)}"
        )
    if not kind.needs_weights and (run.slots != MemoryRun.slots or run.lora_rank):
        raise UsageError(f"slots and lora_rank are settings of lococo, not of {kind.name}")
    for name, share in (
        ("planted", run.mixture.planted),
        ("quoted", run.mixture.quoted),
        ("labels", run.labels),
    ):
        if not 0 <= share <= 1:
            raise UsageError(f"{name} must be a share between 0 and 1, got {share}")
    if kind.needs_weights and run.labels:
        raise UsageError(f"labels is a setting of methods with memory tokens, not of {kind.name}")
    if run.restate_only and kind.restates is None:
        raise UsageError(f"restate_only is a setting of methods that restate, not of {kind.name}")
    if run.restate_only and run.labels:
        raise UsageError("restate_only learns no next token, so labels cannot be set with it")
    if run.lora_rank < 0:
        raise UsageError(f"lora_rank must be at least 0, got {run.lora_rank}")
    return kind


def _train_fusion(
    loaded: LoadedModel, groups: list[list[Dialogue]], run: MemoryRun, folder: Path, report: Report
) -> list[dict[str, Any]]:
    """Train LoCoCo's convolutions; everything else is frozen."""
    layers, _heads, width = loaded.kv_shape
    how = LoCoCo(run.slots)
    if run.init is None:
        how.fusion = Fusion(layers, width, how.made).to(loaded.device)
    else:
        how.load_weights(run.init, layers, width, loaded.device)
    assert how.fusion is not None
    fusion = how.fusion.requires_grad_(True)
    loaded.model.requires_grad_(False)
    begun = run.init if run.init is not None and (run.init / CONFIG_FILE).exists() else None
    lora = _text_lora(loaded, run.lora_rank, begun) if run.lora_rank or begun is not None else None
    if lora is not None:
        install_gate(loaded.model, LORA)
    weights = Weights(user=1.0, assistant=1.0, answer=run.answer_weight)
    batches = Batches(loaded.format, groups, run.mixture, weights, first_turn=1, seed=run.loop.seed)
    settings = AdapterSettings(method=LoCoCo.name, base_digest=loaded.digest)
    before = AdapterSettings.load(run.init).trained_tokens if run.init is not None else 0

    def save(tokens: int) -> None:
        made = folder / "adapter"
        made.mkdir(parents=True, exist_ok=True)
        replace(settings, trained_tokens=before + tokens).save(made)
        fusion.save(made)
        if lora is not None:
            lora.save_pretrained(str(made))
            forget_paths(made)

    _say_plan(report, run, groups)
    parameters = list(fusion.parameters())
    return train(
        FusionObjective(loaded, how, lora=lora is not None, zones=run.mixture.zone > 0),
        [*parameters, *(lora.parameters() if lora is not None else [])],
        batches,
        run.loop,
        folder,
        tables=parameters,
        report=report,
        on_save=save,
    )


def train_text(
    loaded: LoadedModel, files: Sequence[str | Path], run: TextRun, folder: Path, report: Report = print
) -> list[dict[str, Any]]:
    """Train an ordinary LoRA that answers from what it was told; `folder/adapter` holds it.

    The model's own answers to general prompts are mixed in, so that nothing else is lost; they are made
    first and kept in `folder/answers.json`.

    Raises:
        DataError: a file breaks the format.
    """
    groups = _groups(files, run.per_file)
    prompts = own_prompts([d for g in groups for d in g], run.loop.seed)
    own = own_answers(loaded, folder / "answers.json", prompts, progress=report)
    torch.manual_seed(run.loop.seed)
    wrapped = _text_lora(loaded, run.rank, run.init)
    weights = Weights(user=run.dialogue_weight, assistant=run.dialogue_weight, answer=run.answer_weight)
    batches = Batches(loaded.format, groups, run.mixture, weights, own=own, seed=run.loop.seed)
    objective = TextObjective(wrapped.get_base_model(), loaded.format.header_ids())

    def save(_tokens: int) -> None:
        wrapped.save_pretrained(str(folder / "adapter"))

    _say_plan(report, run, groups)
    return train(
        objective, list(wrapped.parameters()), batches, run.loop, folder, report=report, on_save=save
    )


def _text_lora(loaded: LoadedModel, rank: int, init: Path | None) -> Any:
    """A LoRA on all linear layers, to act on text; a new one or that of a folder."""
    from peft import LoraConfig, PeftModel, get_peft_model

    if init is not None:
        return PeftModel.from_pretrained(loaded.model, str(init), is_trainable=True)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(loaded.model, config)


def _groups(files: Sequence[str | Path], per_file: int) -> list[list[Dialogue]]:
    return [read_dialogues([f], limit=per_file) for f in files]


def _say_plan(report: Report, run: Any, groups: Sequence[Sequence[Dialogue]]) -> None:
    report(f"{sum(map(len, groups))} dialogues of {len(groups)} files; {asdict(run)}")
