"""From `ConversationBufferMemory`: hand over what it holds, once, and leave it out from then on.

`ConversationSummaryBufferMemory` is moved the same way: its `chat_memory` holds the latest turns, and
`moving_summary_buffer` is one more message at the beginning.
"""

import warnings

from common import MODEL, STORE
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_loma import ChatLoma, LomaChatMessageHistory

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the old class says that it is deprecated
    from langchain_classic.memory import ConversationBufferMemory

    old = ConversationBufferMemory(return_messages=True)
    old.save_context({"input": "My name is Ada."}, {"output": "Nice to meet you, Ada!"})

history = LomaChatMessageHistory("moved-ada", STORE)
history.clear()
summary = getattr(old, "moving_summary_buffer", "")
history.add_messages([*([HumanMessage(summary)] if summary else []), *old.chat_memory.messages])

model = ChatLoma(model=MODEL, store=STORE, max_tokens=40)
chain = ChatPromptTemplate([("human", "{input}")]) | model.with_session("moved-ada")
print(chain.invoke({"input": "What is my name?"}).content)  # reads the old turns once, and never again
print(len(history.transcript()), "messages")
