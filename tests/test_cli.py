"""The command line, as a person or a script uses it; a tiny random model stands in for the real one."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_chat import save_tiny_adapter

from loma_memory.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: exit code, what it printed, what it told."""

    def ran(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return ran


@pytest.fixture
def chat(run: Run, tiny: str, tiny_adapter: str, database: str) -> Run:
    model = ("--model", tiny, "--adapter", tiny_adapter, "--store", database, "--max-tokens", "5")
    return lambda *more: run("chat", *model, *more)


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def one_line(err: str) -> str:
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("loma-memory: ")
    assert "Traceback" not in err
    return lines[0]


def test_one_turn_as_json_and_the_next_process_goes_on(chat: Run) -> None:
    code, out, _ = chat("--message", "hello", "--json")
    first = json.loads(out)
    assert code == 0
    assert set(first) == {
        "reply",
        "session",
        "turn",
        "slots",
        "tokens_in_memory",
        "tokens_reread",
        "restored",
    }
    assert (first["turn"], first["restored"], first["tokens_reread"]) == (1, False, 0)
    _, out, _ = chat("--message", "again", "--json")
    second = json.loads(out)
    assert (second["turn"], second["restored"], second["tokens_reread"]) == (2, True, 0)
    assert second["slots"] > first["slots"] > 0
    assert second["tokens_in_memory"] > first["tokens_in_memory"]


def test_messages_come_line_by_line_from_standard_input(chat: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, b"hello\n\n  \nhow are you?\n/stats\n/history")
    code, out, err = chat()
    assert (code, err) == (0, "")
    assert "turns 2" in out
    assert "[2] user: how are you?" in out


def test_a_bad_line_is_told_and_the_others_are_answered(chat: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, b"hello\n\xff\xfe\n/nonsense\nbye\n/history\n")
    code, out, err = chat()
    assert code == 2
    assert "line 2 must be UTF-8 text; byte 0 is 0xff" in err
    assert "no command /nonsense" in err
    assert "[2] user: bye" in out


def test_a_note_is_taken_in_without_a_reply(chat: Run, run: Run, database: str, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("I like tea.\n", encoding="utf-8")
    assert chat("--note", note)[0] == 0
    assert run("sessions", "show", "default", "--store", database)[1] == "[1] note: I like tea.\n"
    note.write_bytes(b"caf\xe9")
    code, _, err = chat("--note", note)
    assert code == 2
    assert "UTF-8" in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--model", "/no/such/folder"), 1, "no model '/no/such/folder'"),
        (("--ratio", "0.5"), 2, "ratio must be a finite number of at least 1"),
        (("--ratio", "nan"), 2, "ratio must be a finite number of at least 1"),
        (("--method", "magic"), 2, "unknown method 'magic'"),
        (("--adapter", "/no/such/folder"), 1, "no memory adapter at /no/such/folder"),
        (("--device", "toaster"), 2, "device must be one that exists here"),
        (("--dtype", "float3"), 2, "dtype must be one of"),
        (("--codec", "zip"), 2, "codec must be one of"),
        (("--max-tokens", "0"), 2, "max_tokens must be at least 1"),
        (("--temperature", "-1"), 2, "temperature must be between 0 and 10"),
        (("--threads", "0"), 2, "--threads must be at least 1"),
        (("--store", "sqlite:////no/such/folder/x.db"), 1, "/no/such/folder"),
        (("--store", "carrier-pigeon://x"), 2, "a store is a URL like"),
        (("--session", ""), 2, "session"),
        (("--stop", ""), 2, "stop string"),
        (("--message", "x" * 6000), 2, "may hold"),
    ],
)
def test_bad_input_gets_one_clear_line(chat: Run, arguments: tuple[str, ...], code: int, says: str) -> None:
    got, out, err = chat("--message", "hello", *arguments)
    assert got == code
    assert out == ""
    assert says in one_line(err)


