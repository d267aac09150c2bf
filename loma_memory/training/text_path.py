"""The text adapter while it learns to read memory: beside the memory adapter, in a model of its own."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora.layer import LoraLayer
from safetensors.torch import load_file, save_file

from loma_memory.adapter.adapter import NAME, WEIGHTS_FILE, forget_paths
from loma_memory.adapter.gated import open_gate
from loma_memory.engine.merged import merged_digest
from loma_memory.engine.models import LoadedModel
from loma_memory.errors import AdapterError

TEXT = "text"
"""Name of the adapter in the model, and of its folder beside that of the memory adapter."""


class TextPath:
    """A plain model with its text adapter unmerged, to be trained along with a memory adapter.

    A model that has only ever read text finds little in slots that stand for eight words each: the layers
    that copy words look for one key a word. Trained along, they learn to look into slots.
    """

    def __init__(self, plain: LoadedModel, adapter: Path) -> None:
        """Put the adapter into `plain`.

        Raises:
            AdapterError: the adapter is missing or does not fit.
        """
        self.plain = plain
        try:
            with warnings.catch_warnings():  # peft 0.21 asks for a name that transformers 5.23 deprecates
                warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
                self._wrapped = PeftModel.from_pretrained(plain.model, str(adapter), adapter_name=TEXT)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise AdapterError(f"cannot load the text adapter in {adapter}: {reason}") from None
        self.model: Any = self._wrapped.get_base_model()

    def open(self) -> None:
        """Train it, on every token, before the memory adapter that is in the model by now."""
        open_gate(self.model, TEXT)
        for layer in self.model.modules():
            if isinstance(layer, LoraLayer):
                present = [name for name in (TEXT, NAME) if name in layer.lora_A]
                layer.set_adapter(present)
        for name, parameter in self.model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.float()

    def save(self, folder: Path) -> str:
        """Write the adapter into `folder`/text; the digest of the plain model with it merged in."""
        self._wrapped.save_pretrained(str(folder), selected_adapters=[TEXT])
        made = folder / TEXT
        weights = {k: v.to(torch.bfloat16) for k, v in load_file(made / WEIGHTS_FILE).items()}
        save_file(weights, made / WEIGHTS_FILE, metadata={"format": "pt"})
        forget_paths(made)
        return merged_digest(self.plain.digest, made)


__all__ = ["TEXT", "TextPath"]
