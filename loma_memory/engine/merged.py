"""A model with an ordinary LoRA merged in, made once and kept in the cache (CCM's step 1)."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from loma_memory.engine import fetch
from loma_memory.engine.digests import identity_digest, record_identity, weights_digest
from loma_memory.errors import AdapterError


def merge(model: Any, adapter: Path) -> Any:
    """Merge an ordinary PEFT LoRA into a model; the sum is taken in float32.

    Raises:
        AdapterError: the adapter is missing or does not fit.
    """
    from peft import PeftModel

    try:
        dtype = model.dtype
        with warnings.catch_warnings():  # peft 0.21 asks for a name that transformers 5.23 deprecates
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            wrapped = PeftModel.from_pretrained(model.float(), str(adapter))
        return wrapped.merge_and_unload().to(dtype)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AdapterError(f"cannot merge the text adapter in {adapter}: {reason}") from None


def merged_digest(plain: str, adapter: Path) -> str:
    """Digest that the model of digest `plain` has with the adapter merged in."""
    return identity_digest(_identity(plain, _tag(adapter)))


def _identity(plain: str, tag: str) -> str:
    return f"{plain}+{tag}"


def _tag(adapter: Path) -> str:
    weights = adapter / "adapter_model.safetensors"
    try:
        return hashlib.blake2b(weights.read_bytes(), digest_size=8).hexdigest()
    except OSError as error:
        raise AdapterError(f"cannot read the text adapter {weights}: {error.strerror}") from None


def merged(plain: Path, adapter: Path, name: str, *, progress: Callable[[str], None] | None = None) -> Path:
    """Folder of the plain model with the adapter merged in; made at the first call.

    The folder's name holds a digest of the adapter, so a new adapter never meets an old merge.
    """
    tag = _tag(adapter)
    target = fetch.cache_folder() / "models" / f"{name}-{tag}"
    if (target / "config.json").exists():
        return target
    if progress is not None:
        progress(f"Making {name} from {plain.name} and its text adapter (once)")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.bfloat16)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        identity = _identity(weights_digest(plain, model), tag)  # before the sum takes its place
        merge(model, adapter).save_pretrained(made)
        record_identity(made, identity)
        AutoTokenizer.from_pretrained(plain).save_pretrained(made)
        made.chmod(0o755)
        try:
            os.replace(made, target)
        except OSError:  # another process was first; its result is the same
            if not (target / "config.json").exists():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target
