"""Serving hosts that resend the history: from a list of messages to what is new, and back to a saved chain.

`resolve` finds how much of a request is in memory already, `commit` saves what came of it, and `Host`
does both around a reply. Chat frameworks and the server need nothing else.
"""

from loma_memory.resolve.commit import branch_label, commit, forget
from loma_memory.resolve.handles import handle_of, parse_handle
from loma_memory.resolve.host import Host, HostReply, Request, Usage
from loma_memory.resolve.plan import HostMessage, Plan, resolve
from loma_memory.resolve.pool import shared_host, shared_store

__all__ = [
    "Host",
    "HostMessage",
    "HostReply",
    "Plan",
    "Request",
    "Usage",
    "branch_label",
    "commit",
    "forget",
    "handle_of",
    "parse_handle",
    "resolve",
    "shared_host",
    "shared_store",
]