def test_nothing_is_lost_by_bad_input(chat: Run, run: Run, database: str) -> None:
    chat("--message", "hello")
    before = run("sessions", "show", "default", "--store", database)[1]
    chat("--message", "x" * 6000)
    chat("--message", "   ")
    assert run("sessions", "show", "default", "--store", database)[1] == before


def test_a_damaged_adapter_is_refused(chat: Run, tiny_adapter: str, tmp_path: Path) -> None:
    for name in ("adapter_model.safetensors", "loma_memory_tokens.safetensors", "adapter_config.json"):
        folder = tmp_path / name
        folder.mkdir()
        for file in Path(tiny_adapter).iterdir():
            data = file.read_bytes()
            (folder / file.name).write_bytes(data[: len(data) // 2] if file.name == name else data)
        code, _, err = chat("--adapter", folder, "--message", "hello")
        assert code == 1
        one_line(err)


def test_everyday_verbs(
    chat: Run, run: Run, database: str, tmp_path: Path, tiny: str, tiny_adapter: str
) -> None:
    def sessions(*arguments: object) -> tuple[int, str, str]:
        return run("sessions", *arguments, "--store", database)

    model = ("--model", tiny, "--adapter", tiny_adapter)
    for text in ("I like tea", "I like rain", "bye"):
        chat("--message", text, "--session", "ada")
    assert json.loads(sessions("list", "--json")[1])[0]["name"] == "ada"
    assert "ada" in sessions("list")[1]
    assert "I like rain" in sessions("search", "rain")[1]
    assert json.loads(sessions("stats", "ada")[1])["turns"] == 3
    assert sessions("fork", "ada", "eve", "--turn", 1)[0] == 0
    assert sessions("forget", "ada", 2, *model)[0] == 0
    assert "rain" not in sessions("show", "ada")[1]
    assert sessions("edit", "ada", 1, "I like milk", *model)[0] == 0
    assert "milk" in sessions("show", "ada")[1]
    assert sessions("rebuild", "ada", *model)[0] == 0
    assert sessions("rollback", "ada", 1)[0] == 0
    assert sessions("export", "ada", tmp_path / "ada.loma")[0] == 0
    assert sessions("import", tmp_path / "ada.loma", "--name", "ada2")[0] == 0
    assert sessions("show", "ada2")[1] == sessions("show", "ada")[1]
    assert sessions("expire", "ada2", "--after", "30d")[0] == 0
    assert sessions("expire")[0] == 0
    assert sessions("verify")[0] == 0
    assert sessions("gc")[0] == 0
    assert sessions("vacuum")[0] == 0
    assert sessions("delete", "eve")[0] == 0
    code, _, err = sessions("erase")
    assert code == 2
    assert "--yes" in one_line(err)
    assert sessions("erase", "--yes")[0] == 0
    assert json.loads(sessions("list", "--json")[1]) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "nobody"), "nobody"),
        (("forget", "nobody", "1"), "nobody"),
        (("expire", "nobody", "--after", "soon"), "'never'"),
        (("import", "/no/such/file"), "cannot read /no/such/file"),
    ],
)
def test_verbs_refuse_in_one_line(run: Run, database: str, arguments: tuple[str, ...], says: str) -> None:
    if arguments[0] == "expire":
        from loma_memory.store import Store

        with Store.open(database) as store:
            store.session("nobody")
    code, _, err = run("sessions", *arguments, "--store", database)
    assert code == 2
    assert says in one_line(err)


