"""The two trainings, whole, by the command line: what they leave, and going on from an adapter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_chat import save_tiny_adapter

from loma_memory.cli import main
from loma_memory.engine.engine import Engine
from loma_memory.evaluation import talk
from loma_memory.memory import MemoryState
from loma_memory.methods.lococo import LoCoCo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small talk as a conversation file."""
    path = tmp_path_factory.mktemp("talk") / "talk.jsonl"
    rows = [
        {"turns": [{"role": m.role, "content": m.text} for turn in d.turns for m in turn]}
        for d in talk.dialogues()
    ]
    path.write_text("\n".join(json.dumps(r) for r in rows) + "\n", encoding="utf-8")
    return path


def train(kind: str, file: Path, tiny: str, out: Path, *more: str) -> list[dict[str, Any]]:
    """Run a short training; its log."""
    common = ["--model", tiny, "--out", str(out), "--steps", "2", "--lengths", "400", "--tokens", "800"]
    code = main(["train", kind, str(file), *common, "--dtype", "float32", "--device", "cpu", *more])
    assert code == 0
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def weights(out: Path) -> dict[str, Any]:
    return load_file(out / "adapter" / "adapter_model.safetensors")


def test_a_memory_adapter_and_going_on_from_it(file: Path, tiny: str, tmp_path: Path) -> None:
    first = train("memory", file, tiny, tmp_path / "a", "--rank", "2", "--lr", "0.3")
    assert [e["step"] for e in first] == [1, 2]
    assert all(e["loss"] >= 0 for e in first)
    settings = json.loads((tmp_path / "a" / "adapter" / "loma_adapter.json").read_text())
    assert (settings["method"], settings["rank"]) == ("ccm-concat", 2)
    train("memory", file, tiny, tmp_path / "b", "--init", str(tmp_path / "a" / "adapter"), "--lr", "1e-9")
    before, after = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert before.keys() == after.keys()
    assert all((after[k].float() - before[k].float()).abs().max() < 1e-4 for k in before)
    train("memory", file, tiny, tmp_path / "c", "--rank", "2", "--lr", "1e-9")
    fresh = weights(tmp_path / "c")
    assert any((fresh[k].float() - before[k].float()).abs().max() > 1e-3 for k in before)


def test_another_methods_adapter_is_a_beginning(file: Path, tiny: str, tmp_path: Path) -> None:
    train("memory", file, tiny, tmp_path / "a", "--rank", "2", "--lr", "0.3")
    begin = ["--init", str(tmp_path / "a" / "adapter"), "--lr", "1e-9"]
    train("memory", file, tiny, tmp_path / "b", *begin, "--method", "loma")
    before, after = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all((after[k].float() - before[k].float()).abs().max() < 1e-4 for k in before)
    tables = [
        load_file(tmp_path / x / "adapter" / "loma_memory_tokens.safetensors")["weight"] for x in ("a", "b")
    ]
    assert torch.allclose(tables[1][:8], tables[0], atol=1e-4)
    mean = tables[0].mean(0)
    assert torch.allclose(tables[1][8], mean, atol=1e-4), "rows that restate are new"
    apart = torch.cdist(tables[1][8:], tables[1][8:]) + torch.eye(8)
    assert apart.min() > 0.1 * mean.norm(), "and differ from the first step on"
    settings = json.loads((tmp_path / "b" / "adapter" / "loma_adapter.json").read_text())
    assert (settings["method"], settings["repeat_rows"]) == ("loma", 8)
    logs = [(tmp_path / x / "log.jsonl").read_text().splitlines() for x in ("a", "b")]
    assert settings["trained_tokens"] == sum(json.loads(lines[-1])["tokens"] for lines in logs)
    begin[1] = str(tmp_path / "b" / "adapter")
    train("memory", file, tiny, tmp_path / "c", *begin, "--method", "ccm-merge")
    back = load_file(tmp_path / "c" / "adapter" / "loma_memory_tokens.safetensors")["weight"]
    assert torch.allclose(back, tables[0], atol=1e-4), "and goes where it is not needed"


