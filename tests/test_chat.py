"""Chatbot and ChatSession, with a tiny random model and real databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_chat import save_tiny_adapter

from loma_memory import Chatbot
from loma_memory.engine.engine import Engine
from loma_memory.engine.pieces import MOST
from loma_memory.engine.replies import ReplySettings
from loma_memory.errors import SessionConflict, SessionNotFound, UsageError
from loma_memory.session import ChatSession

METHODS = ("full", "none", "window", "ccm-concat")
SHORT = ReplySettings(max_tokens=6)

Make = Callable[..., Chatbot]


@pytest.fixture(scope="module")
def engines(tiny: str, tiny_adapter: str) -> dict[str, Engine]:
    return {
        name: Engine.load(tiny, adapter=tiny_adapter, method_name=name, device="cpu", dtype="float32")
        for name in METHODS
    }


@pytest.fixture
def make(engines: dict[str, Engine], database: str) -> Make:
    def made(method: str = "ccm-concat", **options: object) -> Chatbot:
        return Chatbot(store=database, engine=engines[method], settings=SHORT, **options)  # type: ignore[arg-type]

    return made


def same(a: ChatSession, b: ChatSession) -> bool:
    return len(a.state.segments) == len(b.state.segments) and all(
        x.equal(y) for x, y in zip(a.state.segments, b.state.segments, strict=True)
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_new_process_goes_on_where_the_old_one_stopped(make: Make, method: str) -> None:
    with make(method) as bot:
        ada = bot.session("ada")
        for text in ("hello", "I am Ada", "and you?"):
            ada.send(text)
        expected = make(method).session("ada")
        with make(method) as other:  # its own store, as another process would have
            back = other.session("ada")
            back.refresh()
            assert back.restored
            assert back.tokens_reread == 0
            assert same(ada, back)
            fork = other.session("ada").fork("copy")
            assert fork.send("again") == expected.send("again")


def test_what_is_said_and_answered_is_the_history(make: Make) -> None:
    with make() as bot:
        session = bot.session("s")
        reply = session.send("  hello  ")
        assert [(m.turn, m.role, m.text) for m in session.history()] == [
            (1, "user", "hello"),
            (1, "assistant", reply),
        ]


def test_pieces_of_a_stream_are_the_reply_and_the_turn_counts_at_its_end(make: Make) -> None:
    with make() as bot:
        reply = bot.session("s").stream("hello")
        first = next(reply)
        assert bot.store.session("s").turns == 0
        assert (first + "".join(reply)).strip() == reply.text
        assert reply.turn == 1
        assert bot.store.session("s").turns == 1


def test_a_reply_given_up_leaves_nothing(make: Make) -> None:
    with make() as bot:
        session = bot.session("s")
        session.send("one")
        before = session.state
        reply = session.stream("two")
        next(reply)
        reply.close()
        assert bot.store.session("s").turns == 1
        assert session.state is before
        session.send("three")  # the session is free and whole
        assert [m.text for m in session.history() if m.role == "user"] == ["one", "three"]


def test_a_stopped_reply_is_kept_as_far_as_it_came(make: Make) -> None:
    with make() as bot:
        session = bot.session("s")
        reply = session.stream("hello")
        next(reply)
        reply.stop()
        assert list(reply) == []
        assert reply.finish == "stopped"
        assert reply.turn == 1
        said = [m.text for m in session.history() if m.role == "assistant"]
        assert said == ([reply.text] if reply.text else [])


def test_memory_does_not_depend_on_the_system_prompt(make: Make) -> None:
    with make() as bot:
        plain, told = bot.session("plain"), bot.session("told", system="Speak like a pirate. " * 5)
        plain.remember("A fact.")
        told.remember("A fact.")
        assert same(plain, told)
        answers = {plain.send("hello"), told.send("hello")}
        assert len(answers) == 2, "the system prompt must reach the model"


def test_forgetting_a_turn_equals_never_having_had_it(make: Make) -> None:
    with make() as bot:
        session, never = bot.session("with"), bot.session("without")
        for text in ("one", "two", "three"):
            session.remember(text)
        for text in ("one", "three"):
            never.remember(text)
        session.forget(2)
        assert same(session, never)
        assert [m.text for m in session.history()] == ["one", "three"]


def test_editing_a_turn_equals_having_said_it_so(make: Make) -> None:
    with make() as bot:
        session, other = bot.session("a"), bot.session("b")
        for text in ("one", "two", "three"):
            session.remember(text)
        for text in ("one", "zwei", "three"):
            other.remember(text)
        session.edit(2, "zwei")
        assert same(session, other)


def test_rollback_and_fork(make: Make) -> None:
    with make() as bot:
        session = bot.session("a")
        session.remember("one")
        early = session.state
        session.remember("two")
        fork = session.fork("b", turn=1)
        fork.refresh()
        session.rollback(1)
        assert all(x.equal(y) for x, y in zip(early.segments, session.state.segments, strict=True))
        assert same(session, fork)


def test_lost_segments_are_rebuilt_bit_for_bit(make: Make) -> None:
    with make() as bot:
        session = bot.session("a")
        for text in ("one", "two", "three"):
            session.send(text)
        kept = session.state
        with bot.store.database.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE loma_segments SET data = zeroblob(length(data)) WHERE rowid = 3"
            )
        with make() as other:
            back = other.session("a")
            back.refresh()
            assert not back.restored
            assert back.tokens_reread > 0
            assert all(x.equal(y) for x, y in zip(kept.segments, back.state.segments, strict=True))
        with make() as third:
            again = third.session("a")
            again.refresh()
            assert again.restored, "the repair is saved"


def test_another_ratio_never_uses_the_old_memory(
    make: Make, tiny: str, tiny_adapter: str, database: str
) -> None:
    with make() as bot:
        bot.session("a").send("hello there")
    other = Engine.load(tiny, adapter=tiny_adapter, ratio=2, device="cpu", dtype="float32")
    with Chatbot(store=database, engine=other, settings=SHORT) as bot:
        session = bot.session("a")
        session.refresh()
        assert not session.restored
        assert session.tokens_reread == session.state.text_tokens
        # To a tokenizer of bytes all text is pieces, which weigh the most that a message may.
        assert session.state.text_tokens / session.state.slots == pytest.approx(2 / MOST, rel=0.1)


def test_two_processes_on_one_session(make: Make) -> None:
    with make() as first, make() as second:
        a, b = first.session("s"), second.session("s")
        a.send("one")
        reply = b.stream("two")
        next(reply)
        a.send("three")  # b's reply is under way, and now too late
        with pytest.raises(SessionConflict):
            list(reply)
        assert [m.text for m in a.history() if m.role == "user"] == ["one", "three"]
        b.send("four")
        a.send("five")
        assert [m.text for m in b.history() if m.role == "user"] == ["one", "three", "four", "five"]
        b.refresh()
        assert same(a, b)


def test_threads_on_one_session_wait_their_turn(make: Make) -> None:
    with make() as bot:
        session = bot.session("s")
        threads = [threading.Thread(target=session.send, args=(f"message {i}",)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        said = [m.text for m in session.history() if m.role == "user"]
        assert sorted(said) == sorted(f"message {i}" for i in range(6))
        kept = session.state
        session.rebuild()
        assert all(x.equal(y) for x, y in zip(kept.segments, session.state.segments, strict=True))


def test_sessions_of_many_threads_do_not_mix(make: Make) -> None:
    with make() as bot:
        alone = [bot.session(f"alone{i}") for i in range(4)]
        expected = [[s.send(f"{i}-{n}") for n in range(3)] for i, s in enumerate(alone)]
        found: list[list[str]] = [[] for _ in alone]

        def talk(i: int) -> None:
            session = bot.session(f"together{i}")
            found[i] = [session.send(f"{i}-{n}") for n in range(3)]

        threads = [threading.Thread(target=talk, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == expected


def test_long_notes_are_cut_and_kept_whole(make: Make) -> None:
    with make() as bot:
        session = bot.session("s")
        text = "\n\n".join(f"Paragraph {i}. " + "Some words follow here. " * 8 for i in range(6))
        assert session.remember(text) > 1
        joined = " ".join(m.text for m in session.history())
        assert joined.split() == text.split()
        assert {m.role for m in session.history()} == {"note"}


def test_statistics_add_up(make: Make) -> None:
    with make() as bot:
        session = bot.session("s")
        for _ in range(3):
            session.send("hello")
        stats = session.stats()
        assert (stats.turns, stats.messages) == (3, len(session.history()))
        assert stats.tokens_in_memory == sum(s.text_tokens for s in session.state.segments)
        assert stats.slots == session.state.slots
        assert stats.tokens_not_reread > 0
        assert stats.memory_bytes == session.state.nbytes
        assert stats.stored_bytes > stats.memory_bytes


@pytest.mark.parametrize("text", ["", "   \n "])
def test_empty_messages_are_refused(make: Make, text: str) -> None:
    with make() as bot:
        session = bot.session("s")
        for say in (session.send, session.remember):
            with pytest.raises(UsageError, match="at least one character"):
                say(text)
        assert session.history() == []


def test_a_message_longer_than_the_model_is_refused_and_nothing_is_lost(make: Make) -> None:
    with make() as bot:
        session = bot.session("s")
        session.send("one")
        with pytest.raises(UsageError, match=r"may hold \d+ tokens"):
            session.send("x" * 5000)
        session.send("two")
        assert session.head.turns == 2


def test_sessions_are_found_and_missing_ones_are_named(make: Make) -> None:
    with make() as bot:
        bot.session("one")
        assert [h.name for h in bot.sessions()] == ["one"]
        with pytest.raises(SessionNotFound, match="two"):
            bot.session("two", create=False)


def test_namespaces_do_not_meet(make: Make) -> None:
    with make(namespace="a") as bot, make(namespace="b") as other:
        bot.session("s").send("hello")
        assert other.session("s").history() == []
        assert bot.session("s", namespace="c").history() == []


@pytest.mark.parametrize("codec", ["raw", "int8", "int4"])
def test_a_restored_session_equals_a_running_one_with_every_codec(
    tiny: str, tiny_adapter: str, database: str, codec: str
) -> None:
    def engine() -> Engine:
        return Engine.load(tiny, adapter=tiny_adapter, codec_name=codec, device="cpu", dtype="float32")

    with Chatbot(store=database, engine=engine(), settings=SHORT) as bot:
        running = bot.session("s")
        for text in ("one", "two", "three"):
            running.send(text)
        with Chatbot(store=database, engine=engine(), settings=SHORT) as other:
            back = other.session("s")
            back.refresh()
            assert back.restored
            assert same(running, back)


def test_a_session_longer_than_the_model_goes_on(
    tmp_path_factory: pytest.TempPathFactory, database: str
) -> None:
    from tiny_chat import save_tiny, save_tiny_adapter

    small = save_tiny(tmp_path_factory.mktemp("small"), positions=128)
    adapter = save_tiny_adapter(small, tmp_path_factory.mktemp("small-adapter"))
    engine = Engine.load(small, adapter=adapter, device="cpu", dtype="float32")
    with Chatbot(store=database, engine=engine, settings=ReplySettings(max_tokens=4)) as bot:
        session = bot.session("s")
        for i in range(30):
            session.send(f"message number {i}")
        assert session.state.text_tokens > 4 * 128
        kept = session.state
        session.rebuild()
        assert all(x.equal(y) for x, y in zip(kept.segments, session.state.segments, strict=True))


def test_a_turn_is_restated_from_its_slots(
    tiny: str, tmp_path: Path, database: str, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    folder = save_tiny_adapter(tiny, tmp_path, method="loma", repeat_rows=1)
    engine = Engine.load(tiny, adapter=folder, method_name="loma", device="cpu", dtype="float32")
    with Chatbot(store=database, engine=engine, settings=SHORT) as bot:
        session = bot.session("ada")
        session.send("one")
        session.send("two")
        told = session.restate(2, check=False)
        assert [m.role for m in told] == ["user", "assistant"]
        kept = session.state.segments[2:]
        assert [m.text for m in told] == engine.restate(kept, ["user", "assistant"])
        fresh = Chatbot(store=database, engine=engine).session("ada", create=False)
        assert fresh.restate(2, check=False) == told
        texts = engine.restate(kept, ["user", "assistant"], session.state.before(1))
        assert [m.text for m in fresh.restate(2)] == texts
        right = texts == [m.text for m in session.history() if m.turn == 2]
        assert right == (not caplog.records)  # it knows; nothing was learned, so it may be either
        caplog.clear()
        other = Chatbot(store="sqlite://", engine=engine, settings=SHORT).session("other")
        other.send("three")
        engine.restate(kept, ["user", "assistant"], other.state)  # they were not read after that
        assert "restated text has mistakes" in caplog.text
        with pytest.raises(UsageError, match="between 1 and 2, got 3"):
            session.restate(3)
    with make() as bot:
        bot.session("b").send("one")
        with pytest.raises(UsageError, match="ccm-concat cannot restate"):
            bot.session("b").restate(1)
