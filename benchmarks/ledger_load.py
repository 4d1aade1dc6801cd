"""What `benchmarks.ledger` measures against: a copy of a ledger of very many entries, with checkpoints.

A real hash chain over 695 days, in a folder as `audit export` writes it: 200 people, 40 environments, 500
machines, a run for each ten entries. It is read as the bucket's is, from the folder.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fleet import chain, checkpoints, ledger_copy
from fleet.checkpoints import Checkpoint
from tests.ledger_parts import Signer

PEOPLE, ENVIRONMENTS, MACHINES, RUN_OF = 200, 40, 500, 10
BEGAN = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
STEP = datetime.timedelta(minutes=1)
_EVENTS = ("run.ended", "machine.enter", "environment.up", "lease.extend", "run.fetch", "model.take")

_MEASURED = """
import pathlib, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    assert not ended.code, "it failed"
print(pathlib.Path("/proc/self/status").read_text(), file=sys.stderr)
"""
"""Runs a program and tells its memory: what a parent is told of it has the parent's own in it."""


def machine(number: int) -> str:
    """Return a machine's id."""
    return f"i-{number:017x}"


def person(number: int) -> str:
    """Return a person's name."""
    return f"person-{number:03d}"


def environment(number: int) -> str:
    """Return an environment's name."""
    return f"team-{number:02d}"


def run(number: int) -> str:
    """Return the run that an entry of that number belongs to."""
    return f"20250101-000000-{number // RUN_OF:x}"


def content(number: int) -> dict[str, Any]:
    """Return an entry without its place in the chain."""
    where = environment(number // RUN_OF % ENVIRONMENTS)
    event = "run.submit" if number % RUN_OF == 0 else _EVENTS[number % len(_EVENTS)]
    details: dict[str, Any] = {"environment": where}
    target = where
    if event == "run.submit":
        details = {"run_id": run(number), "nodes": 2, "command": ["train.py", "--epochs", "3"]}
    elif event == "machine.enter":
        target = machine(number % MACHINES)
        details["reason"] = "look at the disk"
    elif event.startswith(("run.", "model.")):
        target = run(number)
    who = person(number * 7 % PEOPLE)
    return {
        "id": f"{number:032x}",
        "time": (BEGAN + number * STEP).isoformat(timespec="milliseconds"),
        "event": event,
        "actor": {
            "identity": f"arn:aws:sts::123456789012:assumed-role/{where}-member-us-east-1/{who}",
            "os_user": who,
            "host": "laptop",
            "person": who,
        },
        "target": target,
        "outcome": "refused" if number % 97 == 0 else "succeeded",
        "details": details,
    }


def entries(count: int) -> Iterator[dict[str, Any]]:
    """Yield the chain."""
    previous = chain.GENESIS
    for number in range(1, count + 1):
        entry = chain.sealed(content(number), number, previous)
        previous = entry["hash"]
        yield entry


def write_copy(folder: Path, count: int) -> None:
    """Write the copy, and a checkpoint of each 1000th entry and of the last."""
    for part in ("ledger", "checkpoints", "fleet"):
        (folder / part).mkdir(parents=True)
    signer, before, head = Signer(), "", chain.START
    for entry in entries(count):
        number, head = entry["sequence"], chain.format_head(entry["sequence"], entry["hash"])
        name = chain.entry_name(number)
        (folder / "ledger" / name).write_bytes(json.dumps(entry, indent=2, ensure_ascii=False).encode())
        if checkpoints.is_multiple(number) or number == count:
            said = Checkpoint(
                head=head,
                time=entry["time"],
                previous=before,
                key_sha256=checkpoints.fingerprint(signer.public),
            )
            file = signer.sign(said)
            (folder / "checkpoints" / name).write_bytes(file)
            before = f"{number}:{checkpoints.fingerprint(file)}"
    report = chain.Report(count, head, ())
    for file_name, data in (
        ledger_copy.about_copy("a-bucket", report),
        *ledger_copy.verifier(),
        *ledger_copy.checkpoint_files({}, signer.public),
    ):
        (folder / file_name).write_bytes(data)


class FolderLedger:
    """A copy, read as `fleet.ledger_reading` reads the bucket; counts the entries that are read."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder / "ledger", count
        self.read = 0

    def get(self, number: int) -> dict[str, Any]:
        """Return one entry."""
        self.read += 1
        entry: dict[str, Any] = json.loads((self._folder / chain.entry_name(number)).read_bytes())
        return entry

    def tail(self) -> tuple[int, str]:
        """Return the last entry's number and hash."""
        return self._count, str(self.get(self._count)["hash"])

    def entries_from(self, sequence: int, limit: int) -> list[dict[str, Any]]:
        """Return up to `limit` entries from that number on."""
        return [self.get(number) for number in range(sequence, min(sequence + limit, self._count + 1))]

    def entries_of(self, digests: Mapping[int, str]) -> dict[int, dict[str, Any]]:
        """Return the entries of these numbers."""
        return {number: self.get(number) for number in digests}


def timed(program: Path, *arguments: str) -> tuple[float, float, str]:
    """Return a program's seconds, its memory at its highest in MiB, and what it printed."""
    begin = time.perf_counter()
    command = [sys.executable, "-I", "-S", "-c", _MEASURED, str(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - begin
    told = dict(line.split(":", 1) for line in done.stderr.splitlines() if ":" in line)
    return seconds, float(told["VmHWM"].split()[0]) / 1024, done.stdout
