"""The rules of `resolve`, one by one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loma_memory.errors import HandleNotFound, SessionConflict, UsageError
from loma_memory.resolve import HostMessage, Plan, commit, forget, handle_of, parse_handle, resolve
from loma_memory.resolve.commit import branches
from loma_memory.store import NewMessage, SessionHead, Store


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


def user(text: str) -> HostMessage:
    return HostMessage("user", text)


def bot(text: str, handle: str | None = None) -> HostMessage:
    return HostMessage("assistant", text, handle)


def save(store: Store, plan: Plan, reply: str, session: str | None = None, explicit: bool = False) -> str:
    head = commit(
        store,
        plan,
        [*plan.new, NewMessage("assistant", reply)],
        [None] * (len(plan.new) + 1),
        "",
        {},
        session=session,
        explicit=explicit,
    )
    return handle_of(head.head_id, head.messages)


def say(
    store: Store, *sent: HostMessage, reply: str, session: str | None = None, explicit: bool = False
) -> str:
    plan = resolve(store, sent, session=session, explicit=explicit)
    return save(store, plan, reply, session, explicit)


def texts(plan: Plan) -> list[str]:
    return [m.text for m in plan.new]


def test_a_handle_spares_the_history(store: Store) -> None:
    handle = say(store, user("u1"), reply="a1")
    plan = resolve(store, [user("u1"), bot("a1", handle), user("u2")])
    assert (plan.how, plan.depth, texts(plan)) == ("handle", 2, ["u2"])


def test_a_handle_holds_for_a_window_of_the_history(store: Store) -> None:
    handle = say(store, user("u1"), reply="a1")
    handle = say(store, user("u1"), bot("a1"), user("u2"), reply="a2")
    plan = resolve(store, [bot("a2", handle), user("u3")])
    assert (plan.how, plan.depth, texts(plan)) == ("handle", 4, ["u3"])


def test_a_summary_in_the_place_of_old_turns_does_not_hide_the_handle(store: Store) -> None:
    say(store, user("u1"), reply="a1")
    handle = say(store, user("u1"), bot("a1"), user("u2"), reply="a2")
    summary = HostMessage("user", "in short: u1", summary=True)
    plan = resolve(store, [summary, user("u2"), bot("a2", handle), user("u3")])
    assert (plan.how, plan.depth, texts(plan)) == ("handle", 4, ["u3"])


def test_an_edited_history_is_read_anew_from_the_edit(store: Store) -> None:
    first = say(store, user("u1"), reply="a1")
    second = say(store, user("u1"), bot("a1"), user("u2"), reply="a2")
    edited = [user("u1"), bot("a1", first), user("no: u2"), bot("a2", second), user("u3")]
    plan = resolve(store, edited)
    assert (plan.depth, texts(plan)) == (2, ["no: u2", "a2", "u3"])
    edited = [user("no: u1"), bot("a1", first), user("u2"), bot("a2", second), user("u3")]
    plan = resolve(store, edited)
    assert (plan.how, texts(plan)) == ("fresh", ["no: u1", "a1", "u2", "a2", "u3"])


def test_both_sides_of_a_fork_are_kept(store: Store) -> None:
    say(store, user("u1"), reply="a1")
    left = say(store, user("u1"), bot("a1"), user("left"), reply="l")
    right = say(store, user("u1"), bot("a1"), user("right"), reply="r")
    for handle, side in ((left, "left"), (right, "right")):
        named = parse_handle(handle)
        assert named is not None
        assert [m.text for m in store.path(named.message_id)][2] == side
    assert len(branches(store, "")) == 2
    store.gc()
    assert resolve(store, [bot("l", left), user("on")]).depth == 4


def test_white_space_around_a_text_makes_no_difference(store: Store) -> None:
    say(store, user("u1"), reply=" a1\n")
    assert resolve(store, [user("u1 "), bot("a1"), user("u2")]).depth == 2


def test_the_system_prompt_is_no_part_of_the_conversation(store: Store) -> None:
    say(store, HostMessage("system", "be kind"), user("u1"), reply="a1")
    plan = resolve(store, [HostMessage("system", "context: 42"), user("u1"), bot("a1"), user("u2")])
    assert texts(plan) == ["u2"]


def test_the_last_message_is_always_answered(store: Store) -> None:
    say(store, user("u1"), reply="a1")
    assert texts(resolve(store, [user("u1")])) == ["u1"]
    handle = say(store, user("u1"), reply="a1")
    plan = resolve(store, [user("u1"), bot("a1", handle)])
    assert plan.new[-1].text == "a1"


def test_a_named_session_continues_without_history(store: Store) -> None:
    say(store, user("u1"), reply="a1", session="s", explicit=True)
    plan = resolve(store, [user("u2")], session="s", explicit=True)
    assert (plan.how, plan.depth) == ("append", 2)


def test_a_session_that_only_surrounds_a_call_never_appends(store: Store) -> None:
    say(store, user("u1"), reply="a1", session="s", explicit=True)
    plan = resolve(store, [user("write a title")], session="s")
    assert plan.how == "fresh"
    save(store, plan, "A title", "s")
    assert [m.text for m in store.path(store.session("s"))] == ["u1", "a1"]


def test_a_named_session_follows_the_clients_history(store: Store) -> None:
    say(store, user("u1"), reply="a1", session="s", explicit=True)
    say(store, user("u2"), reply="a2", session="s", explicit=True)
    say(store, user("other"), bot("way"), user("u3"), reply="a3", session="s", explicit=True)
    assert [m.text for m in store.path(store.session("s"))] == ["other", "way", "u3", "a3"]
    back = resolve(store, [user("u1"), bot("a1"), user("u2"), bot("a2"), user("u3")], session="s")
    assert texts(back) == ["u3"]


def test_nothing_is_found_across_namespaces(store: Store) -> None:
    handle = say(store, user("u1"), reply="a1")
    plan = resolve(store, [user("u1"), bot("a1", handle), user("u2")], namespace="eve")
    assert (plan.how, texts(plan)) == ("fresh", ["u1", "a1", "u2"])
    with pytest.raises(HandleNotFound):
        resolve(store, [HostMessage("system", "", handle), user("u2")], namespace="eve")


def test_an_unknown_handle_is_read_again_or_refused(store: Store) -> None:
    say(store, user("u1"), reply="a1", session="s")
    handle = say(store, user("u1"), bot("a1"), user("u2"), reply="a2", session="s")
    assert forget(store, "s") == 1
    whole = [user("u1"), bot("a1"), user("u2"), bot("a2", handle), user("u3")]
    assert texts(resolve(store, whole)) == ["u1", "a1", "u2", "a2", "u3"]
    with pytest.raises(HandleNotFound, match=r"4 messages.*only 1"):
        resolve(store, whole[3:])


def test_handles_of_other_makers_are_ignored(store: Store) -> None:
    assert resolve(store, [user("u1"), bot("a1", "resp_123"), user("u2")]).how == "fresh"


def test_of_two_that_append_at_once_one_is_told(store: Store) -> None:
    say(store, user("u1"), reply="a1", session="s", explicit=True)
    plans = [resolve(store, [user(t)], session="s", explicit=True) for t in ("x", "y")]
    save(store, plans[0], "r", "s", True)
    with pytest.raises(SessionConflict):
        save(store, plans[1], "r", "s", True)


def test_of_two_that_continue_a_branch_at_once_one_branches_off(store: Store) -> None:
    say(store, user("u1"), reply="a1", session="s")
    plans = [resolve(store, [user("u1"), bot("a1"), user(t)], session="s") for t in ("x", "y")]
    for plan in plans:
        save(store, plan, "r", "s")
    assert len(branches(store, "s")) == 2


def test_the_same_words_again_need_no_second_branch(store: Store) -> None:
    heads: list[SessionHead] = []
    for _ in range(2):
        plan = resolve(store, [user("u1")])
        new = [*plan.new, NewMessage("assistant", "a1")]
        heads.append(commit(store, plan, new, [None, None], "", {}))
    assert heads[0].head_id == heads[1].head_id
    assert len(branches(store, "")) == 1


def test_memory_is_cut_at_turns(store: Store) -> None:
    say(store, user("u1"), reply="a1")
    plan = resolve(store, [user("u1"), bot("another reply"), user("u2")])
    assert (plan.how, texts(plan)) == ("fresh", ["u1", "another reply", "u2"])


def test_names_of_branches_are_kept_for_them(store: Store) -> None:
    plan = resolve(store, [user("u1")])
    with pytest.raises(UsageError, match="12 hex"):
        save(store, plan, "a1", "ada~0123456789ab", True)


@pytest.mark.parametrize("sent", [[], [HostMessage("system", "be kind")], [user(" ")]])
def test_there_must_be_something_to_answer(store: Store, sent: list[HostMessage]) -> None:
    with pytest.raises(UsageError):
        resolve(store, sent)