def test_evaluation_prints_the_documented_keys(
    run: Run, tiny: str, tiny_adapter: str, tmp_path: Path
) -> None:
    file = tmp_path / "talk.jsonl"
    turns = [{"role": r, "content": f"words {i}"} for i in range(4) for r in ("user", "assistant")]
    file.write_text("\n".join(json.dumps({"id": str(n), "turns": turns}) for n in range(3)), encoding="utf-8")
    model = ("--model", tiny, "--adapter", tiny_adapter)
    code, out, _ = run("eval", "dialogue", file, *model, "--method", "ccm-concat", "--method", "full")
    assert code == 0
    both = json.loads(out)
    assert [r["method"] for r in both] == ["ccm-concat", "full"]
    wanted = (
        "method ratio conversations tokens loss gap_recovered gap_recovered_ci95 kl_recovered assistant"
        " by_turn slots_per_turn kv_bytes_per_turn seconds"
    )
    assert set(wanted.split()) <= set(both[0])
    assert both[1]["gap_recovered"] == pytest.approx(1.0, abs=1e-3)
    out_file = tmp_path / "recall.json"
    code, out, _ = run("eval", "recall", *model, "--turns", 1, "--limit", 2, "--json", out_file)
    assert (code, out) == (0, "")
    assert set(json.loads(out_file.read_text())["generated"]) == {"full", "none", "memory", "swapped"}


def test_tasks_questions_problems_and_repetition(
    run: Run, tiny: str, tiny_adapter: str, tmp_path: Path
) -> None:
    turns = [{"role": r, "content": f"{r} says {n}"} for n in range(3) for r in ("user", "assistant")]
    task = {"demos": [{"input": "a", "output": "b"}], "query": "c", "options": ["b", "d"], "answer": "d"}
    asked = [{"question": "Who?", "answer": "Ada"}, {"question": "When?", "answer": "now"}]
    lines = {"icl": task, "qa": {"turns": turns, "qa": asked}, "gsm8k": {"question": "1 + 1?", "answer": "2"}}
    model = ("--model", tiny, "--adapter", tiny_adapter, "--method", "ccm-concat")
    drawn = ("--plot", tmp_path / "drawn.png")
    wanted = {"icl": "by_demos", "qa": "f1", "gsm8k": "accuracy"}
    for name, line in lines.items():
        file = tmp_path / f"{name}.jsonl"
        file.write_text(json.dumps(line))
        few = ("--max-tokens", 4) if name == "gsm8k" else ()
        code, out, err = run("eval", name, file, *model, *few, *drawn)
        assert code == 0, err
        assert drawn[1].read_bytes()[:4] == b"\x89PNG"
        drawn[1].unlink()
        assert wanted[name] in json.loads(out)
    file = tmp_path / "qa.jsonl"
    code, _, err = run("eval", "repetition", file, *model, "--segment", 8)
    assert code == 2
    assert "method ccm-concat cannot restate" in one_line(err)
    code, _, err = run("eval", "icl", file, *model)
    assert code == 1
    assert "qa.jsonl:1: " in one_line(err)
    code, _, err = run("eval", "icl", tmp_path / "icl.jsonl", *model, "--demos", 0)
    assert code == 2
    assert "--demos must be at least 1, got 0" in one_line(err)
    again = save_tiny_adapter(tiny, tmp_path / "loma", method="loma", repeat_rows=1)
    code, out, _ = run(
        "eval", "repetition", file, "--model", tiny, "--adapter", again, "--segment", 8, "--limit", 2, *drawn
    )
    assert code == 0
    assert set(json.loads(out)) >= {"token_accuracy", "segment_accuracy", "edit_distance", "mean_ratio"}
    assert drawn[1].read_bytes()[:4] == b"\x89PNG"
    drawn[1].unlink()
    code, out, _ = run("eval", "recall", *model, "--turns", 0, 1, "--limit", 2, *drawn)
    assert code == 0
    assert [r["turns"] for r in json.loads(out)] == [0, 1]
    assert drawn[1].read_bytes()[:4] == b"\x89PNG"
    code, out, err = run("eval", "recall", *model, "--turns", 0, "--told", 2, "--limit", 2)
    assert code == 0
    assert json.loads(out)["told"] == 2
    assert "taken for another fact of the same sentence: {'full'" in err
    code, _, err = run("eval", "recall", *model, "--told", 99)
    assert code == 2
    assert "--told must be at most 16, the kinds of facts, got 99" in one_line(err)


