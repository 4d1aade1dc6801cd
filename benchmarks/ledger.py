"""The ledger with a million entries: how fast it is appended to, asked, and verified, and with what memory.

`python -m benchmarks.ledger [--entries 1000000] [--appends 400] [--smoke] [--json]`. Appends go over HTTP to
an embedded cloud, by one writer and by 16 processes at once; the baseline are as many plain PutObjects of the
same bytes, which keep no order and no chain. The chain of a million lies in a folder as `audit export` writes
it. It is verified by the program that travels along, against reading and hashing the same files, and asked by
the command's index, against one pass over all entries, which is what an answer costs without it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks import ledger_load as load
from benchmarks.console_load import memory_mib
from fleet import aws
from fleet.cloud import Cloud, choose_cloud
from fleet.ledger import Ledger
from fleet.ledger_index import LedgerIndex
from fleet.ledger_tables import Wanted
from fleet.project import Project
from sandbox import daemon

WRITERS = 16
REGION, KIM = "us-east-1", "arn:aws:iam::123456789012:user/kim"
ASKED = 20
"""How often each question is asked, each time about another thing."""
_HASH = """
import hashlib, pathlib, sys
for file in pathlib.Path(sys.argv[1]).iterdir():
    hashlib.sha256(file.read_bytes())
"""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Scale:
    """How much there is."""

    entries: int
    appends: int


# ------------------------------------------------------------------------------------------------ appending


def put_plainly(cloud: Cloud, bucket: str, writer: int, count: int, ready: Barrier) -> None:
    """Put as many objects as another appends entries."""
    s3 = aws.client(cloud, "s3", REGION)
    ready.wait()
    for number in range(count):
        body = json.dumps(load.content(number), indent=2).encode()
        s3.put_object(
            Bucket=bucket, Key=f"plain/{writer}-{number}", Body=body, ChecksumAlgorithm="SHA256",
            ContentType="application/json",
        )  # fmt: skip


def append(cloud: Cloud, bucket: str, writer: int, count: int, ready: Barrier) -> None:
    """Append entries as a command does."""
    ledger = Ledger(cloud, bucket, REGION, KIM)
    ready.wait()
    for number in range(count):
        ledger.append("run.submit", f"writer-{writer}", "recorded", load.content(number)["details"])


def rate(act: Callable[..., None], cloud: Cloud, bucket: str, writers: int, total: int) -> float:
    """Return how many are written in a second by so many processes at once."""
    context = get_context("fork")
    ready = context.Barrier(writers + 1)
    processes = [
        context.Process(target=act, args=(cloud, bucket, each, total // writers, ready))
        for each in range(writers)
    ]
    for process in processes:
        process.start()
    ready.wait()
    begin = time.perf_counter()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - begin
    assert [process.exitcode for process in processes] == [0] * writers, "a writer failed"
    return total // writers * writers / seconds


def appending(scale: Scale) -> Rows:
    """Return the rates, and how fast the bucket's own chain is verified."""
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        daemon.start(home)
        try:
            cloud = choose_cloud(Project(root=home.parent, home=home), "sandbox")
            for writers in (1, WRITERS):
                bucket = f"ledger-{uuid4().hex[:12]}"
                aws.client(cloud, "s3", REGION).create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
                plain = rate(put_plainly, cloud, bucket, writers, scale.appends)
                appended = rate(append, cloud, bucket, writers, scale.appends)
                begin = time.perf_counter()
                report = Ledger(cloud, bucket, REGION, KIM).verify()
                took = time.perf_counter() - begin
                assert report.intact and report.entries == scale.appends // writers * writers, report
                rows.append(
                    {"writers": writers, "plain_per_s": plain, "append_per_s": appended,
                     "verified_per_s": report.entries / took}
                )  # fmt: skip
        finally:
            daemon.stop(home)
    return rows


# ------------------------------------------------------------------------------------------------ verifying


def verifying(copy: Path) -> Rows:
    """Return what it takes to read and hash every file, and to verify the chain."""
    hashing = copy.parent / "hash.py"
    hashing.write_text(_HASH)
    hashed, least, _ = load.timed(hashing, str(copy / "ledger"))
    verified, most, said = load.timed(copy / "chain.py", str(copy))
    print(said.strip(), file=sys.stderr)
    return [
        {"what": "every file read and hashed (baseline)", "seconds": hashed, "mib": least},
        {"what": "chain and checkpoints verified", "seconds": verified, "mib": most},
    ]


# --------------------------------------------------------------------------------------------------- asking


