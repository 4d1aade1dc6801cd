"""The ledger's part of an evidence pack: the slice of the chain, what verifies it, its entries as tables."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet import chain
from fleet.entry_about import About, about
from fleet.evidence_archive import Archive
from fleet.evidence_items import Found, Key, Trouble, trouble
from fleet.ledger_copy import about_copy, checkpoint_files, verifier
from fleet.ledger_reading import Entry
from fleet.ledger_whole import WholeLedger

_SLICE = 2000
"""Entries that are held at a time."""
HEADERS = (
    "number", "time (UTC)", "event", "target", "outcome", "environment", "run", "machine", "who", "name",
    "identity", "address", "hash",
)  # fmt: skip
TABLES: tuple[Key, ...] = ("entries", "refusals", "people", "reviews", "changes")
_CHANGES = ("environment.", "lease.", "budget.", "state.")
_PEOPLE = ("people.", "console.join", "console.welcome", "console.password")
_REVIEWS = ("review.", "record.")


@dataclass
class LedgerPart:
    """What was found in the ledger."""

    report: chain.Report
    after: str
    """The head before the slice."""
    tables: dict[Key, list[tuple[object, ...]]] = field(default_factory=lambda: {key: [] for key in TABLES})
    wanted: list[Entry] = field(default_factory=list)
    """The entries about what the pack is about."""
    checkpoints: int = 0
    """How many signed checkpoints of the slice there are."""

    def receipts(self) -> set[str]:
        """Return the digests of receipts that the entries have."""
        told = (each["details"].get("receipt_sha256") for each in self.wanted)
        return {str(digest) for digest in told if digest}

    def plans(self) -> set[str]:
        """Return the digests of what was applied that the entries have."""
        stacks = (each["details"].get("stacks") for each in self.wanted)
        told = (each for by_name in stacks if isinstance(by_name, Mapping) for each in by_name.values())
        return {
            str(each["plan_sha256"]) for each in told if isinstance(each, Mapping) and "plan_sha256" in each
        }


def add_ledger(
    ledger: WholeLedger,
    archive: Archive,
    period: tuple[datetime.datetime, datetime.datetime],
    names: tuple[str, ...],
    environment_of_run: Callable[[str], str],
    tell: Callable[[str], None],
) -> LedgerPart:
    """Add the slice of the chain, verified, and the tables; `names` are the environments, () for all."""
    first, last = ledger.first_since(period[0]), ledger.first_since(period[1]) - 1
    signed = ledger.signed_part(first, last)
    part = LedgerPart(chain.Report(0, "", ()), _head_before(ledger, first))
    passing, runs = chain.Pass(part.after, signed.checked.marks), dict[str, str]()
    for start in range(first, last + 1, _SLICE):
        files = ledger.read(start, min(start + _SLICE - 1, last))
        for name, data in files.items():
            passing.take(name, data)
            archive.add(f"ledger/{name}", data)
            for entry in _parsed(data):
                _sort_in(part, entry, names, runs, environment_of_run)
        tell(f"the ledger: {min(start + _SLICE - 1, last) - first + 1} of {last - first + 1} entries")
    part.report = signed.checked.add_to(passing.report())
    part.checkpoints = len(signed.files)
    archive.add(*about_copy(ledger.bucket, part.report, part.after))
    for file in (*verifier(), *checkpoint_files(signed.files, signed.key)):
        archive.add(*file)
    archive.add_json("entries.json", part.wanted)
    for key, table in part.tables.items():
        more = ("stacks: changes, SHA-256 of the configuration",) if key == "changes" else ()
        archive.add_table(f"{key}.csv", (*HEADERS, *more), table)
    return part


def found_in(part: LedgerPart) -> Iterator[Found]:
    """Yield how much there is of each kind."""
    found, wrong = part.report.findings, list[Trouble]()
    if found:
        wrong = [trouble(f"{len(found)} findings: {found[0]}", f"문제 {len(found)}건: {found[0]}")]
    yield Found(key="ledger", count=part.report.entries, troubles=tuple(wrong))
    unsigned = trouble("none was signed in the period", "이 기간에 서명된 것이 없습니다")
    yield Found(key="checkpoints", count=part.checkpoints, troubles=() if part.checkpoints else (unsigned,))
    for key in TABLES:
        yield Found(key=key, count=len(part.tables[key]))


def _head_before(ledger: WholeLedger, first: int) -> str:
    return chain.START if first == 1 else chain.format_head(first - 1, str(ledger.get(first - 1)["hash"]))


def _parsed(data: bytes) -> Iterator[Entry]:
    """Yield the entry; nothing for what is none, which the verification names."""
    try:
        entry = json.loads(data)
        if isinstance(entry["sequence"], int) and isinstance(entry["details"], dict):
            yield entry
    except (ValueError, KeyError, TypeError):
        return


def _sort_in(
    part: LedgerPart,
    entry: Entry,
    names: tuple[str, ...],
    runs: dict[str, str],
    environment_of_run: Callable[[str], str],
) -> None:
    """Put the entry into the tables that it belongs into."""
    found = about(entry, lambda run: runs.get(run) or environment_of_run(run))
    if found.run and found.environment:
        runs[found.run] = found.environment
    event, row = str(entry["event"]), _row(entry, found)
    # People, reviews and refusals to sign in are the account's, whichever environment a pack is about.
    if event.startswith(_PEOPLE):
        part.tables["people"].append(row)
    if event.startswith(_REVIEWS):
        part.tables["reviews"].append(row)
    concerns = not names or found.environment in names
    refused = entry["outcome"] == "refused" or (event == "console.login" and entry["outcome"] == "failed")
    if refused and (concerns or event.startswith("console.")):
        part.tables["refusals"].append(row)
    if concerns:
        part.wanted.append(entry)
        part.tables["entries"].append(row)
        if event.startswith(_CHANGES):
            part.tables["changes"].append((*row, _stacks(entry)))


def _stacks(entry: Entry) -> str:
    """Return what an `up` did to each stack, and the digest of the configuration that it applied."""
    stacks = entry["details"].get("stacks")
    if not isinstance(stacks, Mapping):
        return ""
    told = {name: each for name, each in stacks.items() if isinstance(each, Mapping)}
    return "; ".join(
        f"{name}: {each.get('changes', '')} {each.get('configuration_sha256', '')}".strip()
        for name, each in told.items()
    )


def _row(entry: Entry, found: About) -> tuple[object, ...]:
    actor: Mapping[str, Any] = entry.get("actor") or {}
    asked: Mapping[str, Any] = actor.get("asked_by") or {}
    return (
        entry["sequence"], entry["time"], entry["event"], entry["target"], entry["outcome"],
        found.environment, found.run, " ".join(found.instances), found.person, asked.get("name", ""),
        actor.get("identity", ""), asked.get("address", ""), entry["hash"],
    )  # fmt: skip
