"""What `benchmarks.console` measures against: a console with very much behind it, and people who watch it.

The runs are put into the embedded cloud's bucket, file by file. The entries of the ledger are a real hash
chain, put straight into the console's index, with the newest in the bucket, so that what is appended from
then on hangs on them. Signed in is who has a row in the table of sessions.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from console.people import accounts, sessions
from console.people.accounts import Person
from console.services import Services
from console.settings import Settings
from console.store.columns import utc_now
from console.store.entry_rows import STATE
from console.store.record_tables import EntryRow, IndexStateRow
from fleet import chain
from fleet.clock import utc_now as now_text
from fleet.cloud import Cloud
from fleet.ledger import PREFIX
from fleet.ledger_links import row_of
from fleet.policy import ROLES, Grant
from fleet.run_store import RunStore
from tests.run_directories import ENDED, make, put

ROOT = Path(__file__).resolve().parent.parent
_ROWS_AT_ONCE = 10_000
_IN_THE_LEDGER = 300
"""So many of the newest entries lie in the ledger's bucket, too: what pages show of entries is read there."""
_EVENTS = ("console.login", "run.submit", "run.end", "environment.up", "console.refuse", "model.take")
_STEP_SECONDS = 0.5


# ------------------------------------------------------------------------------------------------ the record


def entries(count: int, people: list[Person]) -> Iterator[dict[str, Any]]:
    """Yield a chain of entries, a minute apart."""
    begin, previous = utc_now() - datetime.timedelta(minutes=count), chain.GENESIS
    for sequence in range(1, count + 1):
        who = people[sequence % len(people)]
        entry = {
            "sequence": sequence,
            "time": (begin + datetime.timedelta(minutes=sequence)).isoformat(timespec="milliseconds"),
            "event": _EVENTS[sequence % len(_EVENTS)],
            "actor": {
                "identity": "bench",
                "asked_by": {
                    "id": who.id,
                    "name": who.name,
                    "issuer": "local",
                    "subject": who.subject,
                    "via": "console",
                },
            },
            "target": f"2026-{sequence}",
            "outcome": "succeeded" if sequence % 10 else "refused",
            "details": {"environment": "studio"},
            "prev_hash": previous,
        }
        previous = chain.entry_hash(entry)
        yield {**entry, "hash": previous}


def fill_record(services: Services, count: int, people: list[Person], s3: Any, bucket: str) -> None:
    """Put the entries into the index, and the newest of them into the ledger's bucket."""
    some: list[dict[str, Any]] = []
    last: dict[str, Any] = {}
    chained = entries(count, people)
    while more := list(islice(chained, _ROWS_AT_ONCE)):
        with services.database.writing() as database:
            database.execute(insert(EntryRow), [row_of(each, {}, lambda run: "") for each in more])
        some, last = [*some, *more][-_IN_THE_LEDGER:], more[-1]
    with services.database.writing() as database:
        database.add(IndexStateRow(name=STATE, sequence=count, head=last["hash"], verified_at=utc_now()))
    for each in some:
        s3.put_object(
            Bucket=bucket, Key=PREFIX + chain.entry_name(each["sequence"]), Body=_text(each).encode()
        )


def _text(entry: dict[str, Any]) -> str:
    return json.dumps(entry, indent=2, ensure_ascii=False)


# ------------------------------------------------------------------------------------------------ the people


def make_people(services: Services, count: int) -> list[Person]:
    """Make so many people who may do everything."""
    with services.database.writing() as database:
        return [
            accounts.create_account(
                database, name=f"Person {number}", login=f"person-{number}", password="a long sentence",
                grants=[Grant(role, "*") for role in ROLES],
            )
            for number in range(count)
        ]  # fmt: skip


def cookie_of(services: Services, person: Person) -> str:
    """Sign the person in by a row, as after a sign-in of just now, and return the browser's cookie."""
    with services.database.writing() as database:
        secret = sessions.begin(
            database, person.id, services.settings.limits, address="127.0.0.1", agent="benchmark"
        )
    return f"fleetform-session={secret}"


# ------------------------------------------------------------------------------------------------ the server


@contextmanager
def served(settings: Settings, cloud: str) -> Iterator[int]:
    """Run `fleetform console` in a process of its own; yield its number once it answers."""
    variables = {**os.environ, "FLEETFORM_HOME": str(settings.project.home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "scripts.cli", "console", "--cloud", cloud, "--port", str(settings.port)]
    with subprocess.Popen(
        command,
        cwd=settings.project.root,
        env=variables,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 60
        while not _listens(settings):
            assert process.poll() is None and time.monotonic() < deadline, "the console does not start"
            time.sleep(0.1)
        yield process.pid
        process.terminate()


def _listens(settings: Settings) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((settings.host, settings.port)) == 0


def memory_mib(pid: int) -> tuple[float, float]:
    """Return the resident memory of a process now and at its highest, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    told = dict(line.split(":", 1) for line in lines)
    now, most = (float(told[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


# ---------------------------------------------------------------------------------------- those who watch


@dataclass(frozen=True)
class Watching:
    """Who watches what: a run that goes on for as long as they do."""

    cloud: Cloud
    region: str
    bucket: str
    run_id: str
    settings: Settings
    path: str
    cookies: tuple[str, ...]


@contextmanager
def watched(watching: Watching) -> Iterator[Synchronized[int]]:
    """Let everybody watch from a process of its own; yields the count of the news that came to them all."""
    context = get_context("spawn")
    news = context.Value("q", 0)
    process = context.Process(target=_watch, args=(watching, news), daemon=True)
    process.start()
    deadline = time.monotonic() + 120
    while news.value < len(watching.cookies):
        assert process.is_alive() and time.monotonic() < deadline, (
            f"{news.value} news came to those who watch"
        )
        time.sleep(0.2)
    try:
        yield news
    finally:
        process.terminate()
        process.join()


def _watch(watching: Watching, news: Synchronized[int]) -> None:
    asyncio.run(_watch_all(watching, news))


async def _watch_all(watching: Watching, news: Synchronized[int]) -> None:
    store = RunStore(watching.cloud, watching.region, watching.bucket)
    watchers = (_watch_one(watching, cookie, news) for cookie in watching.cookies)
    await asyncio.gather(asyncio.to_thread(_train, store, watching.run_id), *watchers)


def begin_run(store: RunStore, run_id: str) -> None:
    """Write a run that goes on."""
    make(store, run_id, *ENDED[:3], submitted=now_text(), price_usd_per_hour=2.0)


def _train(store: RunStore, run_id: str) -> None:
    """Write the run as its machines would: a step, and a line of its log, each half second."""
    metrics = log = b""
    for step in range(1, 1_000_000):
        line = {"step": step, "time": now_text(), "loss": 1 / step, "samples_per_s": 100.0 + step % 7}
        metrics += json.dumps(line).encode() + b"\n"
        log += f"step {step}\n".encode()
        put(store, run_id, "logs/node-0.log", log)
        put(store, run_id, "metrics.jsonl", metrics)
        time.sleep(_STEP_SECONDS)


async def _watch_one(watching: Watching, cookie: str, news: Synchronized[int]) -> None:
    settings = watching.settings
    reader, writer = await asyncio.open_connection(settings.host, settings.port, limit=1 << 24)
    request = f"GET {watching.path} HTTP/1.1\r\nHost: {settings.public_host}\r\nCookie: {cookie}\r\n\r\n"
    writer.write(request.encode())
    while line := await reader.readline():
        if line.startswith(b"event: news"):
            with news.get_lock():
                news.value += 1
