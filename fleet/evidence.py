"""An evidence pack: what is on record of an environment, or of all, in a period, as one zip for an auditor.

It verifies itself offline with Python alone (`python chain.py .` in its folder), says what is missing, and
names the controls that each item is evidence towards.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleet import aws
from fleet.entered import NEVER_LOOKED_AT
from fleet.errors import ActError
from fleet.evidence_archive import Archive
from fleet.evidence_cloud import Period, add_cloud, add_costs, add_receipts
from fleet.evidence_items import KINDS, LANGUAGES, Found, Language
from fleet.evidence_ledger import LedgerPart, add_ledger, found_in
from fleet.evidence_records import add_plans, add_scans
from fleet.run_store import open_runs
from fleet.session import AccountSession, Session
from stacks.problems import UserError
from templates.engine import render
from templates.evidence_page import EvidenceLine, EvidencePageEnglish, EvidencePageKorean

FORMAT = "fleetform-evidence/1"
EVENT = "record.export"
_CHUNK = 2**20
_NEVER_LOOKED_AT: Mapping[Language, tuple[str, ...]] = {
    "en": NEVER_LOOKED_AT,
    "ko": ("흐름 로그: SSH와 원격 데스크톱이 아닌 포트의 트래픽",),
}


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A pack that was written."""

    file: Path
    sha256: str
    """Of the zip."""
    sums_sha256: str
    """Of its SHA256SUMS."""
    entries: int
    head: str
    """`SEQUENCE:HASH` at the end of its slice of the ledger."""
    found: tuple[Found, ...]

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is missing, or wrong, in words."""
        return tuple(f"{KINDS[each.key].title['en']}: {each.trouble}" for each in self.found if each.trouble)


def write_pack(
    account: AccountSession,
    sessions: Sequence[Session],
    period: Period,
    file: Path,
    *,
    name: str = "",
    tell: Callable[[str], None] = lambda said: None,
) -> Pack:
    """Write the pack of one environment, `name` then, or of all these; that it was taken is on record first.

    Raises UserError where the file is there already or the period is none, LedgerError where the ledger can't
    be read or written. What the cloud does not answer is missing, and the pack says so.
    """
    since, until = period
    if since >= until:
        raise UserError.of("the period ends before it begins", "give an earlier begin, or a later end")
    if file.exists():
        raise UserError.of(f"{file} is there already", "name a new file", path="--to")
    require_export(account)
    about = {"since": since.isoformat(), "until": until.isoformat()} | ({"environment": name} if name else {})
    with account.ledger.act(EVENT, "ledger", **about) as act:
        pack = _write(account, sessions, period, file, name, tell)
        digests = {"pack_sha256": pack.sha256, "sums_sha256": pack.sums_sha256, "head": pack.head}
        act.details |= {**about, **digests, "missing": list(pack.troubles)}
    return pack


def require_export(account: AccountSession) -> None:
    """Raise UserError, on record, where the caller's role does not include to export the record."""
    with account.recording_refusal(EVENT, "ledger"):
        account.require("record.export")


def _write(
    account: AccountSession,
    sessions: Sequence[Session],
    period: Period,
    file: Path,
    name: str,
    tell: Callable[[str], None],
) -> Pack:
    """Write the zip beside its place, and put it there once it is whole."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        with Archive(partial, f"evidence-{name or 'all'}-{period[0]:%Y%m%d}-{period[1]:%Y%m%d}") as archive:
            part, found = _fill(account, sessions, period, archive, name, tell)
            sums = archive.finish()
        digest, report = _sha256(partial), part.report
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return Pack(
        file=file, sha256=digest, sums_sha256=sums, entries=report.entries, head=report.head, found=found
    )


def _fill(
    account: AccountSession,
    sessions: Sequence[Session],
    period: Period,
    archive: Archive,
    name: str,
    tell: Callable[[str], None],
) -> tuple[LedgerPart, tuple[Found, ...]]:
    names = (name,) if name else ()
    part = add_ledger(account.ledger, archive, period, names, _runs_of(sessions), tell)
    found = [*found_in(part), *add_cloud(sessions, archive, period, tell)]
    root, known = account.project.root, [session.spec.name for session in sessions]
    found.append(add_plans(root, known, archive, period, part.plans()))
    found.append(add_scans(root, known, archive, period))
    found.append(add_receipts(sessions, archive, period, part.receipts()))
    tell("costs")
    found.append(add_costs(sessions, archive, period))
    archive.add_json("index.json", _index(account, part, period, name, found))
    for language in LANGUAGES:
        archive.add(f"index.{language}.html", _page(language, part, period, name, found).encode())
    return part, tuple(found)


def _runs_of(sessions: Sequence[Session]) -> Callable[[str], str]:
    """Return what knows the environment of a run that was submitted before the period; asked for once."""
    known: dict[str, str] = {}
    looked = False

    def find(run: str) -> str:
        nonlocal looked
        if not looked:
            looked = True
            for session in sessions:
                known.update(dict.fromkeys(_run_ids(session), session.spec.name))
        return known.get(run, "")

    return find


def _run_ids(session: Session) -> list[str]:
    try:
        return list(open_runs(session).run_ids())
    except Exception as error:  # an environment that is gone has no bucket of runs
        if not isinstance(error, (ActError, UserError)) and not aws.is_cloud_error(error):
            raise
        return []


def _index(
    account: AccountSession, part: LedgerPart, period: Period, name: str, found: Sequence[Found]
) -> dict[str, Any]:
    items = [
        {
            "key": each.key,
            "count": each.count,
            "trouble": each.trouble,
            "path": KINDS[each.key].path,
            "controls": KINDS[each.key].controls,
            "towards": KINDS[each.key].towards("en"),
        }
        for each in found
    ]
    return {
        "format": FORMAT,
        "environment": name or None,
        "since": period[0],
        "until": period[1],
        "made": datetime.datetime.now(datetime.UTC),
        "made_by": account.actor,
        "after": part.after,
        "head": part.report.head,
        "findings": [asdict(each) for each in part.report.findings],
        "items": items,
        "never_looked_at": NEVER_LOOKED_AT,
    }


def _page(language: Language, part: LedgerPart, period: Period, name: str, found: Sequence[Found]) -> str:
    page = EvidencePageEnglish if language == "en" else EvidencePageKorean
    return render(
        page(
            name=name,
            since=f"{period[0]:%Y-%m-%d %H:%M} UTC",
            until=f"{period[1]:%Y-%m-%d %H:%M} UTC",
            after=part.after,
            head=part.report.head,
            intact=part.report.intact,
            findings=tuple(map(str, part.report.findings)),
            lines=tuple(_lines(language, found)),
            never_looked_at=_NEVER_LOOKED_AT[language],
        )
    )


def _lines(language: Language, found: Sequence[Found]) -> Iterator[EvidenceLine]:
    for each in found:
        kind = KINDS[each.key]
        yield EvidenceLine(
            title=kind.title[language],
            shows=kind.shows[language],
            path=kind.path,
            count=str(each.count),
            controls=kind.towards(language),
            trouble=each.trouble_in(language),
        )


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