def test_an_adapter_with_one_row_that_restates_goes_on_with_eight(
    file: Path, tiny: str, tmp_path: Path
) -> None:
    old = Path(save_tiny_adapter(tiny, tmp_path, method="loma", repeat_rows=1))
    train("memory", file, tiny, tmp_path / "a", "--method", "loma", "--init", str(old), "--lr", "1e-9")
    before = load_file(old / "loma_memory_tokens.safetensors")["weight"]
    after = load_file(tmp_path / "a" / "adapter" / "loma_memory_tokens.safetensors")["weight"]
    assert (len(before), len(after)) == (9, 16)
    assert torch.allclose(after[:9], before, atol=1e-4)


def test_facts_among_the_models_own_answers(
    file: Path, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps([[f"Tell me of {n}.", f"It is {n}."] for n in range(30)] + [["Hm?", " "]]))
    log = train("memory", file, tiny, tmp_path / "a", "--rank", "2", "--planted", "1", "--own", str(answers))
    assert any("answers" in e for e in log)
    answers.write_text("[1, 2")
    base = ["train", "memory", str(file), "--model", tiny, "--out", str(tmp_path / "b")]
    assert main([*base, "--own", str(answers)]) == 1
    assert f"cannot read own answers from {answers}" in capsys.readouterr().err
    assert main([*base, "--own", str(tmp_path / "none.json")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_restating_alone(file: Path, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = ["--restate-only", "--rank", "2"]
    log = train("memory", file, tiny, tmp_path / "a", "--method", "loma", *alone)
    table = load_file(tmp_path / "a" / "adapter" / "loma_memory_tokens.safetensors")["weight"]
    assert len(table) == 16
    assert all(0 <= e["restated"] <= 1 and "agree" not in e for e in log)
    whole = train("memory", file, tiny, tmp_path / "w", "--method", "loma", "--rank", "2")
    assert log[-1]["tokens"] < whole[-1]["tokens"], "later turns are not trained on, and not counted"
    for wrong, why in (
        (["--method", "ccm-concat"], "restate_only is a setting of methods that restate, not of ccm-concat"),
        (["--method", "loma", "--labels", "0.5"], "labels cannot be set with it"),
    ):
        base = ["train", "memory", str(file), "--model", tiny, "--out", str(tmp_path / "b")]
        assert main([*base, *alone, *wrong]) == 2
        assert why in capsys.readouterr().err


def test_both_ways_of_restating_take_turns_on_one_adapter(
    file: Path, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--model", tiny, "--lengths", "400", "--tokens", "800", "--rank", "2", "--dtype", "float32"]
    both = ["--method", "loma", "loma-retell", "--restate-only"]
    assert main(["train", "memory", str(file), *common, *both, "--out", str(tmp_path), "--steps", "12"]) == 0
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"restated", "retold"} == {k for e in log for k in e if k in ("restated", "retold")}
    adapter = str(tmp_path / "adapter")
    for method in ("loma", "loma-retell"):
        assert Engine.load(tiny, adapter=adapter, method_name=method).reader.method.name == method
    capsys.readouterr()
    for wrong, why in (
        (["loma", "ccm-merge"], "must read the same adapter, got loma and ccm-merge"),
        (["loma", "window"], "method must be one that is trained"),
    ):
        base = ["train", "memory", str(file), "--model", tiny, "--out", str(tmp_path / "b")]
        assert main([*base, "--method", *wrong]) == 2
        assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    "method", ["ccm-merge", "ccm-concat-apart", "ccm-merge-apart", "replace", "gist-online", "loma", "lococo"]
)
def test_every_method_with_an_adapter_can_be_trained_and_talked_to(
    method: str, file: Path, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("memory", file, tiny, tmp_path / "m", "--method", method, "--rank", "2")
    capsys.readouterr()
    adapter = str(tmp_path / "m" / "adapter")
    model = ["--model", tiny, "--adapter", adapter, "--method", method, "--max-tokens", "3"]
    store = f"sqlite:///{tmp_path / 'chats.db'}"
    for turn in (1, 2):
        assert main(["chat", *model, "--store", store, "--message", "Hello", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["turn"], told["tokens_reread"]) == (turn, 0)
        assert told["slots"] > 0


def test_convolutions_with_a_lora_on_text(
    file: Path, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lococo = ["--method", "lococo", "--slots", "8"]
    train("memory", file, tiny, tmp_path / "a", *lococo, "--lora-rank", "2", "--lr", "0.3")
    made = tmp_path / "a" / "adapter"
    assert json.loads((made / "adapter_config.json").read_text())["base_model_name_or_path"] is None
    assert any("lora_B" in k and v.abs().max() > 0 for k, v in weights(tmp_path / "a").items())
    engines = [Engine.load(tiny, adapter=made, method_name="lococo", device="cpu", dtype="float32")]
    bare = tmp_path / "bare"
    shutil.copytree(made, bare, ignore=shutil.ignore_patterns("adapter_*"))
    engines.append(Engine.load(tiny, adapter=bare, method_name="lococo", device="cpu", dtype="float32"))
    assert all(isinstance(e.method, LoCoCo) and e.method.slots == 8 for e in engines)
    assert engines[0].fingerprint != engines[1].fingerprint
    with_lora, without = (e.reader.run([MemoryState()], [[[7, 8, 9]]]).hidden for e in engines)
    assert not torch.allclose(with_lora, without, atol=1e-4)
    train("memory", file, tiny, tmp_path / "b", *lococo, "--init", str(made), "--lr", "1e-9")
    before, after = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all((after[k].float() - before[k].float()).abs().max() < 1e-4 for k in before)
    for wrong in (["--slots", "8"], ["--lora-rank", "2"], ["--method", "lococo", "--lora-rank", "-1"]):
        common = ["train", "memory", str(file), "--model", tiny, "--out", str(tmp_path / "c")]
        assert main([*common, *wrong]) == 2
    assert "lora_rank must be at least 0, got -1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--labels", "2"], "labels must be a share between 0 and 1, got 2.0"),
        (["--quoted", "-0.1"], "quoted must be a share between 0 and 1, got -0.1"),
        (["--planted", "nan"], "planted must be a share between 0 and 1, got nan"),
        (["--method", "lococo", "--labels", "0.5"], "not of lococo"),
        (["--zone", "1"], "--zone must be at least 2 tokens and --text whole zones, got 1 and 112"),
        (["--zone", "16", "--text", "100"], "whole zones, got 16 and 100"),
    ],
)
def test_shares_and_zones_are_checked(
    wrong: list[str], said: str, file: Path, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "memory", str(file), "--model", tiny, "--out", str(tmp_path), *wrong]) == 2
    assert said in capsys.readouterr().err


