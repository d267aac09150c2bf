"""Training: a text adapter that answers from what it was told, and the memory adapter itself."""
