"""Verifying a copy of the ledger, a folder, in one pass and with little memory; standard library alone.

This travels with every export, whose `chain.py` calls it (fleet/copy_program.py).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet import chain, checkpoints
from fleet.chain import Finding, Report
from fleet.checkpoint_check import Checked, check

LEDGER = "ledger"
EXPORT_FILE = "export.json"
"""Says what an export holds: `first`, `last`, `head`, the last `checkpoint`, of a part of a chain `after`."""
SUMS_FILE = "SHA256SUMS"
"""The digests of all other files, as `sha256sum` writes them."""


def verify_folder(folder: Path, *, head: str | None = None, key_sha256: str = "") -> Report:
    """Check every entry in `ledger/`, the checkpoints, and the ends that export.json (or `head`) names.

    Where there is a SHA256SUMS, all other files too. With `key_sha256` the checkpoints' key must be that one:
    a copy brings its key along, and whoever made the copy up as a whole would have brought another.
    """
    about = _about(folder)
    after = str(about.get("after", chain.START))
    last = str(about.get("checkpoint", ""))
    checked = _checkpoints(folder, key_sha256, int(after.partition(":")[0]), last)
    passing = chain.Pass(after, checked.marks)
    # Names alone are held, not contents: a ledger of a million entries is some GB.
    names = sorted(file.name for file in (folder / LEDGER).iterdir())
    for name in names:
        passing.take(name, _read(folder / LEDGER / name))
    report = checked.add_to(passing.report(head or about.get("head")))
    return replace(report, findings=(*report.findings, *_verify_sums(folder)))


def _about(folder: Path) -> dict[str, Any]:
    export = folder / EXPORT_FILE
    said = json.loads(export.read_text(encoding="utf-8")) if export.is_file() else {}
    return said if isinstance(said, dict) else {}


def _read(file: Path) -> bytes:
    """Return a file's content, nothing for a folder: what is none is named as a finding."""
    return file.read_bytes() if file.is_file() else b""


def _checkpoints(folder: Path, key_sha256: str, after: int, last: str) -> Checked:
    there = folder / checkpoints.FOLDER
    files = {file.name: _read(file) for file in there.iterdir()} if there.is_dir() else {}
    file = folder / checkpoints.KEY_FILE
    key = file.read_bytes() if file.is_file() else None
    found = check(files, key, why=f"the copy holds no {checkpoints.KEY_FILE}", after=after)
    if key_sha256 and (key is None or checkpoints.fingerprint(key) != key_sha256):
        what = "it is not the key that was named: the checkpoints may be anybody's"
        found.findings.append(Finding(name=checkpoints.KEY_FILE, kind="changed", what=what))
    elif key_sha256 and not found.marks:
        # A chain that was rewritten as a whole is sound in itself: its checkpoints have to go for that.
        what = "there is no checkpoint that the named key has signed: nothing bears the chain out"
        found.findings.append(Finding(name=checkpoints.FOLDER, kind="missing", what=what))
    if last and found.last != last:
        what = f"the copy was made with {last[:30]} as its last, and has {found.last[:30] or 'none'}"
        found.findings.append(Finding(name=checkpoints.FOLDER, kind="missing", what=what))
    return found


def _verify_sums(folder: Path) -> Iterator[Finding]:
    """Yield what is not as SHA256SUMS names it; nothing where there is none."""
    sums = folder / SUMS_FILE
    if not sums.is_file():
        return
    lines = (line.partition("  ") for line in sums.read_text(encoding="utf-8").splitlines())
    listed = {name: digest for digest, _, name in lines}
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    for name in sorted(listed.keys() | there - {SUMS_FILE}):
        if name not in there:
            yield Finding(name=name, kind="missing", what=f"{SUMS_FILE} lists it")
        elif name not in listed:
            yield Finding(name=name, kind="added", what=f"{SUMS_FILE} does not list it")
        elif hashlib.sha256((folder / name).read_bytes()).hexdigest() != listed[name]:
            yield Finding(name=name, kind="changed", what=f"{SUMS_FILE} has another digest of it")


def lines(report: Report) -> Iterator[str]:
    """Yield what was found, and the last checkpoint."""
    yield from map(str, report.findings)
    yield from (f"to explain: {each}" for each in report.remarks)
    if report.checkpoint:
        yield (
            f"last checkpoint {report.checkpoint}, signed {report.signed_at}, "
            f"of {report.checkpoints} that the chain was held against"
        )
    else:
        yield "no signed checkpoint"


def main() -> int:
    """Verify the folder named on the command line; the exit code says whether nothing was found."""
    parser = argparse.ArgumentParser(description="Verify an exported ledger.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--head", type=chain.parse_head, help="SEQUENCE:HASH that the chain must end at")
    parser.add_argument("--key", default="", help="SHA-256 of the public key that must have signed, in hex")
    arguments = parser.parse_args()
    if not (arguments.folder / LEDGER).is_dir():
        print(f"{arguments.folder} holds no folder named {LEDGER}/", file=sys.stderr)
        return 2
    report = verify_folder(arguments.folder, head=arguments.head, key_sha256=arguments.key)
    for line in lines(report):
        print(line)
    verdict = "intact" if report.intact else f"{len(report.findings)} findings"
    print(f"{report.entries} entries, head {report.head}: {verdict}")
    return 0 if report.intact else 1
