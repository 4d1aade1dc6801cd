"""What a receipt takes over of a run's ledger."""

from __future__ import annotations

import json
from typing import Any

from node.receipt import _goodput, _was_restarted

LEDGER: dict[str, Any] = {
    "wall_seconds": 9.0, "goodput_percent": 50.0, "buckets": {}, "lost_steps": 0, "attempts": 2,
    "until": 100.0,
}  # fmt: skip


class Bucket:
    """A bucket with a ledger and the events behind it."""

    def __init__(self, ledger: object, last: float) -> None:
        self.objects = {"runs/r/goodput.json": json.dumps(ledger).encode()}
        lines = f'{{"time": 7.0, "event": "x"}}\n{{"time": {last}, "event": "x"}}\n{{"time": 9'
        self.objects["runs/r/goodput.jsonl"] = lines.encode()

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def get_end(self, key: str, size: int) -> bytes:
        return self.objects[key][-size:]


def test_the_ledger_of_an_earlier_attempt_is_left_out_of_the_receipt() -> None:
    whole: Any = Bucket(LEDGER, 100.0)
    assert (_goodput(whole, "r") or {})["goodput_percent"] == 50.0
    stale: Any = Bucket(LEDGER, 160.0)
    assert _goodput(stale, "r") is None
    foreign: Any = Bucket([1, 2], 100.0)
    assert _goodput(foreign, "r") is None and not _was_restarted(foreign, "r")


def test_the_ledger_tells_whether_the_processes_were_started_again() -> None:
    again: Any = Bucket(LEDGER, 100.0)
    once: Any = Bucket({**LEDGER, "attempts": 1}, 100.0)
    assert _was_restarted(again, "r") and not _was_restarted(once, "r")
