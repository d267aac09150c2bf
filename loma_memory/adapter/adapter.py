"""A memory adapter: gated LoRA in a model, plus its memory-token table; saved in PEFT's own layout."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from loma_memory.adapter.gated import install_gate
from loma_memory.adapter.settings import SETTINGS_FILE, AdapterSettings
from loma_memory.adapter.tokens import MemoryTokens
from loma_memory.errors import AdapterError

TABLE_FILE = "loma_memory_tokens.safetensors"
"""Name of the memory-token table in an adapter's folder."""

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
NAME = "default"

# A plain PEFT load knows nothing of the gate. With this token PEFT's own activated LoRA looks for an
# invocation that no input contains, so such a load leaves the base model as it is.
_NEVER = [-1]


class MemoryAdapter:
    """The trainable or loaded adapter of one model.

    Attributes:
        model: the inner transformers model, with LoRA layers injected and gated.
        tokens: the memory-token table.
        settings: what it is made of.
    """

    def __init__(self, wrapped: PeftModel, tokens: MemoryTokens, settings: AdapterSettings) -> None:
        """Use `create` or `load`."""
        self._wrapped = wrapped
        self.model: Any = wrapped.get_base_model()
        self.tokens = tokens
        self.settings = settings
        install_gate(self.model, NAME)

    @classmethod
    def create(cls, model: Any, settings: AdapterSettings) -> MemoryAdapter:
        """An untrained adapter: B = 0, memory tokens near the mean embedding.

        The last layer's query, output and MLP projections get none: of a memory token only keys and
        values are used, so nothing would ever reach them.
        """
        layers = model.config.get_text_config().num_hidden_layers
        dead = rf".*\.layers\.{layers - 1}\.(self_attn\.(q_proj|o_proj)|mlp\..*)"
        targets = settings.target_modules
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=targets if isinstance(targets, str) else list(targets),
            exclude_modules=dead,
            task_type="CAUSAL_LM",
            alora_invocation_tokens=_NEVER,
        )
        with _quiet_peft():
            wrapped = get_peft_model(model, config)
        inner: Any = wrapped.get_base_model()
        embed = inner.get_input_embeddings()
        hidden = inner.config.get_text_config().hidden_size
        tokens = MemoryTokens(settings.table_rows, hidden)
        tokens.initialise(embed, inner.config.get_text_config().vocab_size)
        tokens.to(next(embed.parameters()).device)
        made = cls(wrapped, tokens, replace(settings, repeat_rows=0))
        if settings.repeat_rows:
            made.become(settings.method, settings.repeat_rows)
        made.settings = settings
        return made

    @classmethod
    def load(
        cls, model: Any, folder: str | Path, *, base_digest: str | None = None, trainable: bool = False
    ) -> MemoryAdapter:
        """Read an adapter and attach it to `model`.

        Args:
            model: the base model.
            folder: the adapter's folder.
            base_digest: digest of the model's weights, compared with the adapter's when given.
            trainable: go on training it: its weights in float32 and with gradients.

        Raises:
            AdapterError: missing or damaged files, or an adapter made for other weights.
        """
        folder = Path(folder)
        settings = AdapterSettings.load(folder)
        if base_digest is not None and settings.base_digest not in ("", base_digest):
            raise AdapterError(
                f"the adapter in {folder} was trained on other weights "
                f"({settings.base_digest[:15]}… there, {base_digest[:15]}… here)"
            )
        names = _check_files(folder)
        table = _read_table(folder, settings, model.config.get_text_config().hidden_size)
        tokens = MemoryTokens(settings.table_rows, table.shape[1], settings.repeat_rows)
        tokens.weight.data.copy_(table)
        tokens.to(model.device)
        try:
            with _quiet_peft():
                wrapped = PeftModel.from_pretrained(
                    model, str(folder), low_cpu_mem_usage=True, is_trainable=trainable
                )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise AdapterError(f"cannot load the adapter in {folder}: {reason}") from None
        lacking = names ^ set(get_peft_model_state_dict(wrapped))  # peft only warns of them
        if lacking:
            raise AdapterError(
                f"the adapter in {folder} is not one for this model: {len(lacking)} weights are missing or "
                f"foreign, the first is {min(lacking)}"
            )
        return cls(wrapped, tokens, settings)

    def save(self, folder: str | Path, *, base_digest: str | None = None, dtype: Any = None) -> None:
        """Write PEFT's files, the memory-token table and the settings into `folder`.

        Args:
            folder: created when missing.
            base_digest: digest of the base weights, to be checked at load.
            dtype: dtype of the low-rank weights on disk; None keeps float32.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if base_digest is not None:
            self.settings = replace(self.settings, base_digest=base_digest)
        self._wrapped.save_pretrained(str(folder))
        weights = folder / WEIGHTS_FILE
        if dtype is not None:
            save_file({k: v.to(dtype) for k, v in load_file(weights).items()}, weights)
        forget_paths(folder)
        save_file({"weight": self.tokens.weight.detach().float().cpu().contiguous()}, folder / TABLE_FILE)
        self.settings.save(folder)

    def become(self, method: str, repeat_rows: int) -> None:
        """Go on as an adapter for another method: what was learned is where its training begins.

        Args:
            method: the other method's name.
            repeat_rows: rows for tokens that restate; new ones begin as the last of them, or else as the
                mean of the table, with a code of their number added (sinusoids) that tells them apart.
        """
        table, rows = self.tokens.weight.detach(), self.settings.table_rows
        grown = MemoryTokens(rows, table.shape[1], repeat_rows).to(table.device)
        grown.weight.data[:rows] = table[:rows]
        if repeat_rows:
            old = table[rows:][:repeat_rows] if self.settings.repeat_rows else table.mean(0, keepdim=True)
            grown.weight.data[rows:] = old[-1] + float(table.std()) * _sinusoids(repeat_rows, table)
            grown.weight.data[rows : rows + len(old)] = old
        self.tokens = grown
        self.settings = replace(self.settings, method=method, repeat_rows=repeat_rows, base_digest="")

    def parameters(self) -> list[nn.Parameter]:
        """Everything that trains: low-rank weights and memory tokens."""
        lora = [p for n, p in self.model.named_parameters() if "lora_" in n]
        return [*lora, self.tokens.weight]


def _sinusoids(rows: int, like: Tensor) -> Tensor:
    """Codes of the numbers below `rows` (Vaswani et al. 2017), (rows, width of `like`)."""
    width = like.shape[1]
    rate = 100.0 ** (-torch.arange(0, width, 2, device=like.device) / width)
    angle = torch.arange(rows, device=like.device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=2).reshape(rows, -1)[:, :width].to(like.dtype)


def forget_paths(folder: Path) -> None:
    """Take the base model's path out of PEFT's configuration: one of this machine means nothing elsewhere."""
    config = folder / CONFIG_FILE
    described = json.loads(config.read_text(encoding="utf-8"))
    described["base_model_name_or_path"] = None
    config.write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")


# Anything else would act on text as well, or load what is no tensor.
_PLAIN: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "bias": "none",
    "lora_bias": False,
    "modules_to_save": None,
    "trainable_token_indices": None,
    "layer_replication": None,
    "target_parameters": None,
    "use_dora": False,
}


@contextmanager
def _quiet_peft() -> Iterator[None]:
    """Silence: peft 0.21 asks for a name that transformers 5.23 deprecates, and warns where we raise."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        warnings.filterwarnings("ignore", "Found missing adapter keys", UserWarning)
        yield


