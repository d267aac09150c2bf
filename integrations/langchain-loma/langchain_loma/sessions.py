"""Where a call's session comes from.

LangChain gives a model's own methods no part of the config, so the public entry points turn a session id
in the config into a keyword. An id that a call merely inherited, as in a graph, is marked as *ambient*: it
tells whose conversation it is, but a request without history is not taken for its continuation.
"""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig, ensure_config

SESSION_KEYS = ("session_id", "thread_id")
"""Where in a config's `configurable` an id is looked for, the first one first."""


def with_session(config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a call, with the session that its config names."""
    if kwargs.get("session_id") is not None:
        return kwargs
    whole = ensure_config(config)
    named = whole.get("configurable") or {}
    id = next((str(named[key]) for key in SESSION_KEYS if named.get(key) is not None), None)
    if id is None:
        return kwargs
    handed_over = ((config or {}).get("configurable") or {}).get("session_id") is not None
    in_graph = "langgraph_node" in (whole.get("metadata") or {})
    return {**kwargs, "session_id": id, "session_ambient": in_graph or not handed_over}
