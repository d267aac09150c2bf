"""A LlamaIndex chat engine over a few documents: the documents change from turn to turn, memory stays."""

from common import MODEL, STORE
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.llms.loma import LomaLLM
from llama_index.memory.loma import LomaCondensePlusContextChatEngine, LomaMemory

DOCUMENTS = (
    "The museum opens at nine in the morning and closes at six.",
    "The museum is closed on Mondays.",
    "Tickets are eight euros; children under six pay nothing.",
)


class SharedWords(BaseRetriever):
    """The document that has most words in common with the question; any other retriever will do."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        asked = set(query_bundle.query_str.lower().split())
        best = max(DOCUMENTS, key=lambda text: len(asked & set(text.lower().split())))
        return [NodeWithScore(node=TextNode(text=best), score=1.0)]


llm = LomaLLM(model=MODEL, store=STORE, max_tokens=40)
engine = LomaCondensePlusContextChatEngine.from_defaults(
    retriever=SharedWords(), llm=llm, memory=LomaMemory.from_defaults("documents-ada", llm=llm)
)
for question in (
    "My name is Ada. When does the museum open?",
    "Is it closed on Mondays?",
    "What is my name?",
):
    print(f"> {question}\n{engine.chat(question)}")
