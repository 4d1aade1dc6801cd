"""The models of text: sizes, losses that need not be whole, what may look at what, drawing with a cache."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainer.configs.text_models import GPT_SIZES, GPTConfig, TextClassifierConfig
from trainer.models.generation import generate
from trainer.models.gpt import GPT
from trainer.models.text_classifier import TextClassifier
from trainer.models.token_loss import chunked_cross_entropy, linear_cross_entropy
from trainer.models.transformer import FeedForward, hidden_width

pytestmark = pytest.mark.torch
SMALL = GPTConfig(width=32, num_layers=2, num_heads=2, context=24)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def small_gpt(config: GPTConfig = SMALL) -> GPT:
    """Return a GPT whose weights are large enough to tell tokens apart."""
    torch.manual_seed(0)
    model = GPT(config, vocabulary_size=70).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    return model


@pytest.mark.parametrize(
    ("size", "vocabulary", "millions"),
    [("10m", 8192, 10), ("50m", 50_257, 51), ("124m", 50_257, 124), ("350m", 50_257, 354),
     ("760m", 50_257, 757), ("1.3b", 50_257, 1311)],
)  # fmt: skip
def test_a_size_has_the_parameters_that_it_is_named_after(size: str, vocabulary: int, millions: int) -> None:
    with torch.device("meta"):
        model = GPT(GPTConfig(size=size), vocabulary)  # type: ignore[arg-type]
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6) == millions


def test_gpt_2_s_shape_has_a_vocabulary_that_is_a_multiple_of_64_and_every_size_whole_heads() -> None:
    with torch.device("meta"):
        model = GPT(GPTConfig(size="124m"), 50_257)
    assert model.embedding.num_embeddings % 64 == 0
    assert 50_257 <= model.embedding.num_embeddings <= 50_304
    for name in GPT_SIZES:
        assert list(GPTConfig(size=name).faults()) == []  # type: ignore[arg-type]


def test_what_is_given_wins_over_the_size() -> None:
    shape = GPTConfig(size="124m", context=64, num_layers=2).shape
    assert (shape.context, shape.num_layers, shape.width, shape.num_heads) == (64, 2, 768, 12)


@pytest.mark.parametrize("kind", ["relu2", "gelu", "swiglu"])
def test_every_feed_forward_has_about_as_many_weights_and_can_learn(kind: FeedForward) -> None:
    config = GPTConfig(width=96, num_layers=1, num_heads=2, context=16, feed_forward=kind)
    model = GPT(config, 70)
    block = model.blocks[0]
    assert isinstance(block.feed_forward_in, torch.nn.Linear)  # type: ignore[union-attr]
    weights = sum(
        p.numel() for name, p in block.named_parameters() if "feed_forward_" in name and p.dim() > 1
    )
    assert weights == pytest.approx(8 * 96**2, rel=0.05)
    tokens = torch.randint(0, 70, (2, 17))
    model(tokens[:, :-1], tokens[:, 1:]).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def test_the_gate_of_a_swiglu_doubles_what_goes_in_and_not_what_comes_out() -> None:
    block = GPT(GPTConfig(width=96, num_heads=2, feed_forward="swiglu"), 70).blocks[0]
    inside = hidden_width(96, "swiglu")
    assert block.feed_forward_in.out_features == 2 * inside  # type: ignore[union-attr]
    assert block.feed_forward_out.in_features == inside  # type: ignore[union-attr]


def test_the_loss_in_the_model_is_the_cross_entropy_of_its_scores() -> None:
    model, tokens = small_gpt(), torch.randint(0, 70, (3, 25), generator=torch.Generator().manual_seed(1))
    inside = model(tokens[:, :-1], tokens[:, 1:])
    outside = functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    assert inside.item() == pytest.approx(outside.item(), rel=1e-6)


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_scores_made_in_chunks_give_the_same_loss_and_gradients(rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(33, 8, generator=generator, requires_grad=True)
    weight = torch.randn(50, 8, generator=generator, requires_grad=True)
    targets = torch.randint(0, 50, (33,), generator=generator)
    targets[5:9] = -100  # tokens that are not learned

    def found(loss: Tensor) -> list[Tensor]:
        return [loss, *torch.autograd.grad(3 * loss, (hidden, weight))]

    whole = found(linear_cross_entropy(hidden, weight, targets))
    for one, other in zip(whole, found(chunked_cross_entropy(hidden, weight, targets, rows)), strict=True):
        torch.testing.assert_close(one, other)


def test_the_loss_of_chunks_is_exact_to_more_than_bfloat16_under_autocast() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(64, 16, generator=generator), torch.randn(90, 16, generator=generator)
    targets = torch.randint(0, 90, (64,), generator=generator)
    hidden.requires_grad_(), weight.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = chunked_cross_entropy(hidden, weight, targets, 10)
    assert loss.dtype == torch.float32
    assert loss.item() != loss.bfloat16().item()
    loss.backward()
    assert hidden.grad is not None and hidden.grad.dtype == torch.float32


def test_the_model_trains_under_autocast_without_a_warning() -> None:
    model, tokens = small_gpt().train(), torch.randint(0, 70, (2, 25))
    with warnings.catch_warnings(), torch.autocast("cpu", torch.bfloat16):
        warnings.simplefilter("error")
        loss = model(tokens[:, :-1], tokens[:, 1:])
    loss.backward()
    assert loss.dtype == torch.float32


def test_a_token_sees_nothing_that_comes_after_it() -> None:
    model, tokens = small_gpt(), torch.randint(0, 70, (1, 24))
    changed = tokens.clone()
    changed[0, 12:] = (changed[0, 12:] + 1) % 70
    torch.testing.assert_close(model(tokens)[0, :12], model(changed)[0, :12])
    assert not torch.allclose(model(tokens)[0, 12:], model(changed)[0, 12:])


def test_untied_scores_have_weights_of_their_own() -> None:
    tied, untied = GPT(SMALL, 70), GPT(GPTConfig(width=32, num_layers=2, num_heads=2, tied=False), 70)
    assert "scores.weight" in untied.state_dict()
    assert not any("scores" in name for name in tied.state_dict())


def test_drawing_with_a_cache_gives_what_drawing_without_one_would() -> None:
    model, prompt = small_gpt(), [3, 1, 4, 1, 5]
    plain = list(prompt)
    with torch.no_grad():
        for _ in range(15):
            plain.append(int(model(torch.tensor([plain]))[0, -1, :70].argmax()))
    assert generate(model, prompt, 15, temperature=0) == plain[5:]


def test_a_text_longer_than_the_context_goes_on_and_padding_tokens_are_never_drawn() -> None:
    model = small_gpt()
    drawn = generate(model, list(range(60)), 90, temperature=2.0, seed=7)
    assert len(drawn) == 90
    assert max(drawn) < 70
    assert generate(model, list(range(60)), 90, temperature=2.0, seed=7) == drawn
    assert generate(model, list(range(60)), 90, temperature=2.0, seed=8) != drawn


def test_top_1_is_the_likeliest_token_at_any_temperature_and_the_end_token_ends() -> None:
    model, prompt = small_gpt(), [9, 8, 7]
    likeliest = generate(model, prompt, 5, temperature=0)
    assert generate(model, prompt, 5, temperature=5.0, top_k=1) == likeliest
    end = likeliest[2]
    assert generate(model, prompt, 5, temperature=0, end_token=end) == likeliest[: likeliest.index(end)]


@pytest.mark.parametrize("num_layers", [0, 2])
def test_padding_changes_nothing_of_what_a_classifier_says(num_layers: int) -> None:
    torch.manual_seed(0)
    config = TextClassifierConfig(width=16, num_layers=num_layers, num_heads=2, context=40, pair_buckets=50)
    model = TextClassifier(config, vocabulary_size=60, num_classes=3, padding=1).eval()
    torch.nn.init.normal_(model.embedding.weight)
    text = torch.randint(2, 60, (2, 9))
    padded = torch.cat((text, torch.ones(2, 31, dtype=torch.int64)), dim=1)
    torch.testing.assert_close(model(text), model(padded))
    empty = torch.ones(1, 8, dtype=torch.int64)
    assert bool(model(empty).isfinite().all())


def test_token_pairs_tell_orders_apart_and_single_tokens_do_not() -> None:
    one, other = torch.tensor([[5, 6, 7]]), torch.tensor([[7, 6, 5]])
    for buckets in (0, 1000):
        torch.manual_seed(0)
        config = TextClassifierConfig(width=16, num_heads=2, pair_buckets=buckets)
        model = TextClassifier(config, vocabulary_size=60, num_classes=3, padding=1).eval()
        assert torch.allclose(model(one), model(other), atol=1e-7) == (buckets == 0)


def test_a_model_whose_scores_are_too_many_for_the_memory_learns_the_same() -> None:
    tokens = torch.randint(0, 70, (3, 25), generator=torch.Generator().manual_seed(1))
    found = []
    for most in (10**9, 0):
        model = small_gpt()
        model.most_scores = most
        loss = model(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    torch.testing.assert_close(found[0], found[1])
