"""The console's pages with very much behind them, while people watch live runs.

`python -m benchmarks.console [--runs 10000] [--entries 1000000] [--watchers 50] [--requests 100] [--smoke]
[--json]`. A real `fleetform console` (uvicorn, SQLite) in a process of its own; the embedded cloud, those who
watch, and whoever opens the pages share the machine's cores with it. Every route that answers with a page is
asked for in turn, `/health`, which goes through the same layers and looks at nothing, among them as the
baseline. The run directories are written through S3's API; the entries of the ledger are put straight into
the console's index, the newest also into the ledger (benchmarks/console_load.py). What ended runs were, and
that their ends are on record, is remembered from a command of before.
Times are those of the whole answer, read to its end.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.console_load import (
    Watching,
    begin_run,
    cookie_of,
    fill_record,
    make_people,
    memory_mib,
    served,
    watched,
)
from benchmarks.run_index import fill
from console.people.members import read_members
from console.services import Services, open_services
from console.settings import Settings
from fleet.cloud import choose_cloud
from fleet.project import Project
from fleet.run_index import open_index
from sandbox import daemon
from stacks import naming
from tests.console.lab import declare_environment, settings_of
from tests.console.samples import Samples, make_samples, routes
from tests.run_environment import RunEnvironment, build

MEDIAN_MS, P99_MS = 100.0, 300.0
BASELINE = "/health"
LIVE = "20261201-000000-livee"
MIDDLE, OTHER = "20260104-000000-aaaaa", "20260104-000100-aaaaa"
_NOT_PAGES = ("/events", ".zip", ".json", "/oidc", "/back", "/login", "/welcome", "/pictures/{number}")
_WARM = 3


@dataclass(frozen=True)
class Scale:
    """How much there is."""

    runs: int
    entries: int
    watchers: int
    requests: int


def paths(samples: Samples) -> dict[str, str]:
    """Return the path of every page by what it is called in the table."""
    found = {
        route.path: samples.path(route.path)
        for method, route in routes()
        if method == "GET" and not route.path.endswith(_NOT_PAGES) and not route.path.startswith("/static")
    }
    runs = found["/environments/{name}/runs"]
    found["a run that goes on"] = f"{runs}/{LIVE}"
    found["runs, a page in the middle"] = f"{runs}?before={MIDDLE}"
    found["runs that failed"] = f"{runs}?state=FAILED"
    found["/environments/{name}/compare"] += f"?run={MIDDLE}&run={OTHER}"
    return found


def measure(settings: Settings, cookie: str, pages: Mapping[str, str], requests: int) -> list[dict[str, Any]]:
    """Ask for each page in turn, so many times over, and return a row for each."""
    connection = http.client.HTTPConnection(settings.host, settings.port, timeout=120)
    taken: dict[str, list[float]] = {name: [] for name in pages}
    status: dict[str, int] = {}
    for turn in range(_WARM + requests):
        for name, path in pages.items():
            if turn >= _WARM and status[name] != 200 and name != BASELINE:
                continue
            begin = time.perf_counter()
            connection.request("GET", path, headers={"Host": settings.public_host, "Cookie": cookie})
            answer = connection.getresponse()
            answer.read()
            status[name] = answer.status
            if turn >= _WARM:
                taken[name].append(1000 * (time.perf_counter() - begin))
    connection.close()
    return [_row(name, status[name], times) for name, times in taken.items()]


def _row(name: str, status: int, times: list[float]) -> dict[str, Any]:
    if not times:
        return {"page": name, "status": status}
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
    return {
        "page": name, "status": status, "median_ms": statistics.median(times), "p99_ms": p99,
        "slowest_ms": ordered[-1],
    }  # fmt: skip


def prepare(root: Path, project: Project, scale: Scale) -> tuple[Services, RunEnvironment, Samples]:
    """Make all that the console is to have behind it."""
    declare_environment(root, "studio", "tests")
    environment = build(choose_cloud(project, "sandbox"), project, "studio", nodes=1)
    fill(environment.store, scale.runs)
    index = open_index(environment.session)  # as the command `fleetform runs` of a day before has left it
    index.read_all()
    for run in index.known():
        index.note_recorded(run)
    index.save()
    services = open_services(settings_of(root, project.home))
    people = make_people(services, max(1, scale.watchers))
    session = environment.session
    bucket = naming.ledger_bucket(session.account.organization, session.account.region)
    fill_record(services, scale.entries, people, session.client("s3"), bucket)
    run_id = MIDDLE if scale.runs > 5000 else "20260101-000100-aaaaa"
    samples = make_samples(services, "studio", "tests", run_id, owner=people[0].id)
    things = {**samples.things, "entries": str(scale.entries), "people": people[0].id}
    return services, environment, Samples(things)


def benchmark(scale: Scale) -> dict[str, Any]:
    """Return what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        project = Project(root=root, home=root / ".fleetform")
        project.home.mkdir()
        daemon.start(project.home)
        try:
            return _measured(scale, *prepare(root, project, scale))
        finally:
            daemon.stop(project.home)


