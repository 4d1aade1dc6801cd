"""The networks and tasks for pictures and tables: what they promise of one item, a batch and its parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainer.configs.models import DigitsCNNConfig, MLPConfig, ResNetConfig, ViTConfig
from trainer.configs.settings import ConfigError
from trainer.data.bundled_sets import make_bundled
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.prepared import write_prepared
from trainer.distributed import World
from trainer.models.table_mlp import TableMLP
from trainer.tasks.augment import crop_pictures, shift_pictures
from trainer.tasks.pictures import PictureTask, build_picture_model
from trainer.tasks.table import RowPredictor, TableTask, example_row

pytestmark = pytest.mark.torch
ALONE = World(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))
PICTURE_MODELS = (
    (DigitsCNNConfig(channels=8), (1, 8, 8)),
    (ResNetConfig(depth=10, width=8), (3, 20, 12)),
    (ResNetConfig(depth=50, width=8), (3, 96, 100)),
    (ViTConfig(size="nano"), (3, 16, 24)),
)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """Return the bundled data sets that scikit-learn ships, prepared."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("data")
    names = ("digits", "breast_cancer", "diabetes", "wine")
    return {name: open_dataset(write_prepared(folder / name, make_bundled(name), name, {})) for name in names}


def batch_of(task: PictureTask | TableTask, count: int, seed: int = 0) -> dict[str, Tensor]:
    """Return the first training items with some noise."""
    noise = np.random.default_rng(seed).uniform(-1, 1, (count, task.source.noise_width)).astype(np.float32)
    return task.source.batch(np.arange(count), noise)


def trained(task: PictureTask | TableTask, steps: int, rate: float = 3e-3) -> nn.Module:
    """Return the task's model after a few steps on random items."""
    torch.manual_seed(0)
    model, generator = task.build_model(), np.random.default_rng(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for _ in range(steps):
        items = generator.integers(0, task.source.num_items, 64)
        noise = generator.uniform(-1, 1, (64, task.source.noise_width)).astype(np.float32)
        loss, terms = task.loss(model, task.source.batch(items, noise))
        assert terms == 64
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@pytest.mark.parametrize(("config", "shape"), PICTURE_MODELS)
def test_what_is_said_of_a_picture_does_not_depend_on_the_others_in_its_batch(
    config: Any, shape: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    model, pictures = build_picture_model(config, shape, 7).train(), torch.rand(3, *shape)
    nn.init.normal_(model.get_parameter("head.weight"))
    with torch.no_grad():
        together, alone = model(pictures), torch.cat([model(picture[None]) for picture in pictures])
    assert together.shape == (3, 7)
    assert torch.allclose(together, alone, atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=1e-4)


def test_a_resnet_begins_as_nothing_but_its_shortcuts() -> None:
    model = build_picture_model(ResNetConfig(depth=18, width=8), (3, 16, 16), 2)
    block = model.get_submodule("blocks.0")
    x = torch.rand(2, 8, 4, 4)
    assert torch.equal(block(x), x)


def test_patches_that_do_not_fill_the_picture_are_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"model\.patch: patches of 16 x 16 do not fill .* 100 x 120"):
        build_picture_model(ViTConfig(), (3, 100, 120), 2)


def test_no_noise_leaves_a_picture_as_it_is_and_a_mirror_turns_it_round() -> None:
    pictures, still = torch.rand(2, 3, 6, 9), torch.zeros(2, 4)
    assert torch.allclose(shift_pictures(pictures, still), pictures, atol=1e-5)
    whole = torch.tensor([[-1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    seen = crop_pictures(pictures, whole)
    assert torch.allclose(seen[0], pictures[0], atol=1e-5)
    assert torch.allclose(seen[1], pictures[1].flip(2), atol=1e-5)


def test_a_crop_shows_nothing_from_beyond_the_picture() -> None:
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 0.999])] * 4)
    assert torch.allclose(
        crop_pictures(torch.ones(16, 1, 10, 14), corners), torch.ones(16, 1, 10, 14), atol=1e-4
    )


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes"])
def test_the_loss_of_a_batch_is_that_of_its_parts(name: str, datasets: dict[str, Dataset]) -> None:
    task: Any = PictureTask(DigitsCNNConfig(channels=8), datasets[name]) if name == "digits" else None
    task = task or TableTask(MLPConfig(width=32, dropout=0.5), datasets[name])
    torch.manual_seed(0)
    model, batch = task.build_model().requires_grad_(False), batch_of(task, 12)
    losses = [task.loss(model, {key: each[part] for key, each in batch.items()})
              for part in (slice(12), slice(5), slice(5, 12))]  # fmt: skip
    (whole, count), *parts = losses
    assert count == 12
    assert float(sum(loss * terms for loss, terms in parts) / 12) == pytest.approx(float(whole), rel=1e-5)


