"""The order in which samples are drawn, and the micro-batches that each process gets of a step."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.data.bijection import MOST_ITEMS, Bijection
from trainer.data.read_ahead import ReadAhead
from trainer.data.sample_order import BLOCK, LARGEST_TABLE, SampleOrder
from trainer.data.source import ArraySource, TokenSource
from trainer.data.step_data import StepData


def test_every_epoch_draws_every_item_once_in_another_order() -> None:
    order = SampleOrder(num_items=50, num_samples=150, global_batch=20, seed=3)
    drawn = np.concatenate([order.step(step).items for step in range(1, 9)])
    epochs = drawn.reshape(3, 50)
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs.tolist())
    assert not np.array_equal(epochs[0], epochs[1])
    assert [order.size(step) for step in (1, 7, 8)] == [20, 20, 10]
    assert [order.done(step) for step in (1, 7, 8)] == [20, 140, 150]


@pytest.mark.parametrize("num_items", [LARGEST_TABLE + 1, 100_003])
def test_a_large_set_is_drawn_once_an_epoch_too(num_items: int) -> None:
    order = SampleOrder(num_items=num_items, num_samples=2 * num_items, global_batch=1000, seed=3)
    first, second = order.items(0, num_items), order.items(num_items, 2 * num_items)
    assert np.array_equal(np.sort(first), np.arange(num_items))
    assert np.array_equal(np.sort(second), np.arange(num_items))
    assert (first != second).mean() > 0.99


@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_a_step_is_the_same_samples_and_noise_for_any_world_size(world_size: int) -> None:
    order = SampleOrder(num_items=1000, num_samples=6400, global_batch=64, seed=1)
    cuts = [64 * rank // world_size for rank in range(world_size + 1)]
    for step in (1, 2, 64, 65, 100):
        whole = order.step(step)
        parts = [order.step(step, slice(a, b)) for a, b in itertools.pairwise(cuts)]
        assert np.array_equal(np.concatenate([part.items for part in parts]), whole.items)
        assert np.array_equal(np.concatenate([part.noise for part in parts]), whole.noise)
        assert {part.num_global for part in parts} == {64}


@pytest.mark.parametrize("num_items", [70, 10**9])
def test_a_step_asked_for_alone_is_what_it_was_in_sequence(num_items: int) -> None:
    walked = SampleOrder(num_items, num_samples=7000, global_batch=64, seed=5)
    sequence = [walked.step(step) for step in range(1, 101)]
    alone = SampleOrder(num_items, num_samples=7000, global_batch=64, seed=5).step(100)
    assert np.array_equal(alone.items, sequence[-1].items)
    assert np.array_equal(alone.noise, sequence[-1].noise)
    other = SampleOrder(num_items, num_samples=7000, global_batch=64, seed=6).step(100)
    assert not np.array_equal(other.items, alone.items)


def test_a_sample_is_the_same_whatever_the_global_batch() -> None:
    orders = [SampleOrder(1000, 3 * BLOCK, batch, seed=2) for batch in (1, 48, 3 * BLOCK)]
    wanted = orders[2].step(1)
    for order in orders[:2]:
        drawn = [order.step(step) for step in range(1, order.num_steps + 1)]
        assert np.array_equal(np.concatenate([each.items for each in drawn]), wanted.items)
        assert np.array_equal(np.concatenate([each.noise for each in drawn]), wanted.noise)


def test_noise_fills_minus_one_to_one_and_differs_for_every_sample() -> None:
    order = SampleOrder(100, 20_000, 20_000, seed=2)
    noise = order.noise(0, 20_000, 2)
    assert noise.shape == (20_000, 2)
    assert -1 <= noise.min() < -0.999
    assert 0.999 < noise.max() < 1
    assert len(np.unique(noise[:, 0])) > 19_900
    assert order.noise(5, 9, 0).shape == (4, 0)


@pytest.mark.parametrize("num_items", [1, 2, 3, 5, 17, 255, 256, 257, 4097])
def test_a_bijection_holds_every_number_once(num_items: int) -> None:
    for number in range(3):
        assert sorted(Bijection(num_items, 1, number)(np.arange(num_items)).tolist()) == list(
            range(num_items)
        )


def test_the_largest_bijection_stays_in_its_range_and_never_repeats() -> None:
    drawn = Bijection(MOST_ITEMS - 1, 1, 0)(np.arange(10**12, 10**12 + 20_000))
    assert drawn.min() >= 0
    assert drawn.max() < MOST_ITEMS - 1
    assert len(np.unique(drawn)) == 20_000


def test_a_bijection_looks_shuffled() -> None:
    count = 1_000_003
    drawn = Bijection(count, 7, 3)(np.arange(200_000))
    for values in (drawn, np.diff(drawn) % count):
        seen = np.histogram(values, bins=100, range=(0, count))[0]
        chi_square = ((seen - seen.mean()) ** 2 / seen.mean()).sum()
        assert chi_square < 150, "99 degrees of freedom: more than 150 by chance once in 1,600 times"
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01


@dataclass(frozen=True)
class Rank:
    """A process of a world, as data sees it."""

    rank: int
    world_size: int

    def share(self, total: int) -> slice:
        return slice(total * self.rank // self.world_size, total * (self.rank + 1) // self.world_size)


class SlowSource(ArraySource):
    """An ArraySource that takes a while, so that it is read ahead."""

    def batch(self, items: NDArray[np.int64], noise: NDArray[np.float32]):  # type: ignore[no-untyped-def]
        time.sleep(0.001)
        return super().batch(items, noise)


@pytest.mark.parametrize("kind", [ArraySource, SlowSource])
@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("micro_batch", [None, 1, 4])
def test_the_ranks_micro_batches_are_the_step(
    kind: type[ArraySource], world_size: int, micro_batch: int | None
) -> None:
    source = kind({"number": np.arange(100)}, noise_width=2)
    order = SampleOrder(100, 1000, 31, seed=1)
    datas = [StepData(source, order, Rank(rank, world_size), micro_batch) for rank in range(world_size)]
    # In sequence, back, over a gap, and the last step again: each is asked for as after a restart.
    for step in (*range(1, 12), 3, 4, 30, order.num_steps, order.num_steps):
        batches = [list(data.step_batches(step)) for data in datas]
        assert {len(each) for each in batches} == {len(data.step_batches(step)) for data in datas}
        assert len({len(each) for each in batches}) == 1, "FSDP needs the same number on every rank"
        assert all(len(batch["number"]) for each in batches for batch in each)
        numbers = [number for each in batches for batch in each for number in batch["number"].tolist()]
        noise = [row for each in batches for batch in each for row in batch["noise"].tolist()]
        assert numbers == order.step(step).items.tolist()
        first = order.done(step - 1)
        assert noise == order.noise(first, first + len(numbers), 2).tolist()
    assert all(data.wait_seconds > 0 for data in datas)
    for data in datas:
        data.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "data-read-ahead"]


def test_a_micro_batch_is_never_larger_than_asked_but_where_a_rank_would_get_none() -> None:
    source, order = ArraySource({"number": np.arange(10)}), SampleOrder(10, 70, 7, seed=1)
    for micro_batch, largest in ((1, 2), (2, 2), (3, 3), (100, 4)):
        datas = [StepData(source, order, Rank(rank, 2), micro_batch) for rank in range(2)]
        sizes = [[len(batch["number"]) for batch in data.step_batches(1)] for data in datas]
        assert max(itertools.chain(*sizes)) <= largest
        assert sum(map(sum, sizes)) == 7


def test_what_a_read_ahead_source_raises_reaches_whoever_asks() -> None:
    def results():  # type: ignore[no-untyped-def]
        yield 1
        raise OSError("the disk is gone")

    ahead = ReadAhead(results(), depth=3)
    assert ahead.next() == 1
    for _ in range(2):
        with pytest.raises(OSError, match="the disk is gone"):
            ahead.next()
    ahead.stop()


def test_windows_of_tokens_come_from_all_shards_and_never_straddle_two() -> None:
    ranges = ((0, 41), (100, 109), (500, 530))
    shards = [np.arange(start, stop, dtype=np.uint16) for start, stop in ranges]
    source = TokenSource(shards, context=10)
    assert source.num_items == 4 + 0 + 2, "one token more than a window: what follows its last"
    batch = source.batch(np.array([5, 0, 3, 4]), np.empty((4, 0), np.float32))["tokens"]
    assert batch[:, 0].tolist() == [510, 0, 30, 500]
    assert all((row.diff() == 1).all() for row in batch)
    assert batch.shape == (4, 11)


def test_a_shifted_window_moves_with_its_noise_and_stays_in_its_shard() -> None:
    source = TokenSource([np.arange(41, dtype=np.uint32)], context=10, shifted=True)
    assert (source.num_items, source.noise_width) == (3, 1)
    extremes = np.array([[-1.0], [0.0], [1 - 2**-23]], np.float32)
    starts = [source.batch(np.full(3, item), extremes)["tokens"][:, 0].tolist() for item in (0, 2)]
    assert starts == [[0, 5, 9], [20, 25, 29]]


def test_rows_of_several_shards_are_those_of_one_array() -> None:
    whole = {"x": np.arange(60).reshape(20, 3), "y": np.arange(20, dtype=np.float32)}
    cuts = ((0, 7), (7, 8), (8, 20))
    source = ArraySource([{name: array[a:b] for name, array in whole.items()} for a, b in cuts])
    items = np.array([19, 0, 7, 7, 6, 8, 12])
    batch = source.batch(items, np.empty((7, 0), np.float32))
    assert source.num_items == 20
    assert all(np.array_equal(batch[name].numpy(), array[items]) for name, array in whole.items())
