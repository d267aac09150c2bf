"""The engine: memory as bytes, fingerprints of everything it depends on, refusals in one line."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_chat import CHATML, byte_tokenizer, save_tiny, save_tiny_adapter, tiny_model

from loma_memory.data import Message
from loma_memory.engine import engine as rooms
from loma_memory.engine.engine import Engine
from loma_memory.engine.replies import ReplySettings
from loma_memory.errors import AdapterError, LomaError, ModelError, UsageError
from loma_memory.memory import MemoryState

TURN = [Message("user", "My name is Ada."), Message("assistant", "Hello Ada!")]
ASK = [Message("user", "What is my name?")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapter(model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_adapter(model, tmp_path_factory.mktemp("adapter"))


def load(model: str, adapter: str | None = None, **more: Any) -> Engine:
    return Engine.load(model, adapter=adapter, device="cpu", dtype=more.pop("dtype", "float32"), **more)


@pytest.fixture(scope="module")
def engine(model: str, adapter: str) -> Engine:
    return load(model, adapter)


@pytest.mark.parametrize("codec_name", ["raw", "int8", "int4"])
@pytest.mark.parametrize("method_name", ["ccm-concat", "full", "none", "window"])
def test_memory_goes_through_bytes_and_comes_back_the_same(
    model: str, adapter: str, method_name: str, codec_name: str
) -> None:
    """A session that never stopped goes on with what a restored one would have."""
    engine = load(model, adapter, method_name=method_name, codec_name=codec_name)
    state, written = engine.remember(MemoryState(), [TURN, TURN])
    assert [len(t) for t in written] == [2, 2]
    restored = MemoryState()
    for turn in written:
        restored = engine.grow(restored, [engine.restore(w.data) for w in turn])
    assert restored.slots == state.slots
    assert restored.text_tokens == state.text_tokens == 2 * sum(map(len, engine.tokens(TURN)))
    for a, b in zip(state.segments, restored.segments, strict=True):
        assert a.equal(b)
    one, _ = engine.remember(state, [TURN])
    two, _ = engine.remember(restored, [TURN])
    assert all(a.equal(b) for a, b in zip(one.segments, two.segments, strict=True))
    again, _ = engine.remember(MemoryState(), [TURN, TURN])
    assert all(a.equal(b) for a, b in zip(state.segments, again.segments, strict=True))
    assert {w.codec for t in written for w in t} == {codec_name}


def test_a_reply(engine: Engine) -> None:
    state, _ = engine.remember(MemoryState(), [TURN])
    settings = ReplySettings(max_tokens=8)
    said = "".join(engine.reply(state, ASK, settings))
    assert said == "".join(engine.reply(state, ASK, settings))
    stream = engine.reply(state, ASK, settings)
    list(stream)
    assert 0 < stream.tokens <= 8
    assert stream.finish in ("stop", "length")
    other = "".join(engine.reply(state, ASK, settings, system="Answer in Latin."))
    assert isinstance(other, str)
    with pytest.raises(UsageError, match="kept for the reply"):
        engine.reply(state, ASK, ReplySettings(max_tokens=2045))
    with pytest.raises(UsageError, match="a turn may hold"):
        engine.remember(state, [[Message("user", "x" * 3000)]])


def test_replies_from_threads_do_not_meet(engine: Engine) -> None:
    """Each pass takes the model's lock, so the gate of one is never seen by another."""
    states = [engine.remember(MemoryState(), [TURN] * n)[0] for n in range(3)]
    settings = ReplySettings(max_tokens=6)
    alone = ["".join(engine.reply(s, ASK, settings)) for s in states]
    found: dict[int, str] = {}

    def work(i: int) -> None:
        for _ in range(3):
            found[i] = "".join(engine.reply(states[i], ASK, settings))
            engine.remember(states[i], [TURN])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(3)] == alone


def test_counting(engine: Engine) -> None:
    assert engine.count("Ada") == 3
    assert engine.count("<|im_end|>") == len("<|im_end|>")
    whole = engine.tokens(ASK)
    assert engine.prompt_tokens(ASK) == len(whole[0]) + len(engine.loaded.format.prefix_ids("assistant"))


