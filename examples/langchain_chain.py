"""A LangChain chain that remembers: no history object, only a session id in the config."""

from common import MODEL, STORE
from langchain_core.prompts import ChatPromptTemplate
from langchain_loma import ChatLoma

model = ChatLoma(model=MODEL, store=STORE, max_tokens=40)
prompt = ChatPromptTemplate([("system", "You are a friendly assistant."), ("human", "{question}")])
chain = prompt | model

ada = {"configurable": {"session_id": "chain-ada"}}
for question in ("My name is Ada and I'm allergic to nuts.", "What is my name?"):
    reply = chain.invoke({"question": question}, config=ada)
    usage = reply.usage_metadata
    new = usage["input_tokens"] - usage["input_token_details"]["cache_read"]
    print(f"> {question}\n{reply.content}\n  ({new} tokens read)")
