"""Where a run's batches come from: step by step from StepData, or from any iterable of batches."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from trainer.configs.settings import ConfigError
from trainer.distributed import World
from trainer.engine.loader import resumable, set_epoch
from trainer.engine.places import RANKS, of_all, of_this
from trainer.engine.seeds import mixed, seed_step
from trainer.plain import NotPlainError, decode, encode


class Batches(Protocol):
    """The micro-batches of a step, whose number is known before the first is fetched."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...


class Feed(Protocol):
    """What run.steps takes its batches from."""

    num_steps: int | None
    """Steps that the data is for; None where that is left to the run."""

    @property
    def wait_seconds(self) -> float:
        """Seconds that training has waited for data so far."""
        ...

    def step(self, step: int) -> Batches | None:
        """Return a step's micro-batches, counted from 1; None where the data is over."""
        ...

    def samples(self, step: int) -> int:
        """Return the samples of the step over all processes; asked after its batches were fetched."""
        ...

    def cursor(self) -> dict[str, Any]:
        """Return where the next step begins, as JSON."""
        ...

    def seek(self, step: int, cursor: Mapping[str, Any]) -> None:
        """Go on after the step, at what `cursor` returned then."""
        ...

    def close(self) -> None:
        """Stop whatever reads ahead."""
        ...


class StepFeed:
    """Data that knows every step's batches by its number (trainer.data.step_data.StepData)."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self.num_steps: int | None = data.num_steps

    @property
    def wait_seconds(self) -> float:
        """Seconds that training has waited for data so far."""
        seconds: float = self._data.wait_seconds
        return seconds

    def step(self, step: int) -> Batches | None:
        """Return the step's micro-batches."""
        batches: Batches = self._data.step_batches(step)
        return batches

    def samples(self, step: int) -> int:
        """Return the samples of the step over all processes."""
        count: int = self._data.units(step)
        return count

    def cursor(self) -> dict[str, Any]:
        """Return nothing: the step's number is all."""
        return {}

    def seek(self, step: int, cursor: Mapping[str, Any]) -> None:
        """Do nothing: any step can be asked for."""

    def close(self) -> None:
        """Stop reading ahead."""
        self._data.close()


