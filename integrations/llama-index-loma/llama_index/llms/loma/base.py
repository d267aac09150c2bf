"""`LomaLLM`: reads what is new and remembers the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.bridge.pydantic import Field
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.llms.loma.messages import HANDLE, session_in, to_host

from loma_memory.engine.aliases import DEFAULT_MODEL
from loma_memory.engine.replies import ReplySettings
from loma_memory.engine.sampling import Sampling
from loma_memory.resolve import Host, HostMessage, HostReply, Request, shared_host

_END = object()


class LomaLLM(CustomLLM):
    """A local model that remembers.

    `chat` skips all that was answered before, and says in the reply's `additional_kwargs` where its
    conversation is. `complete` is a call of its own and leaves nothing behind.

    Attributes:
        model: alias, folder or Hugging Face id.
        adapter: folder or hub id of a memory adapter; None for the bundled one.
        method: how to remember; None for the default.
        ratio: tokens of text per slot.
        device: cpu, cuda, mps; None picks.
        dtype: None picks.
        store: database URL, or an open store.
        namespace: whose conversations; nothing crosses namespaces.
        session_id: a session that requests without history continue.
        context_window: tokens that one request may hold; None for the model's range.
        max_tokens: the longest reply.
        temperature: 0 takes the likeliest token.
        top_p: smallest set of tokens with this much probability.
        repetition_penalty: above 1, words of this turn become less likely.
        stop: strings that end a reply.
    """

    model: str = DEFAULT_MODEL
    adapter: str | None = None
    method: str | None = None
    ratio: float | None = None
    device: str | None = None
    dtype: str | None = None
    store: Any = Field(default="sqlite:///chats.db", exclude=True)
    namespace: str = ""
    session_id: str | None = None
    context_window: int | None = None
    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.1
    stop: list[str] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in LlamaIndex's records."""
        return "LomaLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex asks of a model."""
        return LLMMetadata(
            context_window=self.context_window or self.host().engine.loaded.limit,
            num_output=self.max_tokens,
            is_chat_model=True,
            model_name=self.model,
        )

    def host(self) -> Host:
        """The engine and store behind it; loaded at the first call and shared by all that ask alike."""
        return shared_host(
            self.store,
            self.model,
            adapter=self.adapter,
            method_name=self.method,
            ratio=self.ratio,
            device=self.device,
            dtype=self.dtype,
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer; `session_id` among the keywords names a session for this call."""
        return _response(self.host().answer(self._request(messages, kwargs)), self._session(messages, kwargs))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """As `chat`, in pieces; the last one carries the handle."""
        session = self._session(messages, kwargs)
        reply = self.host().reply(self._request(messages, kwargs))

        def pieces() -> ChatResponseGen:
            for piece in reply:
                message = ChatMessage(role="assistant", content=reply.text)
                yield ChatResponse(message=message, delta=piece)
            yield _response(reply, session)

        return pieces()

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """As `chat`, in a thread."""
        reply = await asyncio.to_thread(lambda: self.host().answer(self._request(messages, kwargs)))
        return _response(reply, self._session(messages, kwargs))

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """As `stream_chat`, in a thread."""
        session = self._session(messages, kwargs)
        reply = await asyncio.to_thread(lambda: self.host().reply(self._request(messages, kwargs)))

        async def pieces() -> ChatResponseAsyncGen:
            async for piece in _in_thread(reply):
                message = ChatMessage(role="assistant", content=reply.text)
                yield ChatResponse(message=message, delta=piece)
            yield _response(reply, session)

        return pieces()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer one prompt; nothing is remembered."""
        reply = self.host().answer(self._alone(prompt, kwargs))
        return CompletionResponse(text=reply.text, additional_kwargs=_counts(reply))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """As `complete`, in pieces."""
        reply = self.host().reply(self._alone(prompt, kwargs))

        def pieces() -> CompletionResponseGen:
            for piece in reply:
                yield CompletionResponse(text=reply.text, delta=piece)

        return pieces()

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """As `complete`, in a thread."""
        reply = await asyncio.to_thread(lambda: self.host().answer(self._alone(prompt, kwargs)))
        return CompletionResponse(text=reply.text, additional_kwargs=_counts(reply))

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """As `stream_complete`, in a thread."""
        reply = await asyncio.to_thread(lambda: self.host().reply(self._alone(prompt, kwargs)))

        async def pieces() -> CompletionResponseAsyncGen:
            async for piece in _in_thread(reply):
                yield CompletionResponse(text=reply.text, delta=piece)

        return pieces()

    def _session(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> str | None:
        return kwargs.get("session_id") or self.session_id or session_in(messages)

    def _request(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> Request:
        named = kwargs.get("session_id") or self.session_id
        return Request(
            to_host(messages),
            session=self._session(messages, kwargs),
            explicit=named is not None,
            namespace=self.namespace,
            settings=self._settings(kwargs),
            save=bool(kwargs.get("save", True)),
        )

    def _alone(self, prompt: str, kwargs: dict[str, Any]) -> Request:
        settings = self._settings(kwargs)
        return Request([HostMessage("user", prompt)], namespace=self.namespace, settings=settings, save=False)

    def _settings(self, kwargs: dict[str, Any]) -> ReplySettings:
        sampling = Sampling(
            temperature=float(kwargs.get("temperature", self.temperature)),
            top_p=float(kwargs.get("top_p", self.top_p)),
            repetition_penalty=float(kwargs.get("repetition_penalty", self.repetition_penalty)),
        )
        limit = int(kwargs.get("max_tokens", self.max_tokens))
        return ReplySettings(sampling, limit, tuple(kwargs.get("stop") or self.stop))


def _response(reply: HostReply, session: str | None) -> ChatResponse:
    about: dict[str, Any] = {}
    if reply.handle is not None:
        about[HANDLE] = {"memory_id": reply.handle, "session_id": session}
    message = ChatMessage(role="assistant", content=reply.text, additional_kwargs=about)
    counts = _counts(reply)
    return ChatResponse(
        message=message, delta="", raw={"path": reply.plan.how, **counts}, additional_kwargs=counts
    )


def _counts(reply: HostReply) -> dict[str, int]:
    cost = reply.usage
    whole = cost.read + cost.cached
    return {
        "prompt_tokens": whole,
        "cached_tokens": cost.cached,
        "completion_tokens": cost.output,
        "total_tokens": whole + cost.output,
    }


async def _in_thread(pieces: Iterator[str]) -> AsyncGenerator[str, None]:
    """An iterator whose every step runs in a thread, so that the event loop goes on."""
    while (piece := await asyncio.to_thread(next, pieces, _END)) is not _END:
        yield str(piece)
