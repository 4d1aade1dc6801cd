"""Small training runs in the test's own process, and what they leave behind."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.config import Config, load_config
from trainer.distributed import World
from trainer.engine.stop import StopRequest
from trainer.launch.pulse import Pulse
from trainer.train import start, train

ALONE = World(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))
TINY = [
    "samples=320",
    "global_batch=32",
    "model.channels=8",
    "log_every=1",
    "checkpoint_every=4",
    "device=cpu",
    "program=false",
]
TINY_GPT = [
    "samples=48", "global_batch=8", "model.context=32", "model.num_layers=1", "model.width=32", "log_every=1",
    "checkpoint_every=2", "device=cpu", "model.dropout=0.1",
    "program=false",
]  # fmt: skip


@pytest.fixture
def own_surroundings(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """One thread, a cache of the session's own, and pytest's own handler of SIGTERM afterwards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "FLEETFORM_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, handler)


class StopAfter(StopRequest):
    """A SIGTERM that arrives during the given step."""

    def __init__(self, step: int) -> None:
        super().__init__(Pulse(None, 0))
        self.left = step

    @property
    def asked(self) -> bool:  # type: ignore[override]
        self.left -= 1
        return self.left <= 0


def tiny(*overrides: str) -> Config:
    """Return the digits recipe made small: ten steps of a millisecond or two."""
    return load_config("digits", [*TINY, *overrides])


def losses(run_dir: Path) -> dict[int, float]:
    """Return the losses by step that metrics.jsonl holds; no step may stand there twice."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})
    return {line["step"]: line["loss"] for line in lines}


def run(config: Config, run_dir: Path, stop_after: int = 10**9) -> dict[str, Any]:
    """Train until the end, or as if SIGTERM came in the given step; return the summary."""
    engine = start(config, run_dir)
    engine.around.stop.close()
    engine.around.stop = StopAfter(stop_after)
    try:
        return train(config, engine).summary
    finally:
        engine.close()
