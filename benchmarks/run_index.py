"""An environment with very many runs: what the first page, the next look and the next command cost.

`python -m benchmarks.run_index [--runs 10000] [--json]`. The run directories are written into a bucket of an
embedded cloud; one run in ten has failed, three are active. The baseline is to read every run, as a list
without an index does. The embedded cloud walks all keys for each listing, which S3 does not: requests count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fleet.cloud import choose_cloud
from fleet.project import Project
from fleet.run_index import RunIndex, Where
from fleet.run_store import RunStore
from fleet.runs import list_runs
from sandbox import daemon
from tests.run_directories import ENDED, make, new_store

ACTIVE = 3
FAILED_OF = 10
PAGE = 50


def fill(store: RunStore, runs: int) -> None:
    """Write the run directories, a minute apart."""

    def write(number: int) -> None:
        day, minute = divmod(number, 1440)
        run_id = f"2026{1 + day // 28:02d}{1 + day % 28:02d}-{minute // 60:02d}{minute % 60:02d}00-aaaaa"
        last = "FAILED" if number % FAILED_OF == 0 else "SUCCEEDED"
        make(store, run_id, *ENDED[:3], *([] if number >= runs - ACTIVE else [last]))

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(write, range(runs)))


class Meter:
    """Measures what acts cost."""

    def __init__(self, store: RunStore) -> None:
        self._requests: Counter[str] = Counter()
        store.s3.meta.events.register("before-call.s3", self._count)
        self.rows: list[dict[str, Any]] = []

    def _count(self, model: Any, **about: Any) -> None:
        self._requests[model.name] += 1

    def measure(self, name: str, act: Callable[[], Any]) -> None:
        """Do it and note its seconds and requests."""
        self._requests.clear()
        begin = time.perf_counter()
        act()
        seconds = time.perf_counter() - begin
        self.rows.append({"what": name, "seconds": seconds, "requests": self._requests.total()})


def measured(store: RunStore, memory: Path) -> list[dict[str, Any]]:
    """Return what each act costs, the baseline first."""
    meter, index = Meter(store), RunIndex(store, memory)
    rare = Where(states=frozenset({"FAILED"}))

    def first_page() -> None:
        index.refresh()
        index.page(limit=PAGE)

    meter.measure("every run read (baseline)", lambda: list_runs(store))
    meter.measure("first page, nothing known", first_page)
    meter.measure("next look, three runs active", index.refresh)
    meter.measure("a page in the middle, first time", lambda: index.page("20260104-000000-aaaaa", PAGE))
    meter.measure("all that is not known", index.read_all)
    meter.measure("a page, all known", lambda: index.page(limit=PAGE))
    meter.measure("a page of the failed, all known", lambda: index.page(limit=PAGE, where=rare))
    meter.measure("keeping what has ended", index.save)
    later = RunIndex(store, memory)
    meter.measure("all runs in the next command", later.read_all)
    return meter.rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        daemon.start(home)
        try:
            store = new_store(choose_cloud(Project(root=home.parent, home=home), "sandbox"))
            fill(store, chosen.runs)
            rows = measured(store, home / "runs.jsonl")
        finally:
            daemon.stop(home)
    if chosen.json:
        print(json.dumps({"runs": chosen.runs, "rows": rows}))
        return
    base = rows[0]["requests"]
    print(f"{chosen.runs} runs\n{'what':36}{'seconds':>9}{'requests':>10}{'of baseline':>13}")
    for row in rows:
        share = f"{100 * row['requests'] / base:.2f} %"
        print(f"{row['what']:36}{row['seconds']:9.3f}{row['requests']:10}{share:>13}")


if __name__ == "__main__":
    main()