def _measured(
    scale: Scale, services: Services, environment: RunEnvironment, samples: Samples
) -> dict[str, Any]:
    settings, store = services.settings, environment.store
    with services.database.reading() as database:
        people = [
            each.person for each in read_members(database, {"*"}) if each.person.name.startswith("Person")
        ]
    cookies = tuple(cookie_of(services, each) for each in people)
    watching = Watching(
        store.cloud, store.region, store.bucket, LIVE, settings,
        f"{samples.path('/environments/{name}/runs')}/{LIVE}/events", cookies[: scale.watchers],
    )  # fmt: skip
    with served(settings, "sandbox") as pid:
        fresh = memory_mib(pid)[0]
        begin_run(store, LIVE)
        with watched(watching) as news:
            began, before = time.monotonic(), news.value
            rows = measure(settings, cookie_of(services, people[0]), paths(samples), scale.requests)
            rate = (news.value - before) / (time.monotonic() - began)
        now, most = memory_mib(pid)
    services.database.close()
    memory = {"start_mib": fresh, "end_mib": now, "peak_mib": most}
    return {"scale": vars(scale), "rows": rows, "news_per_second": rate, "memory": memory}


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield the table."""
    scale, memory = found["scale"], found["memory"]
    yield (
        f"{scale['runs']} runs, {scale['entries']} entries, {scale['watchers']} people watching "
        f"({found['news_per_second']:.0f} news a second to all of them), {scale['requests']} requests a page"
    )
    yield (
        f"memory of the console: {memory['start_mib']:.0f} MiB at its start, {memory['end_mib']:.0f} at the "
        f"end, {memory['peak_mib']:.0f} at its highest"
    )
    base = next(row["median_ms"] for row in found["rows"] if row["page"] == BASELINE)
    yield f"{'page':58}{'median ms':>10}{'p99 ms':>9}{'slowest':>9}{'of /health':>11}"
    for row in found["rows"]:
        if "median_ms" not in row:
            yield f"{row['page']:58}not measured: {row['status']}"
            continue
        ratio = row["median_ms"] / base
        missed = "" if is_met(row) else "  MISSED"
        yield (
            f"{row['page']:58}{row['median_ms']:10.1f}{row['p99_ms']:9.1f}{row['slowest_ms']:9.1f}"
            f"{ratio:11.1f}{missed}"
        )


def is_met(row: dict[str, Any]) -> bool:
    """Return whether a page is as quick as it is to be; one that was not measured says so itself."""
    return "median_ms" not in row or (row["median_ms"] <= MEDIAN_MS and row["p99_ms"] <= P99_MS)


def main() -> int:
    """Print what was measured; exit code 1 where a page is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("runs", 10_000), ("entries", 1_000_000), ("watchers", 50), ("requests", 100)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--smoke", action="store_true", help="a small one, to see that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    scale = Scale(chosen.runs, chosen.entries, chosen.watchers, chosen.requests)
    found = benchmark(Scale(200, 2000, 5, 5) if chosen.smoke else scale)
    if chosen.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(lines(found)))
        print(f"goal: at most {MEDIAN_MS:.0f} ms at the median and {P99_MS:.0f} ms at p99")
    return 0 if all(is_met(row) for row in found["rows"]) else 1


if __name__ == "__main__":
    sys.exit(main())
