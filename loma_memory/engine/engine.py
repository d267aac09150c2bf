"""A model with its memory adapter and method, spoken to in text: the engine that chat runs on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from loma_memory.data import Message
from loma_memory.engine.decode import decode
from loma_memory.engine.models import LoadedModel, load
from loma_memory.engine.reader import Reader, Turn
from loma_memory.engine.replies import ReplySettings, TextStream
from loma_memory.engine.restating.mending import mend
from loma_memory.engine.restating.restate import restate
from loma_memory.engine.tool_format import ToolFormat
from loma_memory.errors import AdapterError, UsageError
from loma_memory.memory import MemoryState, Segment, codec
from loma_memory.memory.fingerprint import digest, fingerprint
from loma_memory.methods import DEFAULT_METHOD, Method, method

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """A segment as it goes into a store."""

    slots: int
    codec: str
    data: bytes


class Engine:
    """What turns text into memory and memory into replies.

    One engine may serve many sessions from many threads: each forward pass holds the model's lock, and
    the state of a session is a value that its owner keeps.

    Attributes:
        fingerprint: name of everything that its memory depends on.
        settings: what the fingerprint stands for.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        how: Method,
        *,
        adapter: Any = None,
        adapter_digest: str = "",
        codec_name: str = codec.DEFAULT_CODEC,
    ) -> None:
        """Use `Engine.load`, or hand over a loaded model and a `MemoryAdapter`."""
        self.loaded, self.method = loaded, how
        self.codec = codec.check_codec(codec_name)
        self.reader = Reader(loaded, how, adapter.tokens if adapter is not None else None)
        text = loaded.model.config.get_text_config()
        self._shape = loaded.kv_shape
        self.settings: dict[str, Any] = {
            "format": codec.FORMAT,
            "model": loaded.digest,
            "adapter": adapter_digest,
            "tokenizer": _tokenizer_digest(loaded.format.tokenizer),
            "sink": self.reader.sink_ids,
            "method": how.settings(),
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "rope": _plain(getattr(text, "rope_parameters", None)),
            "limit": loaded.limit,
            "codec": self.codec,
        }
        self.fingerprint = fingerprint(self.settings)

    @classmethod
    def load(
        cls,
        model: str,
        *,
        adapter: str | Path | None = None,
        method_name: str | None = None,
        ratio: float | None = None,
        device: str | None = None,
        dtype: str | None = None,
        codec_name: str = codec.DEFAULT_CODEC,
        progress: Callable[[str], None] | None = None,
    ) -> Engine:
        """Load a model and what its method needs.

        Args:
            model: alias, path or Hugging Face id.
            adapter: folder or hub id of a memory adapter; None takes the bundled one for its model.
            method_name: one of `loma_memory.methods.METHODS`; None for the default, or for "full" where
                the model has no adapter.
            ratio: tokens of text per slot.
            device: cpu, cuda, mps; None picks.
            dtype: None picks.
            codec_name: how segments are encoded at rest.
            progress: told about downloads and conversions.

        Raises:
            UsageError, ModelError, AdapterError: what is wrong, in one line.
        """
        from loma_memory.adapter.locate import locate
        from loma_memory.engine.aliases import DEFAULT_MODEL

        # Cheap checks first: a typing error should not cost a model's loading.
        codec.check_codec(codec_name)
        folder = locate(adapter) if adapter is not None else None
        if method_name is None:
            method_name = DEFAULT_METHOD if folder or model == DEFAULT_MODEL else "full"
        how = method(method_name, ratio=ratio)
        if (how.needs_adapter or how.needs_weights) and folder is None:
            if model != DEFAULT_MODEL or how.needs_weights:
                raise UsageError(
                    f"method {method_name} needs an adapter trained for {model}: name one with --adapter, "
                    f"train one with `loma-memory train`, or use --method full"
                )
            from loma_memory.adapter.bundled import memory_adapter

            folder = memory_adapter()
        loaded = load(model, device=device, dtype=dtype, progress=progress)
        if folder is not None and how.needs_weights:
            return cls._weighted(loaded, how, folder, codec_name)
        if folder is None or not how.needs_adapter:
            return cls(loaded, how, codec_name=codec_name)
        from loma_memory.adapter import MemoryAdapter

        attached = MemoryAdapter.load(loaded.model, folder, base_digest=loaded.digest)
        wanted = how.adapter_of or how.name
        if attached.settings.method != wanted:
            raise AdapterError(f"the adapter in {folder} is for {attached.settings.method}, not for {wanted}")
        inner = LoadedModel(loaded.name, attached.model, loaded.format, loaded.digest, loaded.limit)
        return cls(inner, how, adapter=attached, adapter_digest=_folder_digest(folder), codec_name=codec_name)

    @classmethod
    def _weighted(cls, loaded: LoadedModel, how: Method, folder: Path, codec_name: str) -> Engine:
        """An engine whose method has weights of its own."""
        from loma_memory.adapter import AdapterSettings
        from loma_memory.adapter.adapter import CONFIG_FILE
        from loma_memory.engine.merged import merge, merged_digest

        settings = AdapterSettings.load(folder)
        if settings.method != how.name:
            raise AdapterError(f"the adapter in {folder} is for {settings.method}, not for {how.name}")
        if settings.base_digest not in ("", loaded.digest):
            raise AdapterError(f"the adapter in {folder} was trained on other weights")
        if (folder / CONFIG_FILE).exists():  # a LoRA on the text path, trained along
            model = merge(loaded.model, folder)
            digest = merged_digest(loaded.digest, folder)
            loaded = LoadedModel(loaded.name, model, loaded.format, digest, loaded.limit)
        layers, _heads, width = loaded.kv_shape
        how.load_weights(folder, layers, width, loaded.device)
        return cls(loaded, how, adapter_digest=_folder_digest(folder), codec_name=codec_name)

    def tokens(self, turn: Sequence[Message]) -> list[list[int]]:
        """The messages of a turn as tokens."""
        return [self.loaded.format.message_ids(m.role, m.text) for m in turn]

    def remember(
        self, state: MemoryState, turns: Sequence[Sequence[Message]]
    ) -> tuple[MemoryState, list[list[Written]]]:
        """Write finished turns into memory, one after the other.

        The state goes on with what the store will give back, so a restored session and one that never
        stopped are the same, whatever the codec.

        Returns:
            The state after them, and for each turn its segments as bytes, one a message.

        Raises:
            UsageError: a turn longer than the model's range.
        """
        written = []
        for turn in turns:
            done, _ = self.reader.remember([state], [self.tokens(turn)])
            data = [codec.encode(s, self.codec) for s in done.segments[0]]
            back = [self.restore(d) for d in data]
            written.append([Written(s.slots, self.codec, d) for s, d in zip(back, data, strict=True)])
            state = self.method.update(state, back)
        return state, written

    def restore(self, data: bytes) -> Segment:
        """A stored segment.

        Raises:
            IntegrityError: the bytes are not a segment of this model.
        """
        return codec.decode(data, self._shape, self.loaded.dtype).to(self.loaded.device)

    def restate(
        self, segments: Sequence[Segment], roles: Sequence[str], before: MemoryState | None = None
    ) -> list[str]:
        """The texts of the messages of a turn from their slots alone.

        Args:
            segments: slots of each message.
            roles: role of each message, which says what stands around its text.
            before: memory before the turn, to read the texts again and mend them where their slots differ;
                a warning is logged where they differ all the same. None takes them as they are restated.

        Raises:
            UsageError: the method cannot restate.
        """
        form, texts = self.loaded.format, []
        if before is None:
            told = restate(self.reader, segments)
        else:
            mended = mend(self.reader, before, segments)
            told = mended.messages
            if not mended.agrees:
                log.warning("restated text has mistakes: its slots are %.3f from those kept", mended.apart)
        for ids, role in zip(told, roles, strict=True):
            body = ids[len(form.prefix_ids(role)) : len(ids) - len(form.suffix_ids(role))]
            texts.append(str(form.tokenizer.decode(body, skip_special_tokens=True)))
        return texts

    def grow(self, state: MemoryState, segments: Sequence[Segment]) -> MemoryState:
        """The state after a turn whose segments were restored."""
        return self.method.update(state, segments)

    def reply(
        self,
        state: MemoryState,
        turn: Sequence[Message],
        settings: ReplySettings,
        system: str | None = None,
        tools: Sequence[dict[str, Any]] = (),
        begin: str = "",
    ) -> TextStream:
        """Answer the messages of an open turn.

        Args:
            state: memory of the turns before.
            turn: the messages.
            settings: of the reply.
            system: system prompt.
            tools: JSON schemas of tools that may be called.
            begin: what the reply begins with; it is not part of the stream.

        Raises:
            UsageError: the turn and the longest reply do not fit the model's range.
            ModelError: there are tools, and the model's chat template has none.
        """
        form = self.loaded.format
        ids: Turn = [*self.tokens(turn), form.prefix_ids("assistant") + form.plain(begin)]
        header = form.system_ids(system) if system else None
        if tools:
            header = self.tools.header_ids(system, tools)
        done = self.reader.run([state], [ids], header=header, reserve=settings.max_tokens)
        flat = [i for m in ids for i in m]
        steps = decode(self.reader, done, [flat], settings.sampling, settings.max_tokens)
        return TextStream(form.tokenizer, steps, settings)

    @cached_property
    def tools(self) -> ToolFormat:
        """How the model is told of tools.

        Raises:
            ModelError: its chat template has none.
        """
        return ToolFormat(self.loaded.format, self.loaded.name)

    def prompt_tokens(self, turn: Sequence[Message]) -> int:
        """Tokens that are read to answer the messages of an open turn, template included."""
        asked = self.loaded.format.prefix_ids("assistant")
        return sum(len(m) for m in self.tokens(turn)) + len(asked)

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self.loaded.format.plain(text))


_shared: dict[tuple[Any, ...], Engine] = {}
_shared_lock = threading.Lock()


def shared(model: str, **options: Any) -> Engine:
    """One engine for equal arguments of `Engine.load`, made at the first call.

    Adapters are attached to the model object, so engines of different settings never share one.
    """
    progress = options.pop("progress", None)
    key = (model, *sorted((k, str(v)) for k, v in options.items()))
    with _shared_lock:
        if key not in _shared:
            _shared[key] = Engine.load(model, progress=progress, **options)
        return _shared[key]


def _tokenizer_digest(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    body = backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
    return digest(body.encode() + b"\0" + str(tokenizer.chat_template).encode())


def _folder_digest(folder: Path) -> str:
    files = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".json"))
    return digest(b"".join(f.name.encode() + b"\0" + digest(f.read_bytes()).encode() for f in files))


def _plain(value: Any) -> Any:
    """A configuration value as plain JSON."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, torch.dtype):
        return str(value)
    return value
