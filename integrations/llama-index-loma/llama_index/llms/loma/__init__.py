"""A local model that remembers, as LlamaIndex's LLM."""

from llama_index.llms.loma.base import LomaLLM

__all__ = ["LomaLLM"]
