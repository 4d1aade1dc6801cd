"""C6: how many tokens a second come out of shards on disk, how soon after a seek, and after a kill.

uint16 tokens, windows of 1,024, 16 of them a batch, one process. Beside ours: the gather written by hand, a
DataLoader over the same file without and with a worker, and MosaicML's streaming where it is installed.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from benchmarks.trainer.launching import environment
from benchmarks.trainer.results import Row, interleaved, median
from trainer.data.sample_order import SampleOrder
from trainer.data.source import TokenSource
from trainer.data.step_data import StepData

CONTEXT, BATCH = 1024, 16
TOKENS = 64_000_000
SECONDS = 0.5
"""How long each block of batches is fetched."""
ROUNDS = 6
GOAL_RATE, GOAL_OVER_LOADER, GOAL_SEEK, STARTS = 150e6, 3.0, 0.020, 50
FAR_ITEMS = 10**9


class Alone:
    """The world of one process."""

    world_size = 1

    def share(self, total: int) -> slice:
        """Return all of it."""
        return slice(0, total)


class Windows(Dataset[torch.Tensor]):
    """The file's windows one by one, as a DataLoader takes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tokens: NDArray[np.uint16] = np.memmap(path, dtype=np.uint16, mode="r")

    def __len__(self) -> int:
        return (len(self.tokens) - 1) // CONTEXT

    def __getitem__(self, item: int) -> torch.Tensor:
        first = item * CONTEXT
        return torch.from_numpy(self.tokens[first : first + CONTEXT + 1].astype(np.int64))


