"""Files of conversations and texts: JSON lines, plain or gzipped, read for training and evaluation alike.

One object a line: a conversation, `{"id"?: str, "turns": [{"role": "user"|"assistant", "content": str},
...]}`; a text, `{"id"?: str, "text": str}`; or a problem with its solution, `{"id"?: str, "question": str,
"answer": str}`. Other keys are ignored.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loma_memory.errors import DataError

ROLES = ("user", "assistant")
_PIECE = 100
"""Words of a text that make one message."""


@dataclass(frozen=True)
class Message:
    """One message: a role and its text."""

    role: str
    text: str


@dataclass(frozen=True)
class Dialogue:
    """A conversation as exchanges: each a user message and the replies to it."""

    id: str
    turns: tuple[tuple[Message, ...], ...]

    @property
    def text(self) -> str:
        """What is said, without roles: of a text the text."""
        return "\n".join(m.text for turn in self.turns for m in turn)


def group(messages: Iterable[Message]) -> tuple[tuple[Message, ...], ...]:
    """Messages as turns: a turn begins at each message that is not the assistant's."""
    turns: list[list[Message]] = []
    for message in messages:
        if message.role != "assistant" or not turns:
            turns.append([])
        turns[-1].append(message)
    return tuple(tuple(t) for t in turns)


def read_json_lines(path: str | Path) -> Iterator[tuple[int, Any]]:
    """Line number (from 1) and value of every line of a JSON-lines file, plain or gzipped.

    Raises:
        DataError: the file cannot be read, or a line is not JSON; names file, line and rule.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    yield number, json.loads(line.decode("utf-8"))
                except UnicodeDecodeError as error:
                    raise DataError(f"{path}:{number}: not UTF-8 at byte {error.start} of the line") from None
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{path}:{number}: not JSON: {error}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except EOFError:
        raise DataError(f"{path}: the gzip file ends too early") from None
    except zlib.error as error:
        raise DataError(f"{path}: the gzip file is damaged: {error}") from None


def parse_dialogue(value: Any, where: str) -> Dialogue:
    """Check one object and turn it into a dialogue.

    A text becomes a monologue of the user, a message every hundred words; a problem and its solution one
    exchange.

    Raises:
        DataError: a rule of the format is broken; the message begins with `where`.
    """
    if not isinstance(value, dict):
        raise DataError(f"{where}: a line must be an object, got {value!r:.60}")
    name = str(value.get("id", where))
    if "turns" not in value and "text" in value:
        words = _text(value, "text", where).split()
        pieces = [" ".join(words[i : i + _PIECE]) for i in range(0, len(words), _PIECE)]
        return Dialogue(name, tuple((Message("user", piece),) for piece in pieces))
    if "turns" not in value and "question" in value:
        asked = Message("user", _text(value, "question", where))
        return Dialogue(name, ((asked, Message("assistant", _text(value, "answer", where))),))
    if not isinstance(value.get("turns"), list) or not value["turns"]:
        raise DataError(f'{where}: a line must be an object with a non-empty list "turns", or with "text"')
    messages = []
    for i, turn in enumerate(value["turns"]):
        if not isinstance(turn, dict) or turn.get("role") not in ROLES:
            got = turn.get("role") if isinstance(turn, dict) else turn
            raise DataError(f'{where}: turns[{i}].role must be "user" or "assistant", got {got!r}')
        content = turn.get("content")
        if not isinstance(content, str) or not content.strip():
            raise DataError(f"{where}: turns[{i}].content must be a non-empty string, got {content!r}")
        messages.append(Message(turn["role"], content.strip()))
    return Dialogue(name, group(messages))


def _text(value: dict[str, Any], key: str, where: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: {key} must be a non-empty string, got {text!r}")
    return text.strip()


def read_dialogues(paths: Sequence[str | Path], limit: int | None = None) -> list[Dialogue]:
    """All dialogues of some files, at most `limit` of each.

    Raises:
        DataError: unreadable file, or a line that breaks the format.
    """
    found: list[Dialogue] = []
    for path in paths:
        count = 0
        for number, value in read_json_lines(path):
            found.append(parse_dialogue(value, f"{path}:{number}"))
            count += 1
            if count == limit:
                break
        if count == 0:
            raise DataError(f"{path}: holds no conversation")
    return found
