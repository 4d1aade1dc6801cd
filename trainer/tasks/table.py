"""The task of telling a class or a number from a row of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainer.configs.table_models import MLPConfig
from trainer.data.source import Source
from trainer.distributed import World
from trainer.evaluation.blocks import evaluate_blocks, held_out_batch
from trainer.evaluation.classes import COLUMNS, report_classes, score_columns
from trainer.evaluation.numbers import report_numbers
from trainer.export.program import Exportable
from trainer.models.table_mlp import TableMLP, noise_width
from trainer.numbers.flops import Flops
from trainer.tasks.noise import WithNoise
from trainer.tasks.operations import count_operations
from trainer.tasks.task import OpenedData, class_counts, describe_data, references

BLOCK = 1024
"""Held-out rows of one forward pass."""


class TableTask:
    """Rows of numbers and categories to one of the target's classes, or to a number."""

    unit = "samples"
    units_per_sample = 1

    def __init__(self, config: MLPConfig, data: OpenedData) -> None:
        self.config = config
        self.data, self.about = data, data.about
        self.held_out = data.held_out
        self.target: dict[str, Any] = data.about["target"]
        self.classes: list[str] | None = self.target.get("classes")
        self.source: Source = WithNoise(data.train, noise_width(config))

    def build_model(self) -> nn.Module:
        """Return the network with fresh weights."""
        return build_table_model(self.config, self.about)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Return the rows' mean cross-entropy or squared standardised error, and how many rows there are."""
        scores = model(batch["numbers"], batch["categories"], batch.get("noise")).float()
        target = batch["target"]
        if self.classes is not None:
            labels = target.long()[:, None].expand(scores.shape[:2])
            return functional.cross_entropy(scores.flatten(0, 1), labels.flatten()), len(target)
        # In float64: of the seconds since 1970, float32 knows every hundredth alone.
        standardised = ((target.double() - self.target["mean"]) / self.target["std"]).float()
        wanted = standardised[:, None].expand(scores.shape[:2])
        return functional.mse_loss(scores[:, :, 0], wanted), len(target)

    def evaluate(self, model: nn.Module, world: World) -> dict[str, Any]:
        """Return the metrics on held-out rows, and the report beside them."""

        def run_block(items: NDArray[np.int64]) -> Tensor:
            batch = held_out_batch(self.held_out, items, world.device)
            answers = self.answers(model(batch["numbers"], batch["categories"]))
            if self.classes is None:
                return torch.stack((batch["target"].double(), answers.double()), dim=1)
            return score_columns(answers.clamp_min(1e-30).log(), batch["target"].long())

        columns = COLUMNS if self.classes is not None else 2
        found = evaluate_blocks(self.held_out.num_items, BLOCK, world, run_block, columns).numpy()
        if self.classes is not None:
            counts = class_counts(self.data, self.classes)
            return report_classes(found, self.classes, counts, references(self.data))
        return report_numbers(found[:, 0], found[:, 1], self.target["mean"], references(self.data))

    def answers(self, scores: Tensor) -> Tensor:
        """Return the members' mean: probabilities [n, classes], or numbers [n], float64, in their unit."""
        return mean_of_members(scores, self.target)

    def describe(self) -> dict[str, Any]:
        """Return the columns and the target, as whoever prepares a row needs them."""
        kept = {key: self.about[key] for key in ("columns", "target")}
        return kept | {"data": describe_data(self.data)}

    def flops_per_sample(self) -> Flops | None:
        """Return the operations of one row."""
        outputs = len(self.classes) if self.classes is not None else 1
        heads = 2.0 * self.config.members * self.config.width * outputs
        return count_operations(self.build_model, example_row(self.about), heads)

    def exportable(self, model: nn.Module) -> Exportable | None:
        """Return the model from raw numbers and codes to probabilities or numbers."""
        numbers, categories = example_row(self.about)
        numbers = numbers.double()
        names = [column["name"] for column in self.about["columns"] if column["kind"] == "number"]
        coded = [column["name"] for column in self.about["columns"] if column["kind"] == "category"]
        gives = f"the {self.target['name']}, float64 [n]"
        if self.classes is not None:
            gives = f"the probability of each class, float32 [n, {len(self.classes)}]"
        return Exportable(
            module=RowPredictor(model, self.about),
            example=(numbers, categories),
            usage=(
                f"print(model(torch.zeros(1, {len(names)}, dtype=torch.float64), "
                f"torch.zeros(1, {len(coded)}, dtype=torch.long)))"
            ),
            takes=(
                f"numbers, float64 [n, {len(names)}], as they stand in the table, NaN where missing; codes, "
                f"int64 [n, {len(coded)}]: the place of each category among its column's `values` in "
                "config.json, counted from 1, or 0 for any other"
            ),
            gives=gives,
        )


class RowPredictor(nn.Module):
    """Raw numbers and codes to probabilities or numbers: what lies around the network in use."""

    def __init__(self, model: nn.Module, about: dict[str, Any]) -> None:
        super().__init__()
        self.model = model
        self.target: dict[str, Any] = about["target"]
        columns = [column for column in about["columns"] if column["kind"] == "number"]
        for name, key in (("means", "mean"), ("scales", "std")):
            values = torch.tensor([column[key] for column in columns], dtype=torch.float64)
            self.register_buffer(name, values, persistent=False)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Return probabilities [n, classes] or numbers [n] of numbers [n, N], float64, and codes [n, C]."""
        assert isinstance(self.means, Tensor) and isinstance(self.scales, Tensor)
        standardised = ((numbers - self.means) / self.scales).float()
        return mean_of_members(self.model(standardised, categories), self.target)


def mean_of_members(scores: Tensor, target: dict[str, Any]) -> Tensor:
    """Return the members' mean of scores [n, members, outputs]: probabilities, or numbers (float64)."""
    if target["kind"] == "class":
        return scores.float().softmax(dim=2).mean(dim=1)
    answers: Tensor = scores[:, :, 0].double().mean(dim=1) * target["std"] + target["mean"]
    return answers


def build_table_model(config: MLPConfig, about: dict[str, Any]) -> TableMLP:
    """Return the network for the columns and the target that `about` describes, with fresh weights."""
    sizes = [len(column["values"]) + 1 for column in about["columns"] if column["kind"] == "category"]
    num_numbers = sum(column["kind"] == "number" for column in about["columns"])
    target = about["target"]
    return TableMLP(config, num_numbers, sizes, len(target["classes"]) if target["kind"] == "class" else 1)


def example_row(about: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return a row of zeros: numbers [1, N] and codes [1, C]."""
    kinds = [column["kind"] for column in about["columns"]]
    return torch.zeros(1, kinds.count("number")), torch.zeros(1, kinds.count("category"), dtype=torch.int64)
