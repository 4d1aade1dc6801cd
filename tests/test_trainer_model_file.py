"""The model's file as others read it, and what differs between the torch versions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer_runs import TINY, TINY_GPT, run
from tests.trainer_runs import own_surroundings as own_surroundings
from trainer.config import load_config
from trainer.distributed import World
from trainer.engine.parallel import replicate
from trainer.export.model_folder import ModelFolderError, load_model, load_tensors, save_tensors

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_surroundings")]


@pytest.mark.parametrize(("recipe", "overrides"), [("digits", TINY), ("gpt", TINY_GPT)])
def test_the_safetensors_package_reads_our_model_file_as_the_model_s_own_weights(
    recipe: str, overrides: list[str], tmp_path: Path
) -> None:
    run(load_config(recipe, overrides), tmp_path)
    theirs = load_file(tmp_path / "model" / "model.safetensors")
    ours = load_model(tmp_path / "model")[0].state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_tensors_of_every_kind_and_layout_are_read_back_by_us_and_by_the_safetensors_package(
    tmp_path: Path,
) -> None:
    kinds = (
        torch.uint8,
        torch.bool,
        torch.bfloat16,
        torch.float16,
        torch.float32,
        torch.int64,
        torch.float64,
    )
    tensors = {str(kind): torch.arange(3).to(kind) for kind in kinds}
    tensors |= {
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "one": torch.tensor(7.0),
        "part": torch.arange(9)[2:5],
    }
    path = tmp_path / "x.safetensors"
    save_tensors(path, tensors)
    for read in (load_tensors(path), load_file(path)):
        assert read.keys() == tensors.keys()
        assert all(torch.equal(read[name], tensors[name]) for name in tensors)
        assert all(read[name].dtype == tensors[name].dtype for name in tensors)


def test_a_model_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    run(load_config("digits", TINY), tmp_path)
    path = tmp_path / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFolderError, match="not all there"):
        load_model(tmp_path / "model")


def test_the_trainer_needs_no_package_but_torch_and_numpy() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('safetensors', 'sklearn', 'scipy', 'boto3')));"
        "import trainer.train, trainer.predict, trainer.tasks.text, trainer.tasks.pictures"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize("switch", ["broadcast_buffers", "forward_sync_buffers"])
def test_constant_buffers_are_not_sent_in_the_forward_pass_whatever_torch_calls_that(
    switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, object] = {}

    def newer(module: object, device_ids: object = None, gradient_as_bucket_view: bool = False,
              find_unused_parameters: bool = False, broadcast_buffers: object = None,
              forward_sync_buffers: object = None) -> None:  # fmt: skip
        told.update(broadcast_buffers=broadcast_buffers, forward_sync_buffers=forward_sync_buffers)

    def older(module: object, device_ids: object = None, broadcast_buffers: object = None,
              find_unused_parameters: bool = False,
              gradient_as_bucket_view: bool = False) -> None:  # fmt: skip
        told.update(broadcast_buffers=broadcast_buffers)

    replica = older if switch == "broadcast_buffers" else newer
    monkeypatch.setattr("trainer.engine.parallel.DistributedDataParallel", replica)
    world = World(rank=0, local_rank=0, world_size=2, device=torch.device("cpu"))
    replicate(torch.nn.Linear(1, 1), world, None)
    assert {name for name, value in told.items() if value is False} == {switch}
