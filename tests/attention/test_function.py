"""The attention function against transformers' own, and the models that are refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from families import FAMILIES, WINDOW, WINDOWED, build
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import DynamicCache

from loma_memory.attention import ATTENTION, AttentionCall, register
from loma_memory.attention.function import loma_attention
from loma_memory.engine.support import check_supported, position_limit
from loma_memory.errors import ModelError

register()

# SDPA has neither soft caps nor sinks; their eager form takes its softmax in float32.
EAGER = {"gemma2": 1e-4, "gpt-oss": 1e-4}


def some_ids(rows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(3, 67, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@torch.no_grad()
def test_plain_text_is_as_with_the_models_own_attention(family: str) -> None:
    # In float64 the eager softmax turns a row that is all padding into NaN, which spreads.
    precision = torch.float32 if family in EAGER else torch.float64
    model, ids = build(family, dtype=precision), some_ids(2, 3 * WINDOW)
    hidden = torch.ones_like(ids)
    hidden[1, :4] = 0  # left padding, as a 2-D mask
    model.set_attn_implementation("eager" if family in EAGER else "sdpa")
    own = model(input_ids=ids).logits
    own_padded = model(input_ids=ids, attention_mask=hidden).logits[hidden.bool()]
    model.set_attn_implementation(ATTENTION)
    close = EAGER.get(family, 1e-9)
    assert float((model(input_ids=ids).logits - own).abs().max()) < close
    padded = model(input_ids=ids, attention_mask=hidden).logits[hidden.bool()]
    assert float((padded - own_padded).abs().max()) < close
    assert float((padded - own[hidden.bool()]).abs().max()) > 1e-3, "the padding changes nothing: no test"


@torch.no_grad()
def test_with_a_cache_as_without(family: str) -> None:
    model, ids = build(family), some_ids(1, 2 * WINDOW)
    model.set_attn_implementation(ATTENTION)
    whole = model(input_ids=ids).logits
    cache: Any = DynamicCache()
    parts = []
    for first, last in ((0, 5), (5, 6), (6, 10), (10, 2 * WINDOW)):
        order = torch.ones(last, last, dtype=torch.bool).tril()[None, None, first:]
        positions = torch.arange(last)[None]
        call = AttentionCall(mask=order, query_positions=positions[:, first:], key_positions=positions)
        parts.append(
            model(
                input_ids=ids[:, first:last],
                attention_mask=call.mask,
                position_ids=call.query_positions,
                past_key_values=cache,
                loma=call,
            ).logits
        )
    assert float((torch.cat(parts, 1) - whole).abs().max()) < 1e-9


@torch.no_grad()
@pytest.mark.parametrize("family", WINDOWED)
def test_a_window_is_counted_in_positions_and_spares_memory(family: str) -> None:
    model, ids = build(family), some_ids(1, 4 * WINDOW)
    model.set_attn_implementation(ATTENTION)
    width = ids.shape[1]
    order, positions = torch.ones(1, 1, width, width, dtype=torch.bool).tril(), torch.arange(width)[None]

    def run(call: AttentionCall) -> Tensor:
        out: Tensor = model(input_ids=ids, attention_mask=call.mask, position_ids=positions, loma=call).logits
        return out

    own = model(input_ids=ids).logits
    told = run(AttentionCall(mask=order, query_positions=positions, key_positions=positions))
    assert float((told - own).abs().max()) < 1e-9
    spared = torch.zeros(1, width, dtype=torch.bool)
    spared[:, :2] = True
    exempt = AttentionCall(mask=order, query_positions=positions, key_positions=positions, key_exempt=spared)
    assert float((run(exempt) - own)[:, : WINDOW - 1].abs().max()) < 1e-9
    assert float((run(exempt) - own)[:, WINDOW + 1 :].abs().max()) > 1e-3
    assert float((run(AttentionCall(mask=order)) - own).abs().max()) > 1e-3, "without positions no window"


def test_the_windowed_mask() -> None:
    mask = torch.ones(1, 1, 2, 4, dtype=torch.bool)
    call = AttentionCall(
        mask=mask,
        query_positions=torch.tensor([[10, 11]]),
        key_positions=torch.tensor([[2, 7, 10, 11]]),
        key_exempt=torch.tensor([[True, False, False, False]]),
    )
    made = call.windowed_mask(4)
    assert made is not None
    assert made.tolist() == [[[[True, True, True, True], [True, False, True, True]]]]
    assert call.windowed_mask(4) is made, "made once for all layers"
    again = call.windowed_mask(1)
    assert again is not None
    assert again.tolist() == [[[[True, False, True, True], [True, False, False, True]]]]


# --- the function by itself --------------------------------------------------------------------------


def naive(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, cap: float | None, sink: Any
) -> Tensor:
    groups = q.shape[1] // k.shape[1]
    out = torch.zeros_like(q)
    for h in range(q.shape[1]):
        scores = q[:, h] @ k[:, h // groups].transpose(1, 2) * scale
        if cap is not None:
            scores = cap * torch.tanh(scores / cap)
        scores = scores.masked_fill(~mask[:, 0], -1e300)
        if sink is not None:
            column = sink[h].expand(*scores.shape[:2], 1)
            weights = torch.softmax(torch.cat([scores, column], -1), -1)[..., :-1]
        else:
            weights = torch.softmax(scores, -1)
        out[:, h] = weights @ v[:, h // groups]
    return out.transpose(1, 2)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 6),
    st.integers(0, 6),
    st.sampled_from(["plain", "products", "cap", "sinks"]),
    st.floats(0.05, 2),
    st.integers(0, 99),
)
def test_every_form_is_the_formula(
    batch: int, shared: int, groups: int, queries: int, past: int, form: str, scale: float, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    keys = past + queries

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    q, k = normal(batch, shared * groups, queries, 8), normal(batch, shared, keys, 8)
    v = normal(batch, shared, keys, 8)
    mask = torch.rand(batch, 1, queries, keys, generator=draw) < 0.6
    mask |= torch.ones(queries, keys, dtype=torch.bool).tril(past).triu(past)  # nobody sees nothing
    more: dict[str, Any] = {}
    if form == "cap":
        more["softcap"] = 1.5
    if form == "sinks":
        more["s_aux"] = normal(shared * groups)
    call = AttentionCall(mask=mask, products=form == "products")
    module = nn.Module().eval()
    out, weights = loma_attention(module, q, k, v, mask, scaling=scale, loma=call, **more)
    expected = naive(q, k, v, mask, scale, more.get("softcap"), more.get("s_aux"))
    assert weights is None
    assert float((out - expected).abs().max()) < 1e-12


def test_plain_causality_where_no_mask_is_given() -> None:
    q, k, v = (torch.randn(1, n, 5, 8, dtype=torch.float64) for n in (4, 2, 2))
    order = torch.ones(1, 1, 5, 5, dtype=torch.bool).tril()
    module = nn.Module().eval()
    for more in ({}, {"softcap": 2.0}, {"s_aux": torch.randn(4, dtype=torch.float64)}):
        told = loma_attention(module, q, k, v, order, **more)[0]
        assert torch.allclose(loma_attention(module, q, k, v, None, **more)[0], told, atol=1e-6)
        late = loma_attention(module, q[:, :, 3:], k, v, None, **more)[0]
        assert torch.allclose(late, told[:, 3:], atol=1e-6), "queries at the end of a cache"
    call = AttentionCall(products=True)
    for _ in range(3):  # masks that are made on the way must not be mistaken for one another
        late = loma_attention(module, q[:, :, 3:], k, v, None, loma=call)[0]
        short = loma_attention(module, q[:, :, 3:], k[:, :, 1:], v[:, :, 1:], None, loma=call)[0]
        whole = loma_attention(module, q, k, v, order)[0]
        assert torch.allclose(late, whole[:, 3:])
        assert short.shape == late.shape


def test_a_row_that_sees_nothing_gives_no_nan() -> None:
    q, k, v = (torch.randn(1, 2, 3, 8, requires_grad=True) for _ in range(3))
    mask = torch.ones(1, 1, 3, 3, dtype=torch.bool).tril()
    mask[..., 1, :] = False
    for products in (False, True):
        call = AttentionCall(mask=mask, products=products)
        out, _ = loma_attention(nn.Module().eval(), q, k, v, mask, loma=call)
        out.sum().backward()
        assert torch.isfinite(out).all()
        assert q.grad is not None
        assert torch.isfinite(q.grad).all()


def test_a_call_moves_with_everything_it_holds() -> None:
    mask, positions = torch.ones(1, 1, 2, 2, dtype=torch.bool), torch.arange(2)[None]
    mixes = torch.ones(1, 1, 2)
    call = AttentionCall((0, 1), mask, positions, positions, positions > 0, True, mixes, [])
    moved = call.to("meta")
    assert moved.gate == (0, 1)
    assert moved.products
    assert moved.received is call.received
    for name in ("mask", "query_positions", "key_positions", "key_exempt", "mixes"):
        assert getattr(moved, name).device.type == "meta"
    assert AttentionCall().to("cpu") == AttentionCall()


# --- models that are refused -------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


def refusable() -> dict[str, Any]:
    return {
        "linear": (hf.Qwen3NextConfig(**SMALL, layer_types=["linear_attention", "full_attention"]), "linear"),
        "conv": (hf.Lfm2Config(**SMALL, layer_types=["conv", "full_attention"]), "conv"),
        "chunked": (
            hf.Llama4TextConfig(
                **SMALL, layer_types=["chunked_attention"] * 2, num_local_experts=2, head_dim=16
            ),
            "chunked_attention",
        ),
        "latent": (
            hf.DeepseekV3Config(
                **SMALL,
                n_routed_experts=2,
                n_group=1,
                topk_group=1,
                num_experts_per_tok=1,
                moe_intermediate_size=16,
                kv_lora_rank=8,
                q_lora_rank=8,
                first_k_dense_replace=1,
            ),
            "latent attention",
        ),
        "absolute": (hf.GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2), "gpt2"),
        "recurrent": (hf.MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2), "mamba"),
    }


@pytest.mark.parametrize("kind", list(refusable()))
def test_refused_by_name(kind: str) -> None:
    config, words = refusable()[kind]
    with torch.device("meta"):
        model = hf.AutoModelForCausalLM.from_config(config)
    with pytest.raises(ModelError) as refused:
        check_supported(model)
    said = str(refused.value)
    assert words in said
    assert config.model_type in said
    assert "\n" not in said


def test_shared_keys_and_values_are_refused() -> None:
    config = SimpleNamespace(model_type="gemma3n_text", num_kv_shared_layers=2)
    config.get_text_config = lambda: config
    with pytest.raises(ModelError, match="gemma3n_text shares keys and values"):
        check_supported(SimpleNamespace(config=config))


def test_every_family_is_taken(family: str) -> None:
    check_supported(build(family))


def test_the_range_of_positions() -> None:
    plain = hf.LlamaConfig(max_position_embeddings=300)
    assert position_limit(plain) == 300
    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 100}
    assert position_limit(hf.LlamaConfig(max_position_embeddings=200, rope_parameters=rope)) == 100
    yarn = {**rope, "rope_type": "yarn"}
    assert position_limit(hf.LlamaConfig(max_position_embeddings=200, rope_parameters=yarn)) == 200
