"""What a recipe trains: the contract between the training loop and a kind of model and data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from trainer.config import Config
from trainer.configs.lora import LoraConfig
from trainer.configs.picture_models import PictureModelConfig
from trainer.configs.table_models import MLPConfig
from trainer.configs.text_models import GPTConfig, TextClassifierConfig
from trainer.data.source import Source
from trainer.distributed import World
from trainer.numbers.flops import Flops

if TYPE_CHECKING:
    from trainer.export.program import Exportable


class Task(Protocol):
    """A model, its data and its loss. Everything else of a run is the same for every task."""

    unit: str
    """What throughput counts: `samples` or `tokens`."""
    units_per_sample: int
    """Units of throughput that one sample has."""
    source: Source
    """The training items."""

    def build_model(self) -> nn.Module:
        """Return the model with fresh weights, drawn from torch's own generator."""
        ...

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Return the loss averaged over a micro-batch's terms, and how many terms it has."""
        ...

    def evaluate(self, model: nn.Module, world: World) -> dict[str, Any]:
        """Return the held-out metrics by name, and details of any form as `report`.

        The work is shared by all processes, all of which get the result: the same for any world size.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the model needs beside its configuration (classes, columns, characters)."""
        ...

    def flops_per_sample(self) -> Flops | None:
        """Return what a sample costs, or None where it is not known; then no MFU is reported."""
        ...

    def exportable(self, model: nn.Module) -> Exportable | None:
        """Return the model as a program that runs without this package, or None where it cannot be one."""
        ...


class OpenedData(Protocol):
    """A data set on this machine, as `trainer.data` opens it."""

    name: str
    kind: str
    """What its items are: `pictures`, `table`, `labelled_text` or `tokens`."""
    about: dict[str, Any]
    """What a task needs to know: classes or columns, references, source and licence."""
    report: dict[str, Any]
    """The data check."""
    digest: str
    """SHA-256 of its file or files."""
    train: Source
    held_out: Source


def class_counts(data: OpenedData, classes: Sequence[str]) -> list[int]:
    """Return how many training items each class has, as the data check counted them."""
    return [data.report["classes"][name]["train"] for name in classes]


def references(data: OpenedData) -> list[dict[str, Any]]:
    """Return what other methods reached on the held-out part, measured when the data was prepared."""
    return list(data.about.get("references", ()))


def describe_data(data: OpenedData) -> dict[str, Any]:
    """Return what a model's card says of the data: name, digest, kind, source, licence, items."""
    described: dict[str, Any] = {"name": data.name, "digest": data.digest, "kind": data.kind}
    described |= {key: data.about.get(key, "") for key in ("source", "licence", "grouped_by")}
    if data.kind in ("pictures", "table"):
        described |= {"train_items": data.train.num_items, "held_out_items": data.held_out.num_items}
    return described


def build_task(config: Config, data: Any) -> Task:
    """Return the task of the configuration's model over the opened data."""
    # A task's module is imported when it is the one that is run.
    if isinstance(config.model, PictureModelConfig):
        from trainer.tasks.pictures import PictureTask

        return PictureTask(config.model, data)
    if isinstance(config.model, MLPConfig):
        from trainer.tasks.table import TableTask

        return TableTask(config.model, data)
    if isinstance(config.model, LoraConfig):
        from trainer.tasks.finetune import FinetuneTask

        return FinetuneTask(config.model, data)
    if isinstance(config.model, TextClassifierConfig):
        from trainer.tasks.text_class import TextClassTask

        return TextClassTask(config.model, data)
    assert isinstance(config.model, GPTConfig)
    from trainer.tasks.text import TextTask

    return TextTask(config.model, data)
