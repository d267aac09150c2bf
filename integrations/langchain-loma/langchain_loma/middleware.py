"""Middleware for `create_agent`: send the model only what it has not read, and keep checkpoints small."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

try:
    from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
except ImportError as error:
    raise ImportError(
        "LomaMemoryMiddleware needs langchain: pip install 'loma-memory[langchain-agents]'"
    ) from error
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.config import get_config
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from langchain_loma.messages import handle_in


class LomaMemoryMiddleware(AgentMiddleware[Any, Any, Any]):
    """Names an agent's thread to `ChatLoma`, and spares it messages that it remembers.

    `ChatLoma` finds by itself what it has read; this is for graphs whose lists of messages grow long.
    """

    def __init__(
        self, *, session_key: str = "thread_id", window: int | None = None, prune_state: bool = False
    ) -> None:
        """Settings.

        Args:
            session_key: what to look for in the runtime's context and in the config.
            window: how many messages before what is new are shown to the model; None shows all. The
                graph's state is not touched.
            prune_state: whether turns that the model remembers are taken out of the graph's state, so
                that checkpoints stay small. The transcript is then in the store only.

        Raises:
            ValueError: the window is negative.
        """
        super().__init__()
        if window is not None and window < 1:
            raise ValueError(f"window must be at least 1: the message with the handle is one; got {window}")
        self.session_key, self.window, self.prune_state = session_key, window, prune_state

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Calls the model with the thread's id and the window."""
        return handler(self._narrow(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """As `wrap_model_call`."""
        return await handler(self._narrow(request))

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Takes remembered turns out of the graph's state."""
        messages: list[AnyMessage] = state["messages"]
        if not self.prune_state or not messages or handle_in(messages[-1]) is None:
            return None
        last = messages[-1]
        if isinstance(last, AIMessage) and last.tool_calls:
            return None  # the turn goes on
        start = max(i for i, m in enumerate(messages) if isinstance(m, HumanMessage))
        if start == 0:
            return None
        return {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), *messages[start:]]}

    async def aafter_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """As `after_model`."""
        return self.after_model(state, runtime)

    def _narrow(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        changes: dict[str, Any] = {}
        session = self._session(request.runtime)
        if session is not None:
            settings = {**request.model_settings, "session_id": session, "session_ambient": True}
            changes["model_settings"] = settings
        if self.window is not None:
            known = [i for i, m in enumerate(request.messages) if handle_in(m) is not None]
            if known:
                changes["messages"] = request.messages[max(0, known[-1] + 1 - self.window) :]
        return request.override(**changes) if changes else request

    def _session(self, runtime: Any) -> str | None:
        context = getattr(runtime, "context", None)
        for name in ("session_id", self.session_key):
            said = context.get(name) if isinstance(context, dict) else getattr(context, name, None)
            if said is not None:
                return str(said)
        said = (get_config().get("configurable") or {}).get(self.session_key)
        return None if said is None else str(said)