def by_hand(path: Path) -> Iterator[torch.Tensor]:
    """Yield batches gathered at once from the mapped file, at random places."""
    tokens, places = np.memmap(path, dtype=np.uint16, mode="r"), np.arange(CONTEXT + 1)
    generator = np.random.default_rng(1)
    while True:
        starts = generator.integers(0, (len(tokens) - 1) // CONTEXT, BATCH) * CONTEXT
        yield torch.from_numpy(tokens[starts[:, None] + places].astype(np.int64))


def ours(path: Path) -> Iterator[torch.Tensor]:
    """Yield the batches of our data, step after step."""
    data = our_data([np.memmap(path, dtype=np.uint16, mode="r")])
    for step in itertools.count(1):
        for batch in data.step_batches(step):
            yield batch["tokens"]


def our_data(shards: Sequence[NDArray[np.uint16]]) -> StepData:
    """Return our data over the shards, endless for this purpose."""
    source = TokenSource(shards, CONTEXT)
    return StepData(source, SampleOrder(source.num_items, 2**40, BATCH, seed=1), Alone())


def loader(path: Path, workers: int) -> Iterator[torch.Tensor]:
    """Yield a DataLoader's batches, epoch after epoch."""
    batches = DataLoader(Windows(path), BATCH, shuffle=True, num_workers=workers)
    while True:
        yield from batches


def rate(batches: Iterator[torch.Tensor]) -> float:
    """Return the tokens a second of a block of batches."""
    for _ in range(3):
        next(batches)
    begin, count = time.perf_counter(), 0
    while (seconds := time.perf_counter() - begin) < SECONDS:
        next(batches)
        count += 1
    return count * BATCH * CONTEXT / seconds


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return the rates, the seek and the starts."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="loader-") as name:
        folder = Path(name)
        path = folder / "tokens.bin"
        np.random.default_rng(0).integers(0, 50_000, TOKENS, dtype=np.uint16).tofile(path)
        contestants: dict[str, Iterator[torch.Tensor]] = {
            "ours": ours(path),
            "by hand": by_hand(path),
            "DataLoader": loader(path, 0),
            "DataLoader, 1 worker": loader(path, 1),
            **_streaming(folder, path),
        }
        rates: dict[str, list[float]] = {each: [] for each in contestants}
        for each in interleaved(list(contestants), rounds, seed=6):
            rates[each].append(rate(contestants[each]))
        middle = {each: median(values) for each, values in rates.items()}
        return [*_rate_rows(middle), _seek_row(path), _start_row(path)]


def _rate_rows(middle: dict[str, float]) -> list[Row]:
    mine, plain = middle["ours"], middle["DataLoader"]
    goal = f">= {GOAL_RATE / 1e6:.0f} Mtok/s, >= {GOAL_OVER_LOADER:.0f} x"
    met = mine >= GOAL_RATE and mine / plain >= GOAL_OVER_LOADER
    rows = [_rate_row("ours", mine, "DataLoader", plain, goal, met)]
    for name, other in middle.items():
        if name not in ("ours", "DataLoader"):
            rows.append(_rate_row("ours", mine, name, other, "", None))
    return rows


def _rate_row(name: str, value: float, other: str, base: float, goal: str, met: bool | None) -> Row:
    return Row(
        id="C6",
        what=f"tokens a second, {name}",
        value=f"{value / 1e6:.0f} M",
        baseline=f"{other} {base / 1e6:.1f} M",
        ratio=value / base,
        goal=goal,
        met=met,
    )


def _streaming(folder: Path, path: Path) -> dict[str, Iterator[torch.Tensor]]:
    """Return MosaicML's streaming over the same windows (the first tenth), where it is installed."""
    try:
        from streaming import MDSWriter, StreamingDataset
    except ImportError:
        return {}
    windows = Windows(path)
    with MDSWriter(out=str(folder / "mds"), columns={"tokens": "ndarray:uint16:1024"}) as writer:
        for item in range(len(windows) // 10):
            first = item * CONTEXT
            writer.write({"tokens": np.asarray(windows.tokens[first : first + CONTEXT])})
    dataset: Any = StreamingDataset(local=str(folder / "mds"), shuffle=True, batch_size=BATCH)

    def endless() -> Iterator[torch.Tensor]:
        while True:
            for batch in DataLoader(dataset, BATCH):
                yield batch["tokens"]

    return {"mosaicml-streaming": endless()}


def _seek_row(path: Path) -> Row:
    """Return how long the first batch takes at places all over a data set of a thousand million samples.

    The set is the one file many times over, so that its pages are in memory: what a disk takes is no news.
    """
    tokens = np.memmap(path, dtype=np.uint16, mode="r")
    shards = [tokens] * -(-FAR_ITEMS // ((len(tokens) - 1) // CONTEXT))
    seconds = []
    for place in range(0, FAR_ITEMS, FAR_ITEMS // 40):
        data = our_data(shards)
        begin = time.perf_counter()
        next(iter(data.step_batches(place // BATCH + 1)))
        seconds.append(time.perf_counter() - begin)
    near, far = median(seconds[:10]), median(seconds[-10:])
    return Row(
        id="C6",
        what="first batch after a seek in 10^9 samples, median of 40 places",
        value=f"{median(seconds) * 1e3:.2f} ms (slowest {max(seconds) * 1e3:.1f})",
        baseline=f"the last ten over the first ten: {far / near:.2f}",
        goal=f"<= {GOAL_SEEK * 1e3:.0f} ms",
        met=median(seconds) <= GOAL_SEEK,
    )


def _start_row(path: Path) -> Row:
    """Return how many of the readers that begin right after one was killed get their first batch."""
    good = 0
    for _ in range(STARTS):
        reader = _start_reader(path)
        good += _has_read(reader)
        os.kill(reader.pid, signal.SIGKILL)
        reader.wait()
    return Row(
        id="C6",
        what="readers that begin after the one before was killed",
        value=f"{good} of {STARTS}",
        goal=f"{STARTS} of {STARTS}",
        met=good == STARTS,
    )


def _start_reader(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.trainer.loader", str(path)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)


def _has_read(reader: subprocess.Popen[str]) -> bool:
    assert reader.stdout is not None
    return reader.stdout.readline().strip() == "read"


def main() -> None:
    """Read batches of the file named on the command line for ever, telling when the first one is there."""
    for number, _ in enumerate(ours(Path(sys.argv[1]))):
        if number == 0:
            print("read", flush=True)


if __name__ == "__main__":
    main()
