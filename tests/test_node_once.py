"""A start of a run that a node is told of twice is carried out once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node import once


@pytest.fixture
def attempt(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Which attempt of the run its file says that it is."""
    said = [1]
    monkeypatch.setattr(once, "_attempt", lambda config, run_id: said[0])
    yield said


def test_the_second_waits_for_the_first_and_ends_as_it_did(tmp_path: Path, attempt: list[int]) -> None:
    config: Any = SimpleNamespace(work=tmp_path)
    go_on, acts, codes = threading.Event(), list[int](), list[int]()

    def act() -> int:
        acts.append(1)
        assert go_on.wait(30)
        return 3

    def command() -> None:
        codes.append(once.carry_out_once(config, "r-1", 0, act, 70))

    threads = [threading.Thread(target=command) for _ in range(2)]
    for thread in threads:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert (acts, codes) == ([1], [3, 3])


def test_what_was_cut_off_is_not_done_again_and_another_attempt_or_rank_is(
    tmp_path: Path, attempt: list[int]
) -> None:
    config: Any = SimpleNamespace(work=tmp_path)

    def killed() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once.carry_out_once(config, "r-1", 0, killed, 70)
    assert once.carry_out_once(config, "r-1", 0, lambda: 0, 70) == 70
    assert once.carry_out_once(config, "r-1", 1, lambda: 0, 70) == 0
    attempt[0] = 2
    assert once.carry_out_once(config, "r-1", 0, lambda: 0, 70) == 0