# --- fingerprints ------------------------------------------------------------------------------------


def test_equal_engines_have_equal_fingerprints(engine: Engine, model: str, adapter: str) -> None:
    again = load(model, adapter)
    assert again.fingerprint == engine.fingerprint
    assert again.settings == engine.settings
    assert engine.fingerprint.startswith("b2:")


def test_a_fingerprint_changes_with_everything_that_memory_depends_on(
    engine: Engine, model: str, adapter: str, tmp_path: Path
) -> None:
    names = {"it": engine.fingerprint}
    names["ratio"] = load(model, adapter, ratio=4).fingerprint
    names["method"] = load(model, adapter, method_name="full").fingerprint
    names["codec"] = load(model, adapter, codec_name="int8").fingerprint
    names["dtype"] = load(model, adapter, dtype="bfloat16").fingerprint
    for file in ("adapter_model", "loma_memory_tokens"):
        changed = tmp_path / file
        changed.mkdir()
        for source in Path(adapter).iterdir():
            (changed / source.name).write_bytes(source.read_bytes())
        weights = load_file(changed / f"{file}.safetensors")
        key = sorted(weights)[-1]
        weights[key] = weights[key] + 1e-3
        save_file(weights, changed / f"{file}.safetensors")
        names[file] = load(model, str(changed)).fingerprint
    plain = load(model).fingerprint
    names["template"] = load(save_tiny(tmp_path / "t", template=CHATML + " ")).fingerprint
    names["weights"] = load(save_tiny(tmp_path / "w", seed=1)).fingerprint
    names["range"] = load(save_tiny(tmp_path / "r", positions=1024)).fingerprint
    assert plain == names["method"], "method full uses no adapter"
    assert len(set(names.values())) == len(names), names


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"method_name": "magic"},
            UsageError,
            "unknown method 'magic': it must be one of full, none, window",
        ),
        ({"method_name": "ccm-concat", "ratio": 0.5}, UsageError, "ratio must be .* at least 1 .*got 0.5"),
        ({"method_name": "ccm-concat", "ratio": float("nan")}, UsageError, "got nan"),
        ({"method_name": "ccm-concat"}, UsageError, "needs an adapter trained for .*name one with --adapter"),
        ({"codec_name": "zip"}, UsageError, "codec must be one of raw, int8, int4"),
        ({"device": "quantum"}, UsageError, "device must be one that exists here .*'quantum'"),
        ({"dtype": "int3"}, UsageError, "dtype must be one of .*'int3'"),
        ({"adapter": "nowhere"}, AdapterError, "no memory adapter at nowhere"),
    ],
    ids=str,
)
def test_bad_options(model: str, options: dict[str, Any], error: type[LomaError], words: str) -> None:
    with pytest.raises(error, match=words) as raised:
        Engine.load(model, **{"device": "cpu", **options})
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == (2 if error is UsageError else 1)


def test_models_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "half"
    save_tiny(folder)
    (folder / "config.json").write_text("{")
    bare = tmp_path / "bare"
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = None
    tiny_model(tokenizer).save_pretrained(bare)
    tokenizer.save_pretrained(bare)
    short = tmp_path / "short"
    save_tiny(short)
    weights = short / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    for name in (str(tmp_path / "nowhere"), str(folder), str(bare), str(short)):
        with pytest.raises(ModelError) as raised:
            load(name)
        assert "\n" not in str(raised.value)


def test_an_adapter_of_another_model(adapter: str, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="trained on other weights"):
        load(save_tiny(tmp_path, seed=5), adapter)


def test_shared_engines(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_shared", {})
    one = rooms.shared(model, device="cpu", dtype="float32", method_name="full")
    assert rooms.shared(model, dtype="float32", device="cpu", method_name="full", progress=print) is one
    assert rooms.shared(model, device="cpu", dtype="float32", method_name="none") is not one


def test_the_default_method_follows_the_adapter(model: str, engine: Engine) -> None:
    assert engine.method.name == "ccm-concat"
    assert load(model).method.name == "full"
    assert torch.float32 == engine.loaded.dtype
