"""`ChatLoma`: a chat model that reads what is new and remembers the rest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Self

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, model_validator

from langchain_loma.connection import Connection
from langchain_loma.messages import metadata, to_host, usage
from langchain_loma.sessions import with_session
from langchain_loma.tools import choose, tool_calls
from loma_memory import __version__
from loma_memory.resolve import HostReply, Request


class ChatLoma(Connection, BaseChatModel):
    """Chat with a local model that remembers.

    A reply carries a handle of its conversation in `response_metadata["memory_id"]`. Where a later request
    holds that reply, nothing up to it is read again; nor is any history that was answered before.

    Example:
        .. code-block:: python

            from langchain_loma import ChatLoma

            model = ChatLoma(store="sqlite:///chats.db")
            ada = model.with_session("ada")
            ada.invoke("My name is Ada.")
            ada.invoke("What is my name?").content

    Attributes:
        session_id: the session of every call that names none.
        cache: off, whatever `set_llm_cache` says: LangChain's key knows nothing of sessions, so one
            user would get another's replies.
    """

    session_id: str | None = None
    cache: Any = Field(default=False, exclude=True)

    @model_validator(mode="after")
    def _set_loma_version(self) -> Self:
        self._add_version("loma-memory", __version__)
        return self

    @property
    def _llm_type(self) -> str:
        return "chat-loma"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.identity()

    def _resolve_model_profile(self) -> ModelProfile | None:
        return ModelProfile(text_inputs=True, text_outputs=True, image_inputs=False, audio_inputs=False)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "loma"
        params["ls_model_name"] = kwargs.get("model") or self.model
        return params

    # --- the session ---------------------------------------------------------------------------------

    def with_session(self, session_id: str) -> Runnable[LanguageModelInput, AIMessage]:
        """The same model in one session: a request without history continues it."""
        return self.bind(session_id=session_id)

    def forget(self, session_id: str) -> int:
        """Erase a session or thread: its transcript and memory, and all its branches.

        Returns:
            How many sessions and branches there were.
        """
        return self.host().forget(session_id, self.namespace)

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """As `BaseChatModel.invoke`; the config may name the session."""
        return super().invoke(input, config, stop=stop, **with_session(config, kwargs))

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """As `BaseChatModel.ainvoke`; the config may name the session."""
        return await super().ainvoke(input, config, stop=stop, **with_session(config, kwargs))

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """As `BaseChatModel.stream`; the config may name the session."""
        yield from super().stream(input, config, stop=stop, **with_session(config, kwargs))

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """As `BaseChatModel.astream`; the config may name the session."""
        async for chunk in super().astream(input, config, stop=stop, **with_session(config, kwargs)):
            yield chunk

    def stream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As `BaseChatModel.stream_events`; the config may name the session."""
        return super().stream_events(input, config, **_events(config, kwargs))

    def astream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As `BaseChatModel.astream_events`; the config may name the session."""
        return super().astream_events(input, config, **_events(config, kwargs))

    # --- replies -------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        reply = self.host(kwargs.get("model")).answer(request)
        message = AIMessage(
            content=reply.content,
            tool_calls=tool_calls(reply),
            response_metadata=self._metadata(reply, kwargs),
            usage_metadata=usage(reply),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        reply = self.host(kwargs.get("model")).reply(request)
        for piece in reply:
            if request.tools:
                continue  # whether it is a call is known at the end
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk
        calls = [
            tool_call_chunk(name=c["name"], args=c["text"], id=c["id"], index=i)
            for i, c in enumerate(_with_text(tool_calls(reply)))
        ]
        last = AIMessageChunk(
            content=reply.content if request.tools else "",
            tool_call_chunks=calls,
            response_metadata=self._metadata(reply, kwargs),
            usage_metadata=usage(reply),
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last)

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Request:
        host = self.host(kwargs.get("model"))
        session = kwargs.get("session_id")
        explicit = session is None or not kwargs.get("session_ambient", False)
        choice = choose(kwargs.get("tools"), kwargs.get("tool_choice"))
        begin = "" if choice.only is None else host.engine.tools.opening(choice.only)
        return Request(
            to_host(messages, lambda: host.engine.tools),
            session=self.session_id if session is None else str(session),
            explicit=explicit,
            namespace=str(kwargs.get("namespace", self.namespace)),
            settings=self.settings(stop, kwargs),
            tools=choice.tools,
            begin=begin,
        )

    def _metadata(self, reply: HostReply, kwargs: dict[str, Any]) -> dict[str, Any]:
        session = kwargs.get("session_id") or self.session_id
        return metadata(reply, kwargs.get("model") or self.model, session)

    # --- tools and tokens ----------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools, announced and called as its own chat template says.

        A model whose template has no tools says so, by name, at the first call.

        Args:
            tools: what `convert_to_openai_tool` takes.
            tool_choice: "any" or True, "auto", "none", or the name of the tool to call.
            kwargs: further keywords of every call.
        """
        kwargs.pop("strict", None)
        schemas = [convert_to_openai_tool(tool) for tool in tools]
        return super().bind(tools=schemas, tool_choice=tool_choice, **kwargs)

    def get_token_ids(self, text: str) -> list[int]:
        """Tokens of a text, by the model's own tokenizer."""
        return self.host().engine.loaded.format.plain(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Any = None) -> int:
        """Tokens of messages, chat template included; announcements of tools are not counted."""
        host = self.host()
        form = host.engine.loaded.format
        count = 0
        for message in to_host(messages, lambda: host.engine.tools):
            system = message.role == "system"
            count += len(
                form.system_ids(message.text) if system else form.message_ids(message.role, message.text)
            )
        return count


def _events(config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    # Versions 1 and 2 call `stream`, which sees to it.
    return with_session(config, kwargs) if kwargs.get("version") == "v3" else kwargs


def _with_text(calls: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for call in calls:
        yield {**call, "text": json.dumps(call["args"], ensure_ascii=False)}
