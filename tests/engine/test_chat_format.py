"""Chat templates taken apart: what is put together again is what the template itself renders."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_chat import CHATML, byte_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from loma_memory.engine.chat_format import ChatFormat
from loma_memory.errors import ModelError, UsageError

SMOLLM = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{% set first = messages[0]['content'] + '\n\n' %}{% set rest = messages[1:] %}"
    "{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}"
    "{% for message in rest %}{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + (first if loop.first else '') + message['content'] | trim"
    " + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
TEMPLATES = {"chatml": CHATML, "smollm": SMOLLM, "llama3": LLAMA3, "mistral": MISTRAL, "gemma": GEMMA}
SPECIAL = [
    "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "[INST]", "[/INST]", "<start_of_turn>", "<end_of_turn>",
]  # fmt: skip
CORPUS = [
    "The user asks how the weather is today, and the assistant says that it is fine.",
    "My name is Ada and I am allergic to nuts. What should I avoid at dinner tonight?",
] * 20


def trained_tokenizer(template: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with merges, so that words and borders matter."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(CORPUS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=SPECIAL,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template
    return tokenizer


TOKENIZERS = {name: trained_tokenizer(template) for name, template in TEMPLATES.items()}
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip).filter(bool)
# A template is no place to look for other models' markers: text that holds none is plain.
plain_texts = texts.filter(lambda t: not any(s in t for s in SPECIAL))


def rendered(tokenizer: Any, messages: list[dict[str, str]], ask: bool = False) -> list[int]:
    ids = tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=ask, return_dict=True)
    return list(ids["input_ids"])


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_put_together_it_is_what_the_template_renders(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    form = ChatFormat.of(tokenizer)
    start = form.header_ids() if form.header else []

    @settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(plain_texts, plain_texts), min_size=1, max_size=3), plain_texts)
    def check(pairs: list[tuple[str, str]], question: str) -> None:
        messages, ids = [], list(start)
        for user, assistant in pairs:
            messages += [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
            ids += form.message_ids("user", user) + form.message_ids("assistant", assistant)
        mistral = name == "mistral"  # a space of its template joins the first word of a reply
        if mistral:
            assert tokenizer.decode(ids) == tokenizer.decode(rendered(tokenizer, messages))
        else:
            assert ids == rendered(tokenizer, messages)
        messages.append({"role": "user", "content": question})
        ids += form.message_ids("user", question)
        if not mistral:
            assert ids + form.prefix_ids("assistant") == rendered(tokenizer, messages, ask=True)

    check()


def test_the_parts_by_name() -> None:
    form = ChatFormat.of(TOKENIZERS["smollm"])
    assert form.header == "<|im_start|>system\nYou are a helpful AI assistant named SmolLM<|im_end|>\n"
    assert form.prefixes == {
        "user": "<|im_start|>user\n",
        "assistant": "<|im_start|>assistant\n",
        "note": "<|im_start|>user\n",
    }
    assert form.suffixes == dict.fromkeys(("user", "assistant", "note"), "<|im_end|>\n")
    mistral = ChatFormat.of(TOKENIZERS["mistral"])
    assert (mistral.header, mistral.prefixes["user"], mistral.suffixes["user"]) == (
        "<s>",
        "[INST] ",
        " [/INST]",
    )
    assert (mistral.prefixes["assistant"], mistral.suffixes["assistant"]) == (" ", "</s>")
    gemma = ChatFormat.of(TOKENIZERS["gemma"])
    assert gemma.prefixes["assistant"] == "<start_of_turn>model\n"


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_what_ends_a_reply(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    ends = {
        "chatml": "<|im_end|>",
        "smollm": "<|im_end|>",
        "llama3": "<|eot_id|>",
        "mistral": "</s>",
        "gemma": "<end_of_turn>",
    }
    form = ChatFormat.of(tokenizer, (7,))
    stops = {tokenizer.convert_tokens_to_ids(ends[name]), tokenizer.eos_token_id, 7}
    assert form.stop_ids == tuple(sorted(stops))


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_special_tokens_that_a_user_types_stay_text(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    form = ChatFormat.of(tokenizer)
    special = set(tokenizer.all_special_ids)
    harmless = sum(i in special for i in form.message_ids("user", "x"))

    @settings(deadline=None, max_examples=40)
    @given(
        st.lists(st.sampled_from([*SPECIAL, " ", "system\n", "hello"]), min_size=1, max_size=6).map("".join)
    )
    def check(text: str) -> None:
        if not text.strip():
            return
        for role in ("user", "assistant", "note"):
            ids = form.message_ids(role, text)
            assert sum(i in special for i in ids) == sum(i in special for i in form.message_ids(role, "x"))
            body = ids[len(form.prefix_ids(role)) : len(ids) - len(form.suffix_ids(role))]
            assert tokenizer.decode(body) == text.strip()
            assert not special & set(body)
        assert not special & set(form.plain(text))

    check()
    assert harmless > 0, "the template has special tokens of its own"
    opened = tokenizer("<|im_end|>", add_special_tokens=False).input_ids
    assert len(opened) == 1, "without the switch it would be special"


def test_targets_are_the_words_and_the_token_that_ends_them() -> None:
    form = ChatFormat.of(TOKENIZERS["smollm"])
    ids, words = form.targets("assistant", " Fine, thanks. ")
    assert ids == form.message_ids("assistant", "Fine, thanks.")
    chosen = [i for i, w in zip(ids, words, strict=True) if w]
    assert form.tokenizer.decode(chosen) == "Fine, thanks.<|im_end|>"
    assert words.index(True) == len(form.prefix_ids("assistant"))
    with pytest.raises(UsageError, match="role must be one of user, assistant, note, got 'system'"):
        form.targets("system", "x")
    with pytest.raises(UsageError, match="got 'tool'"):
        form.message_ids("tool", "x")


# --- the sink and the system prompt ------------------------------------------------------------------


def test_the_sink_is_the_header_or_one_begin_token() -> None:
    for name, start in (("smollm", None), ("llama3", "<s>"), ("chatml", "<s>"), ("gemma", "<s>")):
        form = ChatFormat.of(TOKENIZERS[name])
        ids = form.header_ids()
        if start is None:
            assert form.tokenizer.decode(ids) == form.header
            assert len(ids) > 5
        else:
            assert ids == [form.tokenizer.convert_tokens_to_ids(start)]
    nameless = trained_tokenizer(CHATML)
    nameless.bos_token = None
    assert ChatFormat.of(nameless).header_ids() == [nameless.convert_tokens_to_ids("<|im_start|>")]


@pytest.mark.parametrize("name", ["chatml", "smollm", "llama3"])
def test_a_system_prompt_takes_the_headers_place(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    form = ChatFormat.of(tokenizer)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert form.system_ids("Be brief.") + form.message_ids("user", "Hello") == rendered(tokenizer, messages)
    # What is typed into it opens and closes nothing.
    typed = form.system_ids("a<|im_end|>b<|eot_id|>")
    special = set(tokenizer.all_special_ids)
    plain = form.system_ids("ab")
    assert [i for i in typed if i in special] == [i for i in plain if i in special]


def test_a_system_prompt_that_a_template_folds_into_the_first_message_stands_alone() -> None:
    form = ChatFormat.of(TOKENIZERS["gemma"])
    said = form.tokenizer.decode(form.system_ids("Be brief."))
    assert said == "<s><start_of_turn>user\nBe brief.<end_of_turn>\n"


def test_a_template_without_system_prompts_says_so() -> None:
    with pytest.raises(UsageError, match="takes no system prompt") as raised:
        ChatFormat.of(TOKENIZERS["mistral"]).system_ids("Be brief.")
    assert "\n" not in str(raised.value)


# --- templates that cannot be used -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (None, "no chat template"),
        ("{{ 1 / 0 }}", "cannot be rendered"),
        ("{% for m in messages %}{{ nothing.at.all }}{% endfor %}", "cannot be rendered"),
        ("{{ raise_exception('no') }}", "cannot be rendered: no"),
        ("hello", "does not show every message"),
        ("{{ messages[-1].content }}", "does not show every message"),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "does not show every message"),
        (
            "{% for m in messages %}{{ '#' if loop.first else '@' }}{{ m.content }};{% endfor %}",
            "unlike the others",
        ),
    ],
)
def test_refused_templates(template: str | None, words: str) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(ModelError, match=words) as raised:
        ChatFormat.of(tokenizer)
    assert "\n" not in str(raised.value)


@pytest.mark.real
def test_the_real_tokenizer() -> None:
    from transformers import AutoTokenizer

    from loma_memory.engine import fetch

    folder = fetch.cache_folder() / "models" / "smollm2-135m-instruct"
    if not (folder / "tokenizer.json").exists():
        pytest.skip("the real model has not been fetched")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    form = ChatFormat.of(tokenizer)

    @settings(deadline=None, max_examples=30)
    @given(plain_texts, plain_texts)
    def check(user: str, assistant: str) -> None:
        messages = [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
        ids = form.header_ids() + form.message_ids("user", user) + form.message_ids("assistant", assistant)
        assert ids == rendered(tokenizer, messages)

    check()
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in form.stop_ids
    assert not set(form.plain("<|im_start|><|im_end|><|endoftext|>")) & set(tokenizer.all_special_ids)


def test_threads_do_not_share_the_choice_of_special_tokens() -> None:
    """The tokenizer keeps as its own state whether special tokens in a text count as such."""
    form = ChatFormat.of(byte_tokenizer())
    typed = "a <|im_end|> typed by a user"
    expected = form.message_ids("user", typed)

    def encode(_: int) -> bool:
        return form.message_ids("user", typed) == expected

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(encode, range(4000)))
    finally:
        sys.setswitchinterval(before)
