"""One conversation with one memory: turns, replies, and the everyday verbs."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from loma_memory.data import Message, group
from loma_memory.engine.chunks import chunks
from loma_memory.engine.engine import Engine
from loma_memory.engine.replies import ReplySettings, TextStream
from loma_memory.errors import SessionConflict, UsageError
from loma_memory.memory import MemoryState, Segment
from loma_memory.restore import by_turn, new_segment, restore, segment_of
from loma_memory.store import Message as StoredMessage
from loma_memory.store import NewMessage, SessionHead, Store, canonical_text

_RETRIES = 8
"""How often `send` starts again when another process was first."""


class Home(Protocol):
    """What a session needs of the chatbot that gave it out."""

    store: Store
    engine: Engine
    settings: ReplySettings

    def session(
        self, name: str, *, namespace: str | None = None, system: str | None = None, create: bool = True
    ) -> ChatSession:
        """Another session of the same chatbot."""

    def close(self) -> None:
        """Close the store."""


@dataclass(frozen=True)
class SessionStats:
    """Sizes of a session.

    Attributes:
        turns: finished turns.
        messages: their messages.
        slots: key/value positions that attention reads in their place.
        tokens_in_memory: tokens of text that the slots stand for.
        ratio: tokens of text per slot; None without slots.
        memory_bytes: bytes of keys and values at work.
        stored_bytes: bytes of all segments in the database.
        tokens_not_reread: tokens of earlier turns that no turn had to read again, summed over turns.
        restored: whether memory came from the database in this process.
        tokens_reread: tokens that this process had to read again to rebuild memory.
    """

    turns: int
    messages: int
    slots: int
    tokens_in_memory: int
    ratio: float | None
    memory_bytes: int
    stored_bytes: int
    tokens_not_reread: int
    restored: bool
    tokens_reread: int


class Reply:
    """A reply while it comes: iterate over it for pieces of text.

    The turn counts when iteration has ended: then it is in the database. A reply that is dropped or
    closed before leaves nothing behind.

    Attributes:
        turn: number of the turn, once saved.
    """

    def __init__(self, session: ChatSession, text: str, settings: ReplySettings) -> None:
        """Use `ChatSession.stream`."""
        self._session, self._question, self._settings = session, text, settings
        self._stream: TextStream | None = None
        self._stopped = False
        self.turn: int | None = None
        self._pieces = self._run()

    def __iter__(self) -> Iterator[str]:
        """The reply itself."""
        return self

    def __next__(self) -> str:
        """The next piece of text."""
        return next(self._pieces)

    @property
    def text(self) -> str:
        """The reply so far."""
        return self._stream.text.strip() if self._stream is not None else ""

    @property
    def finish(self) -> str:
        """Why it ended: "stop", "length", "stopped" by `stop`, or "" while it runs."""
        if self._stopped:
            return "stopped"
        return self._stream.finish if self._stream is not None else ""

    @property
    def tokens(self) -> int:
        """Tokens of the reply so far."""
        return self._stream.tokens if self._stream is not None else 0

    def stop(self) -> None:
        """End the reply here: what has come so far is saved when iteration goes on."""
        self._stopped = True

    def close(self) -> None:
        """Give the reply up: nothing of the turn is saved."""
        self._pieces.close()

    def _run(self) -> Generator[str, None, None]:
        session = self._session
        with session.lock:
            session.refresh()
            user = Message("user", self._question)
            self._stream = session.bot.engine.reply(session.state, [user], self._settings, session.system)
            for piece in self._stream:
                if self._stopped:
                    break
                yield piece
            answer = canonical_text(self.text)
            turn = (user, Message("assistant", answer)) if answer else (user,)
            session.add([turn])
            self.turn = session.head.turns


class ChatSession:
    """One conversation with one memory.

    Attributes:
        bot: the chatbot.
        head: the session in the database, as last seen.
        state: its memory.
        system: system prompt, or None.
    """

    def __init__(self, bot: Home, head: SessionHead, system: str | None) -> None:
        """Use `Chatbot.session`."""
        self.bot, self.head, self.system = bot, head, system
        self.lock = threading.Lock()
        self.state = MemoryState()
        self.restored, self.tokens_reread = False, 0
        self._loaded: SessionHead | None = None

    @property
    def name(self) -> str:
        """The session's name."""
        return self.head.name

    def stream(self, text: str, *, settings: ReplySettings | None = None) -> Reply:
        """Say something; the reply comes in pieces.

        Raises:
            UsageError: an empty message, or one longer than the model's range.
            SessionConflict: while iterating: another process was first, nothing was saved.
        """
        return Reply(self, _checked(text), settings or self.bot.settings)

    def send(self, text: str, *, settings: ReplySettings | None = None) -> str:
        """Say something and wait for the whole reply. When another process was first, it answers anew.

        Raises:
            UsageError: an empty message, or one longer than the model's range.
        """
        for left in reversed(range(_RETRIES)):
            reply = self.stream(text, settings=settings)
            try:
                for _ in reply:
                    pass
                return reply.text
            except SessionConflict:
                if left == 0:
                    raise
        raise AssertionError("unreachable")

    def remember(self, text: str) -> int:
        """Take in a note, a persona or a document without replying.

        Long texts become several notes of some 200 tokens, cut between paragraphs or sentences.

        Returns:
            How many notes it became.

        Raises:
            UsageError: an empty text.
        """
        notes = chunks(_checked(text), self.bot.engine.count)
        with self.lock:
            self.refresh()
            self.add([(Message("note", n),) for n in notes])
        return len(notes)

    def add(self, turns: Sequence[Sequence[Message]]) -> None:
        """Save finished turns and remember them. The caller holds `lock` and has called `refresh`.

        Raises:
            SessionConflict: the session has moved since; nothing was saved.
        """
        engine = self.bot.engine
        state, written = engine.remember(self.state, turns)
        try:
            self.head = self.bot.store.append(
                self.head,
                [NewMessage(m.role, m.text) for turn in turns for m in turn],
                [new_segment(w) for segments in written for w in segments],
                engine.fingerprint,
                engine.settings,
            )
        except SessionConflict:
            self._loaded = None
            raise
        self.state, self._loaded = state, self.head

    def refresh(self) -> None:
        """Bring memory up to the session's head; restores segments and rebuilds those that are missing."""
        self.head = self.bot.store.session(self.head.name, self.head.namespace)
        if self._loaded is not None and self._loaded.head_id == self.head.head_id:
            self._loaded = self.head
            return
        path = self.bot.store.path(self.head)
        stored = self.bot.store.segments(self.head, self.bot.engine.fingerprint)
        self.state, repaired, reread = restore(self.bot.engine, path, stored)
        if repaired:
            engine = self.bot.engine
            self.bot.store.put_segments(self.head, repaired, engine.fingerprint, engine.settings)
        self.restored, self.tokens_reread = bool(path) and reread == 0, reread
        self._loaded = self.head

    def history(self) -> list[StoredMessage]:
        """The transcript, from the first message."""
        self.head = self.bot.store.session(self.head.name, self.head.namespace)
        return self.bot.store.path(self.head)

    def restate(self, turn: int, *, check: bool = True) -> list[Message]:
        """The messages of a turn as its slots hold them; the transcript is not looked at.

        Args:
            turn: its number, from 1.
            check: read what was restated again, and mend it where its slots differ from those kept: takes
                seconds, minutes where much is wrong. A warning is logged where mistakes are left. Without it
                one pass is taken at its word, in a tenth of the time.

        Raises:
            UsageError: no such turn, or a method that cannot restate (LoMA can).
        """
        with self.lock:
            self.refresh()
            self._check_turn(turn)
            kept = [e.segment for e in self.state.entries if e.turn == turn - 1]
            roles = [m.role for m in self.bot.store.path(self.head) if m.turn == turn]
            before = self.state.before(turn - 1) if check else None
            texts = self.bot.engine.restate(kept, roles, before)
            return [Message(r, t) for r, t in zip(roles, texts, strict=True)]

    def stats(self) -> SessionStats:
        """Sizes, and what was saved in reading."""
        with self.lock:
            self.refresh()
            state, slots = self.state, self.state.slots
            saved = before = 0
            lengths = [s.text_tokens for s in self._all_segments()]
            for turn in _turn_lengths(self.bot.store.path(self.head), lengths):
                saved += before
                before += turn
            return SessionStats(
                turns=state.turns,
                messages=state.messages,
                slots=slots,
                tokens_in_memory=state.text_tokens,
                ratio=round(state.text_tokens / slots, 2) if slots else None,
                memory_bytes=state.nbytes,
                stored_bytes=self.bot.store.stats(self.head).segment_bytes,
                tokens_not_reread=saved,
                restored=self.restored,
                tokens_reread=self.tokens_reread,
            )

    def fork(self, new_name: str, *, turn: int | None = None) -> ChatSession:
        """A new session that goes on from here, or from the end of `turn`; nothing is copied.

        Raises:
            SessionExists: the name is taken.
            UsageError: there is no such turn.
        """
        with self.lock:
            self.refresh()
            self.bot.store.fork(self.head, new_name, turn=turn)
        return self.bot.session(new_name, namespace=self.head.namespace, system=self.system)

    def rollback(self, turn: int) -> None:
        """Go back to the end of a turn; 0 goes back to the beginning.

        Raises:
            UsageError: there is no such turn.
        """
        with self.lock:
            self.refresh()
            self.head = self.bot.store.rollback(self.head, turn)
            self.refresh()

    def forget(self, turn: int) -> None:
        """Forget one turn: later turns are read again as if it had never been, and its rows are erased.

        Raises:
            UsageError: there is no such turn.
        """
        self._rewrite(turn, None)

    def edit(self, turn: int, text: str, reply: str | None = None) -> None:
        """Change what was said in a turn; memory of it and of later turns is made anew.

        Args:
            turn: number of the turn, from 1.
            text: the user's new words.
            reply: the new reply; None keeps the old one.

        Raises:
            UsageError: there is no such turn, or the text is empty.
        """
        self._rewrite(turn, (_checked(text), None if reply is None else _checked(reply)))

    def rebuild(self) -> int:
        """Make all memory anew from the transcript.

        Returns:
            How many messages were read again.
        """
        with self.lock:
            self.refresh()
            path = self.bot.store.path(self.head)
            self.state, made, _ = restore(self.bot.engine, path, [None] * len(path))
            if made:
                engine = self.bot.engine
                self.bot.store.put_segments(self.head, made, engine.fingerprint, engine.settings)
            return len(made)

    def _check_turn(self, turn: int) -> None:
        if not 1 <= turn <= self.head.turns:
            raise UsageError(f"turn must be between 1 and {self.head.turns}, got {turn}")

    def _rewrite(self, turn: int, new: tuple[str, str | None] | None) -> None:
        with self.lock:
            self.refresh()
            self._check_turn(turn)
            path = self.bot.store.path(self.head)
            stored = self.bot.store.segments(self.head, self.bot.engine.fingerprint)
            kept = [m for m in path if m.turn < turn]
            old = [Message(m.role, m.text) for m in path if m.turn == turn]
            later = [Message(m.role, m.text) for m in path if m.turn > turn]
            changed: list[Message] = []
            if new is not None:
                changed = [replace(old[0], text=new[0]), *old[1:]]
                if new[1] is not None:
                    changed = [changed[0], Message("assistant", new[1])]
            state, _, _ = restore(self.bot.engine, kept, stored[: len(kept)])
            turns = group([*changed, *later])
            engine = self.bot.engine
            state, written = engine.remember(state, turns)
            self.head = self.bot.store.replace_after(
                self.head,
                turn - 1,
                [NewMessage(m.role, m.text) for t in turns for m in t],
                [new_segment(w) for segments in written for w in segments],
                engine.fingerprint,
                engine.settings,
            )
            self.state, self._loaded = state, self.head

    def _all_segments(self) -> list[Segment]:
        stored = self.bot.store.segments(self.head, self.bot.engine.fingerprint)
        found = (segment_of(self.bot.engine, s) for s in stored)
        return [s for s in found if s is not None]


def _checked(text: str) -> str:
    clean = canonical_text(text)
    if not clean:
        raise UsageError("a message must hold at least one character that is not white space")
    return clean


def _turn_lengths(path: Sequence[StoredMessage], lengths: Sequence[int]) -> list[int]:
    return [sum(lengths[i] for i in turn if i < len(lengths)) for turn in by_turn(path)]
