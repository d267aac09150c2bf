"""What a chat model and a text model share: which model, which database, how to reply."""

from __future__ import annotations

from typing import Any

from langchain_core.utils import from_env
from pydantic import BaseModel, ConfigDict, Field

from loma_memory.engine.aliases import DEFAULT_MODEL
from loma_memory.engine.replies import ReplySettings
from loma_memory.engine.sampling import Sampling
from loma_memory.resolve import Host, shared_host
from loma_memory.store import Store


class Connection(BaseModel):
    """Model, database and sampling.

    Attributes:
        model: alias, folder or Hugging Face id.
        adapter: folder or hub id of a memory adapter; None for the bundled one.
        method: how to remember; None for the default.
        ratio: tokens of text per slot.
        device: cpu, cuda, mps; None picks.
        dtype: None picks.
        store: database URL (also from LOMA_STORE), or an open store.
        namespace: whose conversations; nothing crosses namespaces.
        temperature: 0 takes the likeliest token.
        top_p: smallest set of tokens with this much probability.
        top_k: at most so many candidates; 0 for all.
        repetition_penalty: above 1, words of this turn become less likely.
        seed: makes draws repeatable.
        max_tokens: the longest reply.
        stop: strings that end a reply.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=(), populate_by_name=True)

    model: str = Field(default=DEFAULT_MODEL, alias="model_name")
    adapter: str | None = None
    method: str | None = None
    ratio: float | None = None
    device: str | None = None
    dtype: str | None = None
    store: Any = Field(default_factory=from_env("LOMA_STORE", default="sqlite:///chats.db"))
    namespace: str = ""
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.1
    seed: int | None = None
    max_tokens: int = 256
    stop: list[str] | None = Field(default=None, alias="stop_sequences")

    def host(self, model: str | None = None) -> Host:
        """The engine and store behind it; loaded at the first call and shared by all that ask alike."""
        store: str | Store = self.store
        return shared_host(
            store,
            model or self.model,
            adapter=self.adapter,
            method_name=self.method,
            ratio=self.ratio,
            device=self.device,
            dtype=self.dtype,
        )

    def settings(self, stop: list[str] | None, kwargs: dict[str, Any]) -> ReplySettings:
        """How to reply to one call, whose keywords go before the fields."""

        def said(name: str) -> Any:
            value = kwargs.get(name)
            return getattr(self, name) if value is None else value

        sampling = Sampling(
            temperature=float(said("temperature")),
            top_p=float(said("top_p")),
            top_k=int(said("top_k")),
            repetition_penalty=float(said("repetition_penalty")),
            seed=said("seed"),
        )
        ends = stop if stop is not None else self.stop
        return ReplySettings(sampling, int(said("max_tokens")), tuple(ends or ()))

    def identity(self) -> dict[str, Any]:
        """What a reply depends on."""
        names = ("adapter", "method", "ratio", "namespace", "temperature", "top_p", "top_k", "max_tokens")
        return {"model_name": self.model, **{name: getattr(self, name) for name in names}}
