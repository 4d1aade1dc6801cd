"""The task of telling a text's class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainer.configs.text_models import TextClassifierConfig
from trainer.data.source import Source
from trainer.distributed import World
from trainer.evaluation.blocks import evaluate_blocks
from trainer.evaluation.classes import COLUMNS, report_classes, score_columns
from trainer.export.program import Exportable
from trainer.models.text_classifier import TextClassifier
from trainer.numbers.flops import Flops
from trainer.tasks.operations import count_operations
from trainer.tasks.task import describe_data, references
from trainer.tasks.text import TOKENIZER_FILE
from trainer.text.tokenizer import PADDING, special_token, token_bytes

BLOCK = 128
"""Held-out texts of one forward pass."""
LENGTH_MULTIPLE = 32
"""Batches are padded to such lengths, so that compiled code and memory meet few different ones."""


class LabelledTexts:
    """Texts as rows of tokens, each cut at `context` and padded to the longest of its batch."""

    noise_width = 0

    def __init__(
        self, tokens: NDArray[Any], offsets: NDArray[Any], labels: NDArray[Any], context: int, padding: int
    ) -> None:
        """Take all texts' tokens [n], where each text begins and ends [texts + 1], and its class [texts]."""
        self._tokens, self._labels, self._padding = tokens, labels, padding
        self._begins = np.asarray(offsets[:-1], dtype=np.int64)
        self._lengths = np.minimum(np.diff(offsets), context).astype(np.int64)
        self._context = context
        self.num_items = len(labels)

    def batch(self, items: NDArray[np.int64], noise: NDArray[np.float32]) -> dict[str, Tensor]:
        """Return {"tokens": int64 [n, length], "labels": int64 [n]}."""
        lengths = self._lengths[items]
        longest = max(int(lengths.max()), 1)
        width = min(-(-longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE, self._context)
        tokens = np.full((len(items), width), self._padding, np.int64)
        for row, begin, length in zip(tokens, self._begins[items].tolist(), lengths.tolist(), strict=True):
            row[:length] = self._tokens[begin : begin + length]
        return {"tokens": torch.from_numpy(tokens), "labels": torch.from_numpy(self._labels[items])}


class TextClassTask:
    """Texts to the classes that they are labelled with."""

    unit = "samples"
    units_per_sample = 1

    def __init__(self, config: TextClassifierConfig, data: Any) -> None:
        """Take a data set of labelled text: arrays by part, and `about` with its tokenizer and classes."""
        self.config = config
        self.data = data
        self.about: dict[str, Any] = data.about
        self.classes: list[str] = self.about["classes"]
        self.vocabulary_size = len(token_bytes(self.about["tokenizer"]))
        self.padding = special_token(self.about["tokenizer"], PADDING)
        self.source: Source = self._texts("train")
        self.held_out: Source = self._texts("held_out")

    def build_model(self) -> nn.Module:
        """Return the network with fresh weights."""
        return TextClassifier(self.config, self.vocabulary_size, len(self.classes), self.padding)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Return the mean cross-entropy in nats of a batch's texts, and how many there are."""
        return functional.cross_entropy(model(batch["tokens"]).float(), batch["labels"]), len(batch["labels"])

    def evaluate(self, model: nn.Module, world: World) -> dict[str, Any]:
        """Return accuracy and log loss on held-out texts, and the report beside them."""

        def run_block(items: NDArray[np.int64]) -> Tensor:
            batch = self.held_out.batch(items, np.zeros((len(items), 0), np.float32))
            return score_columns(model(batch["tokens"].to(world.device)), batch["labels"].to(world.device))

        found = evaluate_blocks(self.held_out.num_items, BLOCK, world, run_block, COLUMNS).numpy()
        return report_classes(found, self.classes, self.about["class_counts"], references(self.data))

    def describe(self) -> dict[str, Any]:
        """Return the classes, the tokenizer's file and what else the network is made by."""
        return {
            "classes": self.classes,
            "tokenizer": TOKENIZER_FILE,
            "vocabulary_size": self.vocabulary_size,
            "padding": self.padding,
            "data": describe_data(self.data),
        }

    def flops_per_sample(self) -> Flops | None:
        """Return the operations of a text as long as they may be."""
        config = self.config
        # Each token's query with each token's key, then the values by these.
        attention = 4.0 * config.num_layers * config.context**2 * config.width
        tokens = torch.zeros(1, config.context, dtype=torch.int64)
        return count_operations(self.build_model, (tokens,), attention)

    def exportable(self, model: nn.Module) -> Exportable | None:
        """Return the model from tokens to the probability of each class."""
        context = self.config.context
        return Exportable(
            module=TokensToShares(model),
            example=(torch.full((1, context), self.padding, dtype=torch.int64),),
            usage=f"print(model(torch.full((1, {context}), {self.padding})))",
            takes=(
                f"tokens, int64 [n, {context}]: a text's by tokenizer.json, what is longer cut, what is "
                f"shorter filled up behind with {self.padding}"
            ),
            gives=f"the probability of each class, float32 [n, {len(self.classes)}]",
        )

    def save_files(self, folder: Path, model: nn.Module) -> None:
        """Write tokenizer.json beside the weights."""
        (folder / TOKENIZER_FILE).write_text(self.about["tokenizer"], encoding="utf-8")

    def _texts(self, part: str) -> LabelledTexts:
        arrays = self.data.arrays(part)
        return LabelledTexts(
            arrays["tokens"], arrays["offsets"], arrays["labels"], self.config.context, self.padding
        )


class TokensToShares(nn.Module):
    """Tokens to probabilities: the network in use."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the probability of each class [n, classes] for tokens [n, context]."""
        shares: Tensor = self.model(tokens).float().softmax(dim=1)
        return shares