def test_the_table_of_methods(run: Run, tiny: str, tiny_adapter: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.jsonl"
    turns = [{"role": r, "content": f"{r} says {n}"} for n in range(3) for r in ("user", "assistant")]
    file.write_text("\n".join(json.dumps({"turns": turns}) for _ in range(3)) + "\n")
    out = tmp_path / "table"
    model = ("--model", tiny, "--ratio", 4, "--out", out)
    trained = ("--trained", f"ccm-concat={tiny_adapter}", "--json", tmp_path / "t.json")
    code, _, err = run("eval", "table", file, *model, *trained)
    assert code == 0, err
    rows = {row["method"]: row for row in json.loads((tmp_path / "t.json").read_text())}
    assert set(rows) == {"full", "none", "window", "mean-pool", "heavy-hitter", "ccm-concat", "ccm-stream"}
    assert rows["full"]["gap_recovered"] == 1.0
    assert rows["none"]["gap_recovered"] == rows["none"]["slots_per_turn"] == 0.0
    assert rows["mean-pool"]["slots_per_turn"] == rows["heavy-hitter"]["slots_per_turn"]
    assert rows["ccm-concat"]["adapter"]
    assert not rows["window"]["adapter"]
    page = (tmp_path / "table.md").read_text()
    found = re.findall(r"^\| ([a-z-]+) \| ([-\d.]+)", page, re.MULTILINE)
    assert [float(gap) for _, gap in found] == sorted((float(gap) for _, gap in found), reverse=True)
    assert {name for name, _ in found} == set(rows)
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
    loma = save_tiny_adapter(tiny, tmp_path / "loma", method="loma", repeat_rows=1)
    code, _, err = run(
        "eval", "table", file, *model, "--trained", f"loma={loma}", "--json", tmp_path / "t.json"
    )
    assert code == 0, err
    names = {row["method"] for row in json.loads((tmp_path / "t.json").read_text())}
    assert "loma" in names
    assert "loma-retell" not in names, "slots that are the same stand in the table once"
    for wrong in ("ccm-concat", "no-such=x", "full="):
        code, _, err = run("eval", "table", file, *model, "--trained", wrong)
        assert code == 2
        assert "METHOD=FOLDER" in one_line(err)
    code, _, err = run("eval", "table", file, *model, "--method", "no-such")
    assert (code, "unknown method" in one_line(err)) == (2, True)


def test_data_errors_name_file_line_and_rule(run: Run, tiny: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(
        '{"turns": [{"role": "user", "content": "a"}]}\n{"turns": [{"role": "boss", "content": "a"}]}\n'
    )
    code, _, err = run("eval", "dialogue", file, "--model", tiny, "--method", "full")
    assert code == 1
    assert f"{file}:2: turns[0].role must be" in one_line(err)


def _spawn(arguments: list[str], **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "loma_memory.cli", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, **options)  # type: ignore


@pytest.mark.slow
def test_ctrl_c_stops_the_reply_and_keeps_the_session(tiny: str, tiny_adapter: str, database: str) -> None:
    model = ["--model", tiny, "--adapter", tiny_adapter, "--store", database]
    process = _spawn(["chat", *model, "--max-tokens", "1500"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    process.stdout.read(1)  # the reply has begun
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(b"/history\n", timeout=120)
    assert process.returncode == 0, err
    assert b"[stopped]" in out
    assert b"[1] user: hello" in out


@pytest.mark.slow
def test_a_killed_chat_loses_nothing_that_was_acknowledged(
    tiny: str, tiny_adapter: str, database: str, run: Run
) -> None:
    model = ["--model", tiny, "--adapter", tiny_adapter, "--store", database, "--max-tokens", "5"]
    process = _spawn(["chat", *model], stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    answered = 0
    for i in range(5):
        process.stdin.write(f"message {i}\n/stats\n".encode())
        process.stdin.flush()
        while b"turns" not in process.stdout.readline():
            pass
        answered += 1
    time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()
    shown = run("sessions", "show", "default", "--store", database)[1]
    assert [f"message {i}" in shown for i in range(answered)] == [True] * answered
    assert run("sessions", "verify", "--store", database)[0] == 0