def questions(count: int) -> dict[str, Callable[[int], Wanted]]:
    """Return what is asked: by server, by person, by time, by several."""

    def span(number: int, hours: int) -> dict[str, Any]:
        begin = load.BEGAN + (number + 1) * count // (ASKED + 2) * load.STEP
        return {"since": begin, "until": begin + 60 * hours * load.STEP}

    return {
        "a server": lambda number: Wanted(instance=load.machine(number * 6 % load.MACHINES + 1)),
        "a person, refused": lambda number: Wanted(person=load.person(number), outcome="refused"),
        "an hour": lambda number: Wanted(**span(number, 1)),
        "a run": lambda number: Wanted(run=load.run((number + 1) * count // (ASKED + 2))),
        "an environment, one event, a day": lambda number: Wanted(
            environment=load.environment(number), event="run.submit", **span(number, 24)
        ),
    }


def asking(copy: Path, count: int) -> dict[str, Any]:
    """Return what the index costs, and what each question takes with it and without."""
    ledger = load.FolderLedger(copy, count)
    before = memory_mib(os.getpid())[0]
    begin = time.perf_counter()
    found = sum(1 for number in range(1, count + 1) if ledger.get(number)["target"] == load.machine(7))
    scanned = time.perf_counter() - begin
    index = LedgerIndex(copy.parent / "index.sqlite3", ledger)
    begin = time.perf_counter()
    assert len(index.find(Wanted(target=load.machine(7)))) == found
    filled = time.perf_counter() - begin
    rows = []
    for name, wanted in questions(count).items():
        times, entries = [], 0
        for number in range(ASKED):
            begin = time.perf_counter()
            entries += len(index.find(wanted(number)))
            times.append(time.perf_counter() - begin)
        rows.append({"what": name, "ms": 1000 * statistics.median(times), "found": entries / ASKED})
    return {
        "scan_s": scanned,
        "fill_s": filled,
        "size_mib": index.file.stat().st_size / 2**20,
        "memory_mib": memory_mib(os.getpid())[1] - before,
        "rows": rows,
    }


# ------------------------------------------------------------------------------------------------- the table


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield the tables."""
    scale, asked = found["scale"], found["asking"]
    yield f"{scale['appends']} appends over HTTP to the embedded cloud, which shares the cores with them:"
    yield f"{'writers':>8}{'appended/s':>12}{'plain PutObject/s':>19}{'of that':>9}{'verified/s':>12}"
    for row in found["appending"]:
        share = row["append_per_s"] / row["plain_per_s"]
        yield (
            f"{row['writers']:8}{row['append_per_s']:12.0f}{row['plain_per_s']:19.0f}{share:9.2f}"
            f"{row['verified_per_s']:12.0f}"
        )
    yield f"a copy of {scale['entries']} entries, with a signed checkpoint of each 1000th:"
    base = found["verifying"][0]
    yield f"{'what':42}{'seconds':>9}{'of baseline':>13}{'MiB':>7}"
    for row in found["verifying"]:
        share = row["seconds"] / base["seconds"]
        yield f"{row['what']:42}{row['seconds']:9.1f}{share:13.2f}{row['mib']:7.0f}"
    yield (
        f"the index: filled in {asked['fill_s']:.1f} s, once; {asked['size_mib']:.0f} MiB; "
        f"{asked['memory_mib']:.0f} MiB of memory for filling and asking"
    )
    yield f"{'asked for':42}{'found':>9}{'ms':>9}{'of one pass over all':>22}"
    yield f"{'one pass over all entries (baseline)':42}{'':>9}{1000 * asked['scan_s']:9.0f}{1:22.6f}"
    for row in asked["rows"]:
        share = row["ms"] / 1000 / asked["scan_s"]
        yield f"{row['what']:42}{row['found']:9.0f}{row['ms']:9.1f}{share:22.6f}"


def benchmark(scale: Scale) -> dict[str, Any]:
    """Return what was measured."""
    appended = appending(scale)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        load.write_copy(copy, scale.entries)
        verified, asked = verifying(copy), asking(copy, scale.entries)
    return {"scale": vars(scale), "appending": appended, "verifying": verified, "asking": asked}


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--appends", type=int, default=400)
    parser.add_argument("--smoke", action="store_true", help="a small one, to see that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = benchmark(Scale(2000, 32) if chosen.smoke else Scale(chosen.entries, chosen.appends))
    print(json.dumps(found, indent=2) if chosen.json else "\n".join(lines(found)))


if __name__ == "__main__":
    main()
