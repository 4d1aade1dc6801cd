"""The cross-entropy of next-token scores, made so that the scores of all tokens need not exist at once."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BYTES_PER_SCORE = 14
"""What a score costs on the way to the gradient: itself, its gradient (bf16 each), and as many numbers of
float32 for the exponentials, their share of the sum and that share's gradient; rounded."""
SHARE_OF_MEMORY = 0.25
"""Scores may take that share of a GPU's memory at once; where they would take more, chunks are made."""
CHUNK_SCORES = 2**28
"""Scores of a chunk (1 GiB of float32): enough rows for a matrix product at full speed."""


def most_scores() -> int:
    """Return how many scores may be made at once on this process's GPU; as many as there are without one."""
    if not torch.cuda.is_available():
        return sys.maxsize
    memory = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    return int(SHARE_OF_MEMORY * memory / BYTES_PER_SCORE)


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, most: int = sys.maxsize) -> Tensor:
    """Return the mean cross-entropy in nats (float32) of `hidden @ weight.T` against the targets.

    hidden [n, width], weight [vocabulary, width], targets [n]; a target of -100 counts for nothing. More than
    `most` scores are made in chunks.
    """
    if hidden.shape[0] * weight.shape[0] > most:
        rows = max(128, CHUNK_SCORES // weight.shape[0])
        loss: Tensor = chunked_cross_entropy(hidden, weight, targets, rows)
        return loss
    return functional.cross_entropy(functional.linear(hidden, weight).float(), targets)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def chunked_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
    """Return the same mean, made from the scores of `rows` tokens at a time; never compiled."""
    if torch.is_autocast_enabled(hidden.device.type):
        number_format = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(number_format), weight.to(number_format)
    total: Tensor = _ChunkedCrossEntropy.apply(hidden, weight, targets, rows)  # type: ignore[no-untyped-call]
    return total / (targets != -100).sum().clamp(min=1)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of the tokens' cross-entropies; the gradient is made on the way, while a chunk's scores are there.

    `torch.nn.functional.linear_cross_entropy` (torch 2.13) works the same way, but rounds the loss to the
    scores' bfloat16 (0.4 %), which metrics.jsonl would show, cuts GPT-2's scores into chunks of 256 rows,
    and is not in the older versions that a node may have.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
        """Return the sum, float32; keep the gradients of hidden and weight for the backward pass."""
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        hidden_gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        # Added up over the chunks in float32: bfloat16 would lose the small ones.
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for at in range(0, len(hidden), rows):
            part, wanted = hidden[at : at + rows], targets[at : at + rows]
            scores = functional.linear(part, weight).float()
            total += functional.cross_entropy(scores, wanted, reduction="sum")
            slope = scores.softmax(dim=1)
            known = (wanted != -100).unsqueeze(1)
            slope.scatter_add_(1, wanted.clamp(min=0).unsqueeze(1), -known.to(slope.dtype))
            slope = (slope * known).to(weight.dtype)
            if hidden_gradient is not None:
                hidden_gradient[at : at + rows] = slope @ weight
            if weight_gradient is not None:
                weight_gradient += slope.T @ part
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        ctx.weight_type = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Return the kept gradients times the sum's own."""
        (slope,) = slopes
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return (
            None if hidden_gradient is None else hidden_gradient * slope.to(hidden_gradient.dtype),
            None if weight_gradient is None else (weight_gradient * slope).to(ctx.weight_type),
            None,
            None,
        )
