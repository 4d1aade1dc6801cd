"""However many watch a run, its files are fetched once a look; each watcher gets what it would get alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from console.live import shared_files
from console.live.shared_files import SharedFiles
from fleet.cloud import Cloud
from fleet.run_store import RunStore
from fleet.tail import Cursor, News, Tail
from tests.run_directories import ENDED, make, new_store, put

pytestmark = [pytest.mark.console, pytest.mark.sandbox]
RUN = "20260101-000000-aaaaa"


@pytest.fixture
def store(sandbox: Cloud) -> RunStore:
    return new_store(sandbox)


def step(number: int) -> bytes:
    return b'{"step": %d, "time": "2026-01-01T00:00:00Z"}\n' % number


def seen(news: News) -> tuple[list[str], list[int], str]:
    return (
        [event.event for event in news.events],
        [line["step"] for line in news.steps],
        "".join(piece.text for piece in news.logs),
    )


def test_many_watchers_cost_no_more_requests_than_one(store: RunStore) -> None:
    make(store, RUN, *ENDED)
    put(store, RUN, "metrics.jsonl", step(1) + step(2))
    put(store, RUN, "logs/node-0.log", b"one\ntwo\n")
    counted: Counter[str] = Counter()

    def count(model: Any, **about: Any) -> None:
        counted[model.name] += 1

    store.s3.meta.events.register("before-call.s3", count)
    files = SharedFiles(store)
    alike = [seen(Tail(files, RUN, Cursor()).look()) for _ in range(50)]
    assert alike == [(list(ENDED), [1, 2], "one\ntwo\n")] * 50
    assert counted == {"GetObject": 3, "ListObjectsV2": 1}


def test_each_watcher_gets_what_it_would_get_alone(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_files, "LOOK_SECONDS", -1)
    files = SharedFiles(store)
    tails = [Tail(files, RUN, Cursor()), Tail(store, RUN, Cursor())]
    make(store, RUN, "QUEUED")
    for number in (1, 2):
        put(store, RUN, "metrics.jsonl", b"".join(step(each) for each in range(1, number + 1)))
        put(store, RUN, "logs/node-0.log", b"line\n" * number)
        shared, alone = [seen(tail.look()) for tail in tails]
        assert shared == alone and shared[1] == [number]
    put(store, RUN, "metrics.jsonl", step(7))
    news = [tail.look() for tail in tails]
    assert [seen(each)[1] for each in news] == [[7], [7]] and all(each.steps_anew for each in news)
    place = tails[0].cursor
    put(store, RUN, "metrics.jsonl", b"")
    assert [seen(Tail(each, RUN, place).look()) for each in (files, store)] == [([], [], "")] * 2
