"""Many at once, and failures half-way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from loma_memory.errors import SessionConflict
from loma_memory.store import SessionHead, Store, failpoints
from loma_memory.testing.base import FINGERPRINT, SETTINGS, Kit, exchange, memory, say, talk, texts


class Stopped(BaseException):
    """Stands for anything that ends a call half-way: a cancelled task, a signal, a lost machine."""


def insist(store: Store, name: str, said: str) -> int:
    """Says something in a session, again after each conflict. Returns the number of conflicts."""
    conflicts = 0
    while True:
        try:
            say(store, store.session(name), said)
        except SessionConflict:
            conflicts += 1
        else:
            return conflicts


class Concurrency(Kit):
    """Writers never lose, double or mix turns."""

    def test_of_writers_at_one_head_one_wins(self, store: Store) -> None:
        """Of many who append to one head, one succeeds and all others are told."""
        head = store.session("ada")

        def attempt(number: int) -> SessionHead | None:
            try:
                return say(store, head, f"writer {number}")
            except SessionConflict:
                return None

        with ThreadPoolExecutor(8) as pool:
            won = [result for result in pool.map(attempt, range(16)) if result]
        assert won == [store.session("ada")]
        assert len(store.path(won[0])) == 1

    def test_writers_who_try_again_lose_nothing(self, store: Store) -> None:
        """Every turn of many writers is in the session once."""
        wanted = [f"turn {number}" for number in range(40)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda said: insist(store, "ada", said), wanted))
        head = store.session("ada")
        assert sorted(texts(store, head)) == sorted(wanted)
        assert (head.version, head.turns) == (40, 40)

    def test_sessions_do_not_hinder_each_other(self, store: Store) -> None:
        """Writers of different sessions meet no conflict."""
        with ThreadPoolExecutor(8) as pool:
            heads = list(pool.map(lambda number: talk(store, store.session(f"s{number}"), 5), range(8)))
        assert [head.turns for head in heads] == [5] * 8
        assert store.verify().ok

    def test_readers_see_whole_turns(self, store: Store) -> None:
        """Who reads while another writes sees some number of whole turns."""
        head = store.session("ada")
        with ThreadPoolExecutor(2) as pool:
            writer = pool.submit(talk, store, head, 25)
            while not writer.done():
                now = store.session("ada")
                assert now.messages == 2 * now.turns == len(store.path(now))
                assert None not in store.segments(now, FINGERPRINT)
            writer.result()

    def test_a_second_store_sees_what_was_saved(self, store_url: str, store: Store) -> None:
        """What one store has saved, another one on the same database sees at once."""
        if store.database.memory:
            pytest.skip("a database in memory has one store")
        with Store.open(store_url) as other:
            head = say(store, store.session("ada"), "hello")
            assert texts(other, other.session("ada")) == ["hello"]
            say(other, head, "there")
            with pytest.raises(SessionConflict):
                say(store, head, "too late")

    @pytest.mark.parametrize("place", ["append.begun", "append.messages", "append.segments", "append.moved"])
    def test_a_stopped_append_leaves_nothing(
        self, store: Store, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An append that is stopped anywhere before its end has not happened, and can be repeated."""
        head = talk(store, store.session("ada"), 1)
        before = store.stats()
        _stop_at(place, monkeypatch)
        with pytest.raises(Stopped):
            store.append(head, exchange(2), memory(2), FINGERPRINT, SETTINGS)
        monkeypatch.undo()
        assert (store.session("ada"), store.stats()) == (head, before)
        assert talk(store, head, 1).turns == 2

    @pytest.mark.parametrize("place", ["replace.moved", "replace.erased"])
    def test_a_stopped_forget_leaves_everything(
        self, store: Store, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Forgetting that is stopped half-way has not happened."""
        head = talk(store, store.session("ada"), 2)
        before = store.stats()
        _stop_at(place, monkeypatch)
        with pytest.raises(Stopped):
            store.replace_after(head, 0, [], [], "", {})
        monkeypatch.undo()
        assert (store.session("ada"), store.stats()) == (head, before)

    def test_a_stopped_delete_leaves_everything(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Deleting that is stopped half-way has not happened."""
        head = talk(store, store.session("ada"), 2)
        _stop_at("erase.deleted", monkeypatch)
        with pytest.raises(Stopped):
            store.delete_session("ada")
        monkeypatch.undo()
        assert len(store.path(store.session("ada"))) == head.messages

    def test_a_stopped_import_leaves_nothing(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """An import that is stopped half-way has not happened."""
        packed = store.export_session(talk(store, store.session("ada"), 2))
        before = store.stats()
        _stop_at("import.messages", monkeypatch)
        with pytest.raises(Stopped):
            store.import_session(packed, "copy", "other")
        monkeypatch.undo()
        assert store.stats() == before
        assert store.namespaces() == [""]

    def test_erasing_beside_writing_harms_neither(self, store: Store) -> None:
        """Sessions are deleted and collected while others of the namespace go on."""

        def churn(number: int) -> None:
            for _ in range(4):
                talk(store, store.session(f"gone {number}"), 2)
                store.delete_session(f"gone {number}")

        with ThreadPoolExecutor(6) as pool:
            jobs = [pool.submit(churn, number) for number in range(3)]
            jobs += [pool.submit(talk, store, store.session(f"kept {number}"), 8) for number in range(3)]  # type: ignore[arg-type]
            for job in jobs:
                job.result()
        store.gc()
        assert sorted((head.name, head.turns) for head in store.sessions()) == [
            (f"kept {number}", 8) for number in range(3)
        ]
        assert store.verify().ok


def _stop_at(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def hook(name: str) -> None:
        if name == place:
            raise Stopped

    monkeypatch.setattr(failpoints, "hook", hook)
