"""Running a model: loading, reading turns into memory, decoding. Knows nothing of chat or databases."""
