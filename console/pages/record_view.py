"""Entries of the record in a reader's words, and how complete what is shown is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from console.people import names
from console.records.index import Reach
from console.records.verified import OVERDUE, Verified, last_verified
from console.store.columns import utc_now
from console.store.record_tables import EntryRow
from console.web.visit import Visit
from console.words.codes import outcome_name
from console.words.events import event_name, fault_name
from fleet.on_behalf import source_identity
from fleet.policy import EVERY_TEAM
from stacks.environment import environment_files
from templates.console.home import Tone
from templates.console.parts import Link
from templates.console.record import EntryLine, Reached

_TONES: Mapping[str, Tone] = {
    "succeeded": "good",
    "failed": "bad",
    "refused": "bad",
    "interrupted": "bad",
    "started": "busy",
}


def reads_all(visit: Visit) -> bool:
    """Return whether the person reads the record of every team."""
    return visit.may("record.read", EVERY_TEAM)


def to_whole(visit: Visit) -> tuple[Link, ...]:
    """Return the way from a part of the record to the whole, for whoever reads that."""
    label = visit.reader.gettext("The whole record")
    return (Link(label=label, href="/record"),) if reads_all(visit) else ()


def environment_names(visit: Visit) -> list[str]:
    """Return the environments that the project declares."""
    return [file.stem for file in environment_files(visit.services.settings.project.environments)]


def entry_href(number: int) -> str:
    """Return the path of an entry's page."""
    return f"/record/entries/{number}"


def person_href(person: str) -> str:
    """Return the path of the page of whoever did something; an ARN has slashes in it, which stay."""
    return f"/record/people/{quote(person, safe='/')}"


def keys_of(visit: Visit, person: str) -> tuple[str, ...]:
    """Return by what the record knows somebody: an id of the console's is a name in the cloud, too."""
    with visit.services.database.reading() as database:
        known = names.identity_of(database, person)
    return (person, source_identity(known)) if known else (person,)


def lines(visit: Visit, rows: Sequence[EntryRow], reach: Reach) -> tuple[EntryLine, ...]:
    """Return rows of the index as a list shows them."""
    with visit.services.database.reading() as database:
        called = names.names_of(database, [each for row in rows for each in (row.person, row.target)])
    faults = dict(reach.faults)
    return tuple(_line(visit, row, called, faults.get(row.sequence, "")) for row in rows)


def _line(visit: Visit, row: EntryRow, called: Mapping[str, str], fault: str) -> EntryLine:
    reader = visit.reader
    who, note = who_of(visit, row.person, called)
    linked = bool(row.person) and (reads_all(visit) or row.person == visit.person.id)
    return EntryLine(
        number=str(row.sequence),
        href=entry_href(row.sequence),
        at=reader.moment(row.at),
        who=who,
        who_href=person_href(row.person) if linked else "",
        note=note,
        what=event_name(reader, row.event),
        target=called.get(row.target, row.target),
        target_href=_target_href(visit, row),
        environment=row.environment,
        outcome=outcome_name(reader, row.outcome),
        tone=_TONES.get(row.outcome, "plain"),
        fault=fault_name(reader, fault) if fault else "",
    )


def who_of(visit: Visit, person: str, called: Mapping[str, str]) -> tuple[str, str]:
    """Return what somebody is called, and what has to be said of who that is."""
    _ = visit.reader.gettext
    if not person:
        return _("nobody who was signed in"), ""
    if person in called:
        return called[person], ""
    if person.startswith("arn:"):
        return person.rpartition(":")[2], _("by the cloud's account; no person is proven")
    return person, ""


def _target_href(visit: Visit, row: EntryRow) -> str:
    if row.run and row.environment and row.run == row.target:
        return f"/environments/{row.environment}/runs/{row.run}"
    if row.instance and row.environment:
        return f"/record/environments/{row.environment}/servers/{row.instance}"
    if row.environment and row.target == row.environment:
        return f"/record/environments/{row.environment}"
    return ""


def reached(visit: Visit, reach: Reach) -> Reached:
    """Return how complete a list is: how far the index reaches, and when the record was verified last."""
    _, reader = visit.reader.gettext, visit.reader
    found = last_verified(visit.services.database, visit.services.record)
    numbers = {"number": reader.number(reach.sequence), "last": reader.number(reach.last)}
    if reach.whole:
        text = _("All {number} entries that the ledger had a moment ago; each was checked as it was read.")
    else:
        text = _("Entries 1 to {number} of {last}; the rest is being read and checked. Load the page again.")
    warnings = [*_fault_warnings(visit, reach.faults), *_verified_warnings(visit, found, reach)]
    bad = bool(warnings or reach.trouble)
    return Reached(
        text=text.format(**numbers),
        verified=verified_text(visit, found),
        tone="bad" if bad else "good" if reach.whole else "busy",
        badge=_("look here") if bad else _("complete") if reach.whole else _("being read"),
        warnings=tuple(warnings),
        trouble=reach.trouble,
    )


def verified_text(visit: Visit, found: Verified | None) -> str:
    """Return when the record was verified last, how far and by whom."""
    _, reader = visit.reader.gettext, visit.reader
    if found is None:
        return _("Nobody has verified the whole record yet.")
    text = _("Verified up to entry {number}, {when}, by {who}.")
    return text.format(number=reader.number(found.number), when=reader.moment(found.at).shown, who=found.by)


def _fault_warnings(visit: Visit, faults: Iterable[tuple[int, str]]) -> Iterable[str]:
    _ = visit.reader.gettext
    for number, fault in faults:
        text = _("Entry {number} does not fit in the chain: {why}.")
        yield text.format(number=number, why=fault_name(visit.reader, fault))


def _verified_warnings(visit: Visit, found: Verified | None, reach: Reach) -> Iterable[str]:
    _ = visit.reader.gettext
    if not reach.last:
        return
    if found is None or utc_now() - found.at > OVERDUE:
        yield _("The record was not verified within the last day. An auditor verifies it with one click.")
    if found is not None and not found.sound:
        text = _("The last verification found something wrong: see entry {number}.")
        yield text.format(number=found.entry["sequence"])
