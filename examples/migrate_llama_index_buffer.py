"""From `ChatMemoryBuffer`: begin the new memory with what the old one holds."""

from common import MODEL, STORE
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.llms.loma import LomaLLM
from llama_index.memory.loma import LomaMemory

old = ChatMemoryBuffer.from_defaults(
    token_limit=3000,
    chat_history=[
        ChatMessage(role="user", content="My name is Ada."),
        ChatMessage(role="assistant", content="Nice to meet you, Ada!"),
    ],
)

llm = LomaLLM(model=MODEL, store=STORE, max_tokens=40)
memory = LomaMemory.from_defaults("moved-engine-ada", llm=llm, chat_history=old.get_all())
engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory)
print(engine.chat("What is my name?"))
print(len(memory.get_all()), "messages")
