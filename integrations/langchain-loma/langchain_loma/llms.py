"""`LomaLLM`: text in, text out, with the memory of a session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import LLM, LanguageModelInput
from langchain_core.outputs import GenerationChunk
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field

from langchain_loma.connection import Connection
from langchain_loma.sessions import with_session
from loma_memory.resolve import HostMessage, Request


class LomaLLM(Connection, LLM):
    """A text model: the prompt is one user message.

    With a session, each call continues it; without one, calls have nothing to do with each other and
    leave nothing behind.

    Attributes:
        session_id: the session of every call that names none.
        cache: off; see `ChatLoma`.
    """

    session_id: str | None = None
    cache: Any = Field(default=False, exclude=True)

    @property
    def _llm_type(self) -> str:
        return "loma"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.identity()

    def with_session(self, session_id: str) -> Runnable[LanguageModelInput, str]:
        """The same model in one session."""
        return self.bind(session_id=session_id)

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> str:
        """As `LLM.invoke`; the config may name the session."""
        return super().invoke(input, config, stop=stop, **with_session(config, kwargs))

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> str:
        """As `LLM.ainvoke`; the config may name the session."""
        return await super().ainvoke(input, config, stop=stop, **with_session(config, kwargs))

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[str]:
        """As `LLM.stream`; the config may name the session."""
        yield from super().stream(input, config, stop=stop, **with_session(config, kwargs))

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[str]:
        """As `LLM.astream`; the config may name the session."""
        async for piece in super().astream(input, config, stop=stop, **with_session(config, kwargs)):
            yield piece

    def batch(self, inputs: list[LanguageModelInput], config: Any = None, **kwargs: Any) -> list[str]:
        """As `LLM.batch`, where every call has its own session."""
        if not isinstance(config, list):
            return super().batch(inputs, config, **with_session(config, kwargs))
        return [self.invoke(i, c, **kwargs) for i, c in zip(inputs, config, strict=True)]

    async def abatch(self, inputs: list[LanguageModelInput], config: Any = None, **kwargs: Any) -> list[str]:
        """As `batch`."""
        if not isinstance(config, list):
            return await super().abatch(inputs, config, **with_session(config, kwargs))
        return [await self.ainvoke(i, c, **kwargs) for i, c in zip(inputs, config, strict=True)]

    def _call(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        return self.host().answer(self._request(prompt, stop, kwargs)).text

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        for piece in self.host().reply(self._request(prompt, stop, kwargs)):
            if run_manager:
                run_manager.on_llm_new_token(piece)
            yield GenerationChunk(text=piece)

    def _request(self, prompt: str, stop: list[str] | None, kwargs: dict[str, Any]) -> Request:
        named = kwargs.get("session_id")
        session = self.session_id if named is None else str(named)
        explicit = session is not None and not (named is not None and kwargs.get("session_ambient", False))
        return Request(
            [HostMessage("user", prompt)],
            session=session,
            explicit=explicit,
            namespace=self.namespace,
            settings=self.settings(stop, kwargs),
            save=explicit,
        )

    def get_token_ids(self, text: str) -> list[int]:
        """Tokens of a text, by the model's own tokenizer."""
        return self.host().engine.loaded.format.plain(text)