def test_dropout_is_drawn_from_each_row_s_own_noise(datasets: dict[str, Dataset]) -> None:
    task = TableTask(MLPConfig(width=16, num_blocks=1, dropout=0.25), datasets["wine"])
    model, batch = task.build_model(), batch_of(task, 40)
    dropped = model(batch["numbers"], batch["categories"], batch["noise"])
    torch.manual_seed(5)
    assert torch.equal(dropped, model(batch["numbers"], batch["categories"], batch["noise"]))
    assert not torch.allclose(dropped, model(batch["numbers"], batch["categories"]))
    hidden = torch.ones(40, 2, 16)
    assert isinstance(model, TableMLP)
    kept = model._drop(hidden, batch["noise"], 0)
    assert sorted(kept.unique().tolist()) == pytest.approx([0, 4 / 3])
    assert float((kept == 0).float().mean()) == pytest.approx(0.25, abs=0.05)


def test_missing_numbers_and_unknown_categories_have_an_answer_and_unknown_is_neutral() -> None:
    torch.manual_seed(0)
    model = TableMLP(MLPConfig(width=16, frequencies=2), 3, [4, 9], 2)
    numbers = torch.tensor([[float("nan"), 0.5, -1.0]])
    scores = model(numbers, torch.zeros(1, 2, dtype=torch.long))
    assert scores.isfinite().all()
    assert torch.equal(model.embeddings[0](torch.tensor([0])), torch.zeros(1, 6))  # type: ignore[operator]
    # A missing number is told from one that is the mean.
    mean = model(torch.tensor([[0.0, 0.5, -1.0]]), torch.zeros(1, 2, dtype=torch.long))
    assert not torch.allclose(scores, mean)


@pytest.mark.parametrize(
    ("name", "metric", "least"), [("breast_cancer", "accuracy", 0.93), ("diabetes", "r2", 0.3)]
)
def test_a_table_is_learned_far_beyond_the_trivial_baseline(
    name: str, metric: str, least: float, datasets: dict[str, Dataset]
) -> None:
    task = TableTask(MLPConfig(width=32, dropout=0.2), datasets[name])
    model = trained(task, 120)
    with torch.no_grad():
        metrics = task.evaluate(model, ALONE)
    report = metrics["report"]
    assert metrics[metric] > least
    assert report["metrics"][metric]["low"] > report["baseline"]["metrics"][metric]["value"]


def test_the_program_around_a_table_s_network_takes_raw_numbers(datasets: dict[str, Dataset]) -> None:
    task = TableTask(MLPConfig(width=16), datasets["diabetes"])
    model = trained(task, 5)
    columns = [column for column in task.about["columns"] if column["kind"] == "number"]
    batch = batch_of(task, 9)
    means, scales = (torch.tensor([column[key] for column in columns]) for key in ("mean", "std"))
    with torch.no_grad():
        program = RowPredictor(model, task.about)(batch["numbers"] * scales + means, batch["categories"])
        assert torch.allclose(program, task.answers(model(batch["numbers"], batch["categories"])), rtol=1e-3)


@pytest.mark.parametrize(
    "config", [DigitsCNNConfig(channels=8), ResNetConfig(depth=50, width=8), ViTConfig(size="nano")]
)
def test_the_operations_of_a_picture_are_those_that_torch_counts(
    config: Any, datasets: dict[str, Dataset]
) -> None:
    task = PictureTask(config, datasets["digits"])
    model, picture = task.build_model(), torch.zeros(1, *task.shape, requires_grad=True)
    flops = task.flops_per_sample()
    with FlopCounterMode(display=False) as counter:
        model(picture).sum().backward()
    assert flops is not None
    # torch does not count fused attention on a CPU: 64 patches of 64 numbers, scores and mixing, 4 layers.
    attention = 3 * 4 * 2 * (2 * 64 * 64 * 64) if isinstance(config, ViTConfig) else 0
    assert flops.forward_backward_per_sample == counter.get_total_flops() + attention


def test_the_operations_of_a_row_are_those_that_torch_counts(datasets: dict[str, Dataset]) -> None:
    task = TableTask(MLPConfig(width=16), datasets["wine"])
    state = torch.get_rng_state()
    flops = task.flops_per_sample()
    assert torch.equal(torch.get_rng_state(), state)
    model, (numbers, codes) = task.build_model(), example_row(task.about)
    with FlopCounterMode(display=False) as counter:
        model(numbers.requires_grad_(), codes).sum().backward()
    assert flops is not None
    assert flops.forward_backward_per_sample == counter.get_total_flops()


def test_an_unknown_depth_and_width_are_refused_together() -> None:
    assert list(ResNetConfig(depth=19, width=9, label_smoothing=1.0).faults()) == [
        "model.label_smoothing: 1.0 is not in [0, 1)",
        "model.depth: 19 is not one of 10, 18, 34, 50",
        "model.width: 9 is not a positive multiple of 8",
    ]
