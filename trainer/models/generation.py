"""Draws text from a GPT, token by token."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainer.models.gpt import GPT
from trainer.models.transformer import KeyValueCache


@torch.no_grad()
def generate(
    model: GPT,
    tokens: list[int],
    count: int,
    *,
    temperature: float = 0.8,
    top_k: int | None = None,
    seed: int = 1,
    end_token: int | None = None,
) -> list[int]:
    """Return up to `count` tokens drawn from the model's own predictions after `tokens`, which are not none.

    A temperature below 1 draws likely tokens more often than their share, 0 always the likeliest; only the
    `top_k` likeliest are drawn. It ends at the `end_token`, which is not returned. The same seed, the same
    text.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn: list[int] = []
    caches: list[KeyValueCache] = []
    new = tokens[-model.context :]
    seen = 0
    for _ in range(count):
        if not caches or seen + len(new) > model.context:
            # Keys know their place, so a full window begins anew with its last half.
            new = (tokens + drawn)[-max(model.context // 2, 1) :] if caches else new
            caches, seen = [KeyValueCache() for _ in model.blocks], 0
        scores = model(torch.tensor([new]), caches=caches)[0, -1, : model.vocabulary_size].float()
        seen += len(new)
        token = _draw(scores, temperature, top_k, generator)
        if token == end_token:
            break
        drawn.append(token)
        new = [token]
    return drawn


def _draw(scores: Tensor, temperature: float, top_k: int | None, generator: torch.Generator) -> int:
    """Return a token drawn by its scores [vocabulary]."""
    if temperature == 0:
        return int(scores.argmax())
    if top_k is not None and top_k < len(scores):
        scores = scores.masked_fill(scores < scores.topk(top_k).values[-1], float("-inf"))
    shares = functional.softmax(scores / temperature, dim=-1)
    return int(torch.multinomial(shares, 1, generator=generator))