class LoaderFeed:
    """Any iterable of batches: `accumulate` of them make a step, and after its end it is begun anew."""

    def __init__(self, data: Iterable[Any], world: World, seed: int, accumulate: int, *, one_pass: bool):
        self._data, self._sampler = resumable(data, world, seed)
        self._world, self._seed, self._accumulate, self._one_pass = world, seed, accumulate, one_pass
        self._iterator: Iterator[Any] | None = None
        self._epoch = self._batches = self._samples = 0
        self._restored = False
        self.num_steps: int | None = None
        self.wait_seconds = 0.0

    def step(self, step: int) -> Batches | None:
        """Return the next batches; fewer than `accumulate` where a single pass ends within the step."""
        begin = time.perf_counter()
        batches: list[Any] = []
        while len(batches) < self._accumulate:
            if (batch := self._next()) is not None:
                batches.append(batch)
            elif self._one_pass:
                break
            else:
                self._epoch, self._batches = self._epoch + 1, 0
        self.wait_seconds += time.perf_counter() - begin
        self._samples = sum(rows(batch) for batch in batches) * self._world.world_size
        return OnDevice(batches, self._world.device) if batches else None

    def samples(self, step: int) -> int:
        """Return the rows of the batches just fetched times the processes."""
        return self._samples

    def cursor(self) -> dict[str, Any]:
        """Return the epoch, its batches that are done, and the data's own state where it keeps one.

        By every process at once: each may be at another place.
        """
        place: dict[str, Any] = {"epoch": self._epoch, "batches": self._batches}
        if self._sampler is not None:
            place["items"] = self._batches * self._sampler.global_batch
        elif hasattr(self._data, "state_dict"):
            try:
                place["state"] = encode(self._data.state_dict())
            except NotPlainError as error:
                raise ConfigError([f"data: its state_dict cannot be kept: {error}"]) from None
        return place if self._sampler is not None else of_all(place, self._world)

    def seek(self, step: int, cursor: Mapping[str, Any]) -> None:
        """Go on where the cursor says; data that cannot be told is read up to there."""
        place = of_this(cursor, self._world, "data")
        if place is None:  # of another number of processes
            place = {name: value for name, value in cursor[RANKS][0].items() if name != "state"}
        self._epoch, self._batches = int(place.get("epoch", 0)), int(place.get("batches", 0))
        self._iterator = None
        if self._sampler is not None:
            self._batches = int(place.get("items", 0)) // self._sampler.global_batch
            if self._batches and self._data.num_workers and self._world.is_main:
                warnings.warn(
                    "data: random numbers drawn by the loader's own processes are other ones than without a "
                    "restart; those of num_workers=0 would be the same",
                    stacklevel=4,
                )
        elif "state" in place and hasattr(self._data, "load_state_dict"):
            self._data.load_state_dict(decode(place["state"]))
            self._restored = True
        elif self._batches:
            done, self._batches, begin = self._batches, 0, time.perf_counter()
            for batch in range(done):
                if batch % self._accumulate == done % self._accumulate:
                    of_step = step - (done - batch) // self._accumulate + 1
                    seed_step(self._seed, of_step, self._world.rank, self._world.device)
                if self._next() is None:
                    break
            if self._world.is_main:
                warnings.warn(
                    f"data: read {done} batches again to get to where the run was, which took "
                    f"{time.perf_counter() - begin:.1f} s: state_dict and load_state_dict spare that",
                    stacklevel=4,
                )

    def close(self) -> None:
        """Drop the iterator, and with it a DataLoader's workers."""
        self._iterator = None

    def _next(self) -> Any:
        """Return the epoch's next batch; None where there is none."""
        if self._iterator is None:
            if self._sampler is not None:
                self._sampler.begin(self._epoch, self._batches)
            elif not self._restored:
                set_epoch(self._data, self._epoch)
            self._restored = False
            # What a DataLoader draws for its workers and a sampler for its order is drawn here, and must not
            # move what the step draws: a resumed run begins an epoch's iterator in another step.
            of_step = torch.get_rng_state()
            begun = self._epoch + 1_000_000_007 * self._batches  # its processes are not to repeat themselves
            torch.default_generator.manual_seed(mixed(self._seed + 1, begun, self._world.rank))
            self._iterator = iter(self._data)
            torch.set_rng_state(of_step)
        batch = next(self._iterator, None)
        if batch is None:
            assert self._batches or self._one_pass, "data: it holds no batch for this process"
            self._iterator = None
        else:
            self._batches += 1
        return batch


def feed_of(
    data: Any, world: World, seed: int, accumulate: int, steps: int | None, micro_batch: int | None
) -> Feed:
    """Return the feed of what run.steps was given; `micro_batch` is what fits into memory, if known."""
    if not hasattr(data, "step_batches"):
        return LoaderFeed(data, world, seed, accumulate, one_pass=steps is None)
    if micro_batch is not None:
        data.micro_batch = micro_batch
    return StepFeed(data)


class OnDevice(Sequence[Any]):
    """Batches that are moved to the device as they are come to."""

    def __init__(self, batches: list[Any], device: torch.device) -> None:
        self._batches, self._device = batches, device

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, place: Any) -> Any:
        batch = self._batches[place]
        return batch if self._device.type == "cpu" else to_device(batch, self._device)


def to_device(value: Any, device: torch.device) -> Any:
    """Return the batch with its tensors on the device, in whatever lists and dictionaries they lie."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {key: to_device(inner, device) for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_device(inner, device) for inner in value))
    if isinstance(value, list | tuple):
        return type(value)(to_device(inner, device) for inner in value)
    return value


def rows(value: Any) -> int:
    """Return the rows of the first tensor in a batch; 1 where there is none."""
    if isinstance(value, Tensor):
        return len(value) if value.dim() else 1
    for inner in (
        value.values() if isinstance(value, Mapping) else value if type(value) in (list, tuple) else ()
    ):
        return rows(inner)
    return 1
