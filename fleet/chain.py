"""The ledger's hash chain: canonical form, hash and verification in one pass; standard library alone.

This file travels with every export and with the reaper (fleet/ledger_copy.py, stacks/reaper_archive.py). A
copy that was cut off or rewritten as a whole is consistent in itself; what tells it apart are signed
checkpoints (fleet/checkpoints.py), or a head (`SEQUENCE:HASH`) noted elsewhere: a ticket, an earlier export.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64
"""`prev_hash` of the first entry."""
START = f"0:{GENESIS}"
"""The head of a chain that has no entry yet."""
CLOCKS_DIFFER_S = 300.0
"""By how much writers' clocks may differ before somebody has to explain it."""
_NAMED_GAPS = 100
"""Missing numbers in a row that are named one by one; of more, as before a stray, the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with a chain."""

    name: str
    """The entry's file name, or the number that should be there."""
    kind: str
    """`changed`, `missing` or `added`; of what is to be explained and breaks nothing `clock`, `unchecked`."""
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
    remarks: tuple[Finding, ...] = ()
    """What does not break the chain and has to be explained: a clock that ran back, what was not checked."""
    checkpoints: int = 0
    """Signed checkpoints that the chain was held against."""
    checkpoint: str = ""
    """`SEQUENCE:SHA256` of the last checkpoint's file, "" where there is none."""
    signed_at: str = ""
    """When that one was signed, by the cloud's clock."""

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@dataclass(frozen=True)
class Mark:
    """What a signed checkpoint says of one entry."""

    digest: str
    """The entry's hash."""
    time: str
    """When it was signed."""


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


def sealed(content: Mapping[str, Any], sequence: int, previous: str) -> dict[str, Any]:
    """Return an entry with its place in the chain: its number, the hash of the one before, its own hash."""
    entry = {"sequence": sequence, **content, "prev_hash": previous}
    return {**entry, "hash": entry_hash(entry)}


def format_head(sequence: int, digest: str) -> str:
    """Return a head as people note it down: `SEQUENCE:HASH`."""
    return f"{sequence}:{digest}"


def parse_head(text: str) -> str:
    """Return the head if it is one; raises ValueError for anything but `SEQUENCE:HASH`."""
    if not re.fullmatch(r"\d{1,12}:([0-9a-f]{64}|unknown)", text):
        raise ValueError(f"{text!r} is not a head: SEQUENCE:HASH, with 64 hex digits")
    return text


class Pass:
    """One pass over a chain, entry by entry in the order of their names; holds nothing of those before."""

    def __init__(self, after: str = START, marks: Mapping[int, Mark] | None = None) -> None:
        """Begin after the head `after`, that of what comes before a part; `marks` are the signed entries."""
        number, _, digest = after.partition(":")
        self._before = self._last = int(number)
        self._previous = None if digest == "unknown" else digest
        self._marks = marks or {}
        self._time: float | None = None
        self._count = 0
        self.findings: list[Finding] = []
        self.remarks: list[Finding] = []
        if self._previous is not None:
            self._hold_against_mark(self._before, self._previous)

    @property
    def head(self) -> str:
        """`SEQUENCE:HASH` of the last entry that was taken."""
        return format_head(self._last, self._previous or "unknown")

    def take(self, name: str, data: bytes) -> None:
        """Check the next file of the ledger's folder."""
        if not is_entry_name(name):
            self._find(name, "added", "not the name of an entry")
            return
        sequence, self._count = int(name[:12]), self._count + 1
        if sequence <= self._before:
            self._find(name, "added", "it lies before the part that this is")
            return
        if sequence <= self._last:
            self._find(name, "added", "a second one of this number")
            return
        self._miss(self._last + 1, sequence)
        self._previous = self._check(name, sequence, data)
        self._last = sequence
        if self._previous is not None:
            self._hold_against_mark(sequence, self._previous)

    def report(self, head: str | None = None) -> Report:
        """Return what was found, once all was taken; `head` is where the chain must end, if known."""
        findings = [*self.findings, *self._cut_off()]
        if head is not None and head != self.head:
            findings.append(_wrong_end(head, self.head, self._last))
        return Report(self._count, self.head, tuple(findings), tuple(self.remarks))

    def _check(self, name: str, sequence: int, data: bytes) -> str | None:
        """Return the entry's own recomputed hash, None for what is no entry."""
        try:
            entry = json.loads(data)
            claimed, linked, number = entry["hash"], entry["prev_hash"], entry["sequence"]
        except (ValueError, KeyError, TypeError):
            self._find(name, "changed", "not an entry: its JSON is broken or incomplete")
            return None
        digest = entry_hash(entry)
        if digest != claimed:
            self._find(name, "changed", "its content does not give its hash")
        if number != sequence:
            self._find(name, "added", f"it says that it is number {number}")
        if self._previous is not None and linked != self._previous:
            self._find(name, "changed", "it is not linked to the entry before it")
        self._check_time(name, entry.get("time"))
        return digest

    def _check_time(self, name: str, text: object) -> None:
        """Remark on a clock that was set back: the order stands, and the time is its writer's word."""
        try:
            time = datetime.datetime.fromisoformat(str(text)).timestamp()
        except (ValueError, OverflowError):
            return
        if self._time is not None and self._time - time > CLOCKS_DIFFER_S:
            what = f"it says a time {self._time - time:.0f} s before that of the entry before it"
            self.remarks.append(Finding(name=name, kind="clock", what=what))
        self._time = time

    def _hold_against_mark(self, sequence: int, digest: str) -> None:
        mark = self._marks.get(sequence)
        if mark is not None and mark.digest != digest:
            what = f"it is not the one that the checkpoint of {mark.time} signs: the chain was rewritten"
            self._find(entry_name(sequence), "changed", what)

    def _miss(self, first: int, end: int) -> None:
        """Note every number from `first` to before `end` as missing."""
        for sequence in range(first, min(end, first + _NAMED_GAPS)):
            self._find(entry_name(sequence), "missing", "no such entry, though later ones exist")
        if end > first:
            self._previous = None  # the link over a gap can't be checked
        if (rest := end - first - _NAMED_GAPS) > 0:
            self._find(entry_name(first + _NAMED_GAPS), "missing", f"nor the {rest - 1} after it")

    def _cut_off(self) -> Iterator[Finding]:
        beyond = [number for number in self._marks if number > self._last]
        if beyond:
            mark = self._marks[max(beyond)]
            what = f"the checkpoint of {mark.time} signs it, and the chain ends at {self._last}"
            yield Finding(name=entry_name(max(beyond)), kind="missing", what=what)

    def _find(self, name: str, kind: str, what: str) -> None:
        self.findings.append(Finding(name=name, kind=kind, what=what))


def verify(
    files: Mapping[str, bytes], *, head: str | None = None, after: str = START,
    marks: Mapping[int, Mark] | None = None,
) -> Report:  # fmt: skip
    """Check a chain given as entry file names and their bytes; `head` is where it must end, if known.

    Of a part of a chain `after` is the head of what comes before it.
    """
    passing = Pass(after, marks)
    for name in sorted(files):
        passing.take(name, files[name])
    return passing.report(head)


def _wrong_end(expected: str, reached: str, last: int) -> Finding:
    number = int(expected.partition(":")[0] or 0)
    kind = "missing" if number > last else "added" if number < last else "changed"
    what = f"the chain ends at {reached[:24]}, not at {expected[:24]}"
    return Finding(name=entry_name(max(number, last)), kind=kind, what=what)
