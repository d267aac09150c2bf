"""A LangChain agent with a checkpointer: memory per thread, and checkpoints that stay small."""

from common import MODEL, STORE
from langchain.agents import create_agent
from langchain_loma import ChatLoma, LomaMemoryMiddleware
from langgraph.checkpoint.memory import InMemorySaver

agent = create_agent(
    ChatLoma(model=MODEL, store=STORE, max_tokens=40),
    tools=[],
    system_prompt="You are a friendly assistant.",
    middleware=[LomaMemoryMiddleware(prune_state=True)],
    checkpointer=InMemorySaver(),
)

thread = {"configurable": {"thread_id": "agent-ada"}}
for question in ("My name is Ada.", "I live in Bonn.", "What is my name?"):
    state = agent.invoke({"messages": [("human", question)]}, thread)
    print(f"> {question}\n{state['messages'][-1].content}")
print(f"messages in the checkpoint: {len(state['messages'])}")
