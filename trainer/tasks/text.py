"""The task of predicting the next token of a text."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.config import ConfigError
from trainer.configs.text_models import GPTConfig
from trainer.data.source import Source
from trainer.distributed import World
from trainer.evaluation.blocks import evaluate_blocks
from trainer.evaluation.text import compressor_references, report_windows, unigram_reference
from trainer.models.gpt import GPT
from trainer.numbers.flops import Flops, transformer_flops
from trainer.tasks.task import describe_data
from trainer.text.tokenizer import token_bytes

if TYPE_CHECKING:
    from trainer.export.program import Exportable

EVALUATION_WINDOWS = 512
"""Windows of held-out text that are looked at, at most; spread evenly over it."""
EVALUATION_SCORES = 2**25
"""Scores of an evaluation's batch (128 MiB of float32)."""
REFERENCE_TOKENS = 2_000_000
"""Training tokens, the first ones, that references are made from."""
TOKENIZER_FILE = "tokenizer.json"


class TextTask:
    """Windows of `context` tokens, each to predict its text moved on by one.

    Raises ConfigError where the context is longer than the text, or its held-out part, has room for.
    """

    unit = "tokens"

    def __init__(self, config: GPTConfig, data: Any) -> None:
        """Take a data set of text: its tokens by part, and `about` with its characters or its tokenizer."""
        self.config = config
        self.about: dict[str, Any] = data.about
        self.context = config.shape.context
        self.data = data
        longest = longest_context(
            *(max(len(shard) for shard in data.tokens(part)) for part in ("train", "held_out"))
        )
        if self.context > longest:
            raise ConfigError(
                [f"model.context: {self.context} is too long for this text, which allows at most {longest}"]
            )
        pieces = token_pieces(self.about)
        # Shards of somebody else's tokens can come without the tokenizer: then their bytes are not known.
        self.vocabulary_size = int(self.about["vocabulary"]) if pieces is None else len(pieces)
        self.pieces = pieces
        self._known: list[dict[str, Any]] = []
        self.units_per_sample = self.context
        # Each epoch cuts the text at other places: a sample's noise moves its window by up to a context.
        self.source: Source = data.token_source("train", self.context, shifted=True)
        self.held_out: Source = data.token_source("held_out", self.context)

    def build_model(self) -> nn.Module:
        """Return the transformer with fresh weights."""
        return GPT(self.config, vocabulary_size=self.vocabulary_size)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Return the mean cross-entropy in nats of the windows [n, context + 1], and the tokens predicted."""
        tokens = batch["tokens"]
        loss: Tensor = model(tokens[:, :-1], tokens[:, 1:])
        return loss, tokens[:, 1:].numel()

    def evaluate(self, model: nn.Module, world: World) -> dict[str, Any]:
        """Return held-out loss, perplexity and bits a byte, beside what counting and compressing reach."""
        count = min(EVALUATION_WINDOWS, self.held_out.num_items)
        places = np.linspace(0, self.held_out.num_items - 1, count).astype(np.int64)
        windows = self.held_out.batch(places, np.zeros((count, 0), np.float32))["tokens"]
        rows = max(1, EVALUATION_SCORES // (self.context * self.vocabulary_size))

        def run_block(items: NDArray[np.int64]) -> Tensor:
            return window_losses(model, windows[items[0] : items[-1] + 1].to(world.device))

        losses = evaluate_blocks(count, min(rows, 64), world, run_block, columns=1).numpy()[:, 0]
        targets = windows[:, 1:].numpy()
        sizes = None
        if self.pieces is not None:
            sizes = np.array([len(piece) for piece in self.pieces], dtype=np.float64)[targets].sum(axis=1)
        # Whoever writes the report measures them, and once: the text is the same at each evaluation.
        if world.is_main and not self._known:
            self._known = self._references(targets, None if sizes is None else float(sizes.sum()))
        return report_windows(losses, sizes, self.context, self._known)

    def describe(self) -> dict[str, Any]:
        """Return the characters by token, or the file of the tokenizer and the number of its tokens."""
        kept = {name: value for name, value in self.about.items() if name != "tokenizer"}
        if "tokenizer" in self.about:
            kept |= {"tokenizer": TOKENIZER_FILE}
        return kept | {
            "vocabulary_size": self.vocabulary_size,
            "data": describe_data(self.data),
        }

    def flops_per_sample(self) -> Flops:
        """Return what a window costs; attention counts in full, and the formula says what half of it is."""
        with torch.device("meta"):
            model = GPT(self.config, vocabulary_size=self.vocabulary_size)
        shape, rows = self.config.shape, model.embedding.num_embeddings
        matrices = sum(p.numel() for p in model.blocks.parameters() if p.dim() > 1)
        flops = transformer_flops(
            parameters=matrices,
            num_layers=shape.num_layers,
            width=shape.width,
            context=shape.context,
            vocabulary_size=rows,
        )
        masked = 6.0 * shape.num_layers * shape.width * shape.context * shape.context
        causal = flops.forward_backward_per_sample - masked
        return dataclasses.replace(
            flops, formula=f"{flops.formula}; {causal:.4g} with the masked half of attention left out"
        )

    def exportable(self, model: nn.Module) -> Exportable | None:
        """Return nothing: text is drawn token by token, for which the program alone is no help."""
        return None

    def save_files(self, folder: Path, model: nn.Module) -> None:
        """Write tokenizer.json beside the weights, where the text has a tokenizer."""
        if "tokenizer" in self.about:
            (folder / TOKENIZER_FILE).write_text(self.about["tokenizer"], encoding="utf-8")

    def _references(self, targets: NDArray[np.int64], size: float | None) -> list[dict[str, Any]]:
        pieces, first = self.pieces, self.data.tokens("train")[0][:REFERENCE_TOKENS]
        known = unigram_reference(first, targets.ravel(), self.vocabulary_size, size)
        if pieces is None:
            return [known]
        train, text = (b"".join(pieces[token] for token in part) for part in (first, targets.ravel()))
        return [known, *compressor_references(train, text)]


def window_losses(model: nn.Module, windows: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats [n, 1] of each of the windows [n, length + 1]."""
    scores = model(windows[:, :-1]).float()
    losses = nn.functional.cross_entropy(scores.transpose(1, 2), windows[:, 1:], reduction="none")
    return losses.double().mean(dim=1, keepdim=True)


def token_pieces(about: dict[str, Any]) -> list[bytes] | None:
    """Return the bytes of each token of a text with such an `about`: characters, or a tokenizer's JSON.

    None where it has neither, or the tokenizer is not byte-level.
    """
    if "tokenizer" in about:
        try:
            return token_bytes(about["tokenizer"])
        except ValueError:
            return None
    if "characters" not in about:
        return None
    # Token 0 stands for characters that were not spelled out: whatever they were, it counts as one byte.
    return [b"?", *(character.encode() for character in about["characters"][1:])]


def longest_context(train: int, held_out: int) -> int:
    """Return the longest context that texts of so many tokens allow.

    Two windows and the token to predict after them fit the training text, one the held-out text.
    """
    return min((train - 1) // 2, held_out - 1)