def test_running_text_is_trained_on_in_zones(file: Path, tiny: str, tmp_path: Path) -> None:
    train("memory", file, tiny, tmp_path, "--zone", "8", "--text", "16", "--labels", "0.5", "--quoted", "0.5")
    assert any("lora_B" in k and v.abs().max() > 0 for k, v in weights(tmp_path).items())


def test_a_text_adapter_makes_its_own_answers_once(
    file: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loma_memory.training import runs

    monkeypatch.setattr(runs, "own_prompts", lambda dialogues, seed: ["Hello!", "Who are you?", "Thanks."])
    train("text", file, tiny, tmp_path / "t", "--rank", "2")
    answers = json.loads((tmp_path / "t" / "answers.json").read_text())
    assert [p for p, _ in answers] == ["Hello!", "Who are you?", "Thanks."]
    (tmp_path / "u").mkdir()
    (tmp_path / "u" / "answers.json").write_text(json.dumps([[p, "Kept."] for p, _ in answers]))
    train("text", file, tiny, tmp_path / "u", "--init", str(tmp_path / "t" / "adapter"), "--lr", "1e-9")
    kept = json.loads((tmp_path / "u" / "answers.json").read_text())
    assert {a for _, a in kept} == {"Kept."}, "answers that are there are not made again"
    before, after = weights(tmp_path / "t"), weights(tmp_path / "u")
    assert all((after[k].float() - before[k].float()).abs().max() < 1e-4 for k in before)
