"""The ledger's hash chain: canonical form, hash and verification, with the standard library alone.

This file travels with every export, so that an auditor can check a copy on any machine that has Python:

    python chain.py FOLDER [--head SEQUENCE:HASH]

It exits with 0 when every entry from the first to the last is there, unchanged and linked to the one before,
and every other file has the SHA-256 that SHA256SUMS names, where there is one; else with 1 and a line for
each finding. A copy that was cut off or rewritten as a whole is consistent in itself; what tells it apart is
a head (`SEQUENCE:HASH`) noted elsewhere: a ticket, an earlier export.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GENESIS = "0" * 64
"""`prev_hash` of the first entry."""
START = f"0:{GENESIS}"
"""The head of a chain that has no entry yet."""
EXPORT_FILE = "export.json"
"""Says what an export holds: `first`, `last`, `head`, and of a part of a chain `after`, the head before."""
SUMS_FILE = "SHA256SUMS"
"""The digests of all other files, as `sha256sum` writes them."""
_NAME = re.compile(r"^(\d{12})\.json$")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with a chain."""

    name: str
    """The entry's file name, or the number that should be there."""
    kind: str
    """`changed`, `missing` or `added`."""
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {self.kind}: {self.what}"


@dataclass(frozen=True)
class Report:
    """The outcome of a verification: how far the chain reaches, its head, and all that is wrong."""

    entries: int
    head: str
    """`SEQUENCE:HASH` of the last entry that was read."""
    findings: tuple[Finding, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def find_tail(exists_after: Callable[[int], bool], known: int = 0) -> int:
    """Return the number of the last entry, `known` where none is newer; `exists_after` tells of any number.

    Doubling steps, then halving: about 2 log2(n) small questions for n new entries, and one for none.
    """
    if not exists_after(known):
        return known
    low, step = known, 1
    while exists_after(low + step):
        low, step = low + step, step * 2
    high = low + step  # nothing after `high`, something after `low`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if exists_after(middle) else (low, middle)
    return high


def entry_name(sequence: int) -> str:
    """Return the file name of an entry: its number in 12 digits, so that names sort as numbers do."""
    return f"{sequence:012d}.json"


def is_entry_name(name: str) -> bool:
    """Return whether a file name is that of an entry; anything else in the ledger's folder is a stray."""
    return re.fullmatch(r"[0-9]{12}\.json", name) is not None


def canonical(entry: Mapping[str, Any]) -> bytes:
    """Return the bytes that are hashed: JSON with sorted keys and no spaces, without the hash itself."""
    content = {key: value for key, value in entry.items() if key != "hash"}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def entry_hash(entry: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the entry's canonical form, in hex."""
    return hashlib.sha256(canonical(entry)).hexdigest()


def format_head(sequence: int, digest: str) -> str:
    """Return a head as people note it down: `SEQUENCE:HASH`."""
    return f"{sequence}:{digest}"


def parse_head(text: str) -> str:
    """Return the head if it is one; raises ValueError for anything but `SEQUENCE:HASH`."""
    if not re.fullmatch(r"\d{1,12}:([0-9a-f]{64}|unknown)", text):
        raise ValueError(f"{text!r} is not a head: SEQUENCE:HASH, with 64 hex digits")
    return text


def verify(files: Mapping[str, bytes], *, head: str | None = None, after: str = START) -> Report:
    """Check a chain given as entry file names and their bytes; `head` is where it must end, if known.

    Of a part of a chain `after` is the head of what comes before it.
    """
    number, _, digest = parse_head(after).partition(":")
    before, previous = int(number), None if digest == "unknown" else digest
    findings = [_stray(name) for name in sorted(files) if not _NAME.match(name)]
    numbered = {int(name[:12]): files[name] for name in files if _NAME.match(name)}
    findings += [_early(each) for each in sorted(numbered) if each <= before]
    last = max(numbered, default=before)
    for sequence in range(before + 1, last + 1):
        name = entry_name(sequence)
        if sequence not in numbered:
            findings.append(Finding(name=name, kind="missing", what="no such entry, though later ones exist"))
            previous = None  # the link over a gap can't be checked
            continue
        previous, found = _verify_entry(name, sequence, numbered[sequence], previous)
        findings += found
    reached = format_head(last, previous or "unknown")
    if head is not None and head != reached:
        findings.append(_wrong_end(head, reached, last))
    return Report(entries=len(numbered), head=reached, findings=tuple(findings))


def _stray(name: str) -> Finding:
    return Finding(name=name, kind="added", what="not the name of an entry")


def _early(sequence: int) -> Finding:
    return Finding(name=entry_name(sequence), kind="added", what="it lies before the part that this is")


def _wrong_end(expected: str, reached: str, last: int) -> Finding:
    number = int(expected.partition(":")[0] or 0)
    kind = "missing" if number > last else "added" if number < last else "changed"
    what = f"the chain ends at {reached[:24]}, not at {expected[:24]}"
    return Finding(name=entry_name(max(number, last)), kind=kind, what=what)


def _verify_entry(
    name: str, sequence: int, data: bytes, previous: str | None
) -> tuple[str | None, list[Finding]]:
    """Return the entry's own recomputed hash and what is wrong with it."""
    try:
        entry = json.loads(data)
        claimed, linked, number = entry["hash"], entry["prev_hash"], entry["sequence"]
    except (ValueError, KeyError, TypeError):
        return None, [
            Finding(name=name, kind="changed", what="not an entry: its JSON is broken or incomplete")
        ]
    findings = []
    digest = entry_hash(entry)
    if digest != claimed:
        findings.append(Finding(name=name, kind="changed", what="its content does not give its hash"))
    if number != sequence:
        findings.append(Finding(name=name, kind="added", what=f"it says that it is number {number}"))
    if previous is not None and linked != previous:
        findings.append(Finding(name=name, kind="changed", what="it is not linked to the entry before it"))
    return digest, findings


def verify_folder(folder: Path, *, head: str | None = None) -> Report:
    """Check an exported folder: every entry in `ledger/`, and the end that export.json (or `head`) names.

    Where it has a SHA256SUMS, all of its other files, too.
    """
    files = {file.name: file.read_bytes() for file in (folder / "ledger").iterdir()}
    export, about = folder / EXPORT_FILE, dict[str, Any]()
    if export.is_file():
        about = json.loads(export.read_text(encoding="utf-8"))
    report = verify(files, head=head or about.get("head"), after=str(about.get("after", START)))
    return Report(report.entries, report.head, (*report.findings, *_verify_sums(folder)))


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


def main() -> int:
    """Verify the folder named on the command line."""
    parser = argparse.ArgumentParser(description="Verify an exported ledger.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--head", type=parse_head, help="SEQUENCE:HASH that the chain must end at")
    arguments = parser.parse_args()
    if not (arguments.folder / "ledger").is_dir():
        print(f"{arguments.folder} holds no folder named ledger/", file=sys.stderr)
        return 2
    report = verify_folder(arguments.folder, head=arguments.head)
    for finding in report.findings:
        print(finding)
    verdict = "intact" if report.intact else f"{len(report.findings)} findings"
    print(f"{report.entries} entries, head {report.head}: {verdict}")
    return 0 if report.intact else 1


if __name__ == "__main__":
    sys.exit(main())
