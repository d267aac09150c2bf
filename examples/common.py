"""The one place that says which model the examples run on, and where they keep what was said."""

import os

MODEL = os.environ.get("LOMA_EXAMPLE_MODEL", "smollm2-135m-loma")
STORE = os.environ.get("LOMA_EXAMPLE_STORE", "sqlite:///examples.db")