def _check_files(folder: Path) -> set[str]:
    """Check PEFT's two files before PEFT reads them; the names of the weights."""
    try:
        described = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        with safe_open(folder / WEIGHTS_FILE, "pt") as opened:
            names = set(opened.keys())
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AdapterError(f"cannot read the adapter in {folder}: {reason}") from None
    if not isinstance(described, dict):
        raise AdapterError(f"{folder / CONFIG_FILE} is not an object")
    for key, value in _PLAIN.items():
        if described.get(key, value) not in (value, None, [], {}):
            raise AdapterError(
                f"{folder / CONFIG_FILE}: {key} must be {value!r} in a memory adapter, got {described[key]!r}"
            )
    return names


def _read_table(folder: Path, settings: AdapterSettings, hidden: int) -> Tensor:
    try:
        table = load_file(folder / TABLE_FILE)["weight"]
    except (OSError, KeyError, SafetensorError) as error:
        raise AdapterError(f"cannot read {folder / TABLE_FILE}: {error}") from None
    rows = settings.table_rows + settings.repeat_rows
    if tuple(table.shape) != (rows, hidden):
        raise AdapterError(
            f"{TABLE_FILE} must be {rows} × {hidden} for this model, "
            f"it is {' × '.join(map(str, table.shape))}"
        )
    return table.float()


__all__ = ["SETTINGS_FILE", "TABLE_FILE", "MemoryAdapter"]
