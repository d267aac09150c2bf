"""What an adapter is made of, and the JSON file that says so beside its weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from loma_memory.errors import AdapterError, UsageError

SETTINGS_FILE = "loma_adapter.json"
"""Name of the settings file in an adapter's folder."""

FORMAT = 1
"""Version of that file's format."""


@dataclass(frozen=True)
class AdapterSettings:
    """Settings of a memory adapter.

    Attributes:
        method: the compression method it was trained for.
        rank: rank of the low-rank update.
        alpha: scale of the update times the rank.
        target_modules: names of the linear layers that get one, or "all-linear".
        table_rows: rows of the memory-token table; memory token j of a message uses row
            min(j, rows − 1).
        repeat_rows: further rows for tokens that restate; one that is k tokens before the end of its part of
            the text uses row min(k, rows − 1) of them. 0 for methods that do not restate.
        base_digest: digest of the base model's weights, empty while untrained.
        trained_tokens: tokens of text that it was trained on, those of the adapter that it began as included.
        dropout: dropout on the update's input in training.
    """

    method: str = "ccm-concat"
    rank: int = 32
    alpha: int = 32
    target_modules: str | tuple[str, ...] = "all-linear"
    table_rows: int = 8
    repeat_rows: int = 0
    base_digest: str = ""
    trained_tokens: int = 0
    dropout: float = 0.0
    format: int = field(default=FORMAT)

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UsageError(f"rank must be at least 1, got {self.rank}")
        if self.table_rows < 1:
            raise UsageError(f"table_rows must be at least 1, got {self.table_rows}")
        if self.repeat_rows < 0:
            raise UsageError(f"repeat_rows must be at least 0, got {self.repeat_rows}")
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"dropout must be in [0, 1), got {self.dropout}")

    def save(self, folder: Path) -> None:
        """Write the settings file into `folder`."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True)
        (folder / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> AdapterSettings:
        """Read the settings file of `folder`.

        Raises:
            AdapterError: no such file, not JSON, unknown keys, or another format.
        """
        file = folder / SETTINGS_FILE
        try:
            raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise AdapterError(f"no memory adapter at {folder}: {SETTINGS_FILE} is missing") from None
        except (OSError, ValueError) as error:
            raise AdapterError(f"cannot read {file}: {error}") from None
        known = {f.name for f in fields(cls)}
        if not isinstance(raw, dict) or set(raw) - known or raw.get("format") != FORMAT:
            raise AdapterError(f"{file} is not a memory adapter's settings of format {FORMAT}")
        if isinstance(raw.get("target_modules"), list):
            raw["target_modules"] = tuple(raw["target_modules"])
        try:
            return cls(**raw)
        except (TypeError, ValueError) as error:
            raise AdapterError(f"{file} holds a setting that breaks a rule: {error}") from None
