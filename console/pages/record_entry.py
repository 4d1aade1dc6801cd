"""`/record/entries/N`: one entry, read from the ledger itself and checked against its neighbours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Response

from console.pages import record_view
from console.people import names
from console.store import entry_rows
from console.web import assets
from console.web.mistakes import NotThereError
from console.web.visit import AnyVisit, Visit
from console.words.codes import outcome_name
from console.words.events import event_name
from fleet import chain, commands
from fleet.entry_about import About, about
from fleet.ledger_reading import Entry
from fleet.policy import EVERY_TEAM
from templates.console.parts import Link
from templates.console.record_entry import Check, EntryPage

_MOST = 10**12 - 1
"""The ledger's names have twelve digits."""

router = APIRouter()


@router.get("/record/entries/{number}")
def show(visit: AnyVisit, number: str) -> Response:
    """Show the entry to who reads the record of its environment, and to whom it is about."""
    if not (number.isascii() and number.isdigit()) or not 1 <= int(number) <= _MOST:
        raise NotThereError
    sequence = int(number)
    account = visit.services.record.account()
    around = (
        {each["sequence"]: each for each in account.ledger.entries_from(sequence - 1, 3)} if account else {}
    )
    entry = around.get(sequence)
    if account is None or entry is None:
        visit.require("record.read", EVERY_TEAM)
        raise NotThereError
    found = _about(visit, entry)
    _require(visit, entry, found)
    _ = visit.reader.gettext
    page = EntryPage(
        frame=visit.frame(
            _("Entry {number}").format(number=sequence), command=commands.line(commands.read_entry(sequence))
        ),
        style=assets.url("record.css"),
        links=tuple(_links(visit, sequence, found, has_next=sequence + 1 in around)),
        at=_moment(visit, entry),
        facts=tuple(_facts(visit, entry, found)),
        checks=tuple(_checks(visit, entry, around)),
        body=json.dumps(entry, indent=2, ensure_ascii=False),
    )
    return visit.page(page)


def _about(visit: Visit, entry: Entry) -> About:
    with visit.services.database.reading() as database:
        return about(entry, lambda run: entry_rows.environment_of_run(database, run))


def _require(visit: Visit, entry: Entry, found: About) -> None:
    """Raise where the entry is neither the reader's own, nor of an environment whose record they read."""
    mine = record_view.keys_of(visit, visit.person.id)
    if found.person in mine or str(entry.get("target")) in mine:
        return
    standing = visit.services.estate.standing(found.environment) if found.environment else None
    visit.require("record.read", (*(standing.teams if standing else ()), EVERY_TEAM))


def _moment(visit: Visit, entry: Entry) -> Any:
    try:
        return visit.reader.moment(str(entry["time"]))
    except (KeyError, ValueError):
        return None


def _facts(visit: Visit, entry: Entry, found: About) -> Iterator[tuple[str, str]]:
    _ = visit.reader.gettext
    actor: Mapping[str, Any] = entry.get("actor") or {}
    asked: Mapping[str, Any] = actor.get("asked_by") or {}
    name = str(asked.get("name") or "")
    target = str(entry.get("target"))
    with visit.services.database.reading() as database:
        called = names.names_of(database, [target])
    who, note = record_view.who_of(visit, found.person, {found.person: name} if name else {})
    facts = (
        (_("What was done"), event_name(visit.reader, str(entry.get("event")))),
        (_("To what"), called.get(target, target)),
        (_("How it ended"), outcome_name(visit.reader, str(entry.get("outcome")))),
        (_("Who"), f"{who} ({note})" if note else who),
        (_("From where"), str(asked.get("address") or "")),
        (_("As whom in the cloud"), str(actor.get("identity") or "")),
        (_("Environment"), found.environment),
        (_("Run"), found.run),
        (_("Server"), ", ".join(found.instances)),
        (_("As a command"), str(asked.get("command") or "")),
    )
    yield from ((label, value) for label, value in facts if value)


def _checks(visit: Visit, entry: Entry, around: Mapping[int, Entry]) -> Iterator[Check]:
    """Yield whether its content gives its hash, and whether its neighbours are linked with it."""
    _, sequence = visit.reader.gettext, entry["sequence"]
    yield _check(visit, _("Its content gives its hash."), chain.entry_hash(entry) == entry.get("hash"))
    before = around.get(sequence - 1)
    expected = chain.GENESIS if sequence == 1 else chain.entry_hash(before) if before else None
    yield _check(visit, _("It is linked to the entry before it."), entry.get("prev_hash") == expected)
    after = around.get(sequence + 1)
    if after is not None:
        linked = after.get("prev_hash") == chain.entry_hash(entry)
        yield _check(visit, _("The entry after it is linked to it."), linked)
    else:
        text = _("No entry comes after it yet, which would be linked to it.")
        yield Check(text=text, tone="plain", badge=_("to come"))


def _check(visit: Visit, text: str, holds: bool) -> Check:
    _ = visit.reader.gettext
    return Check(text=text, tone="good" if holds else "bad", badge=_("yes") if holds else _("NO"))


def _links(visit: Visit, sequence: int, found: About, *, has_next: bool) -> Iterator[Link]:
    _ = visit.reader.gettext
    if record_view.reads_all(visit):
        yield Link(label=_("The whole record"), href="/record")
        if found.environment:
            text = _("Record of {name}").format(name=found.environment)
            yield Link(label=text, href=f"/record/environments/{found.environment}")
        if sequence > 1:
            yield Link(label=_("The entry before"), href=record_view.entry_href(sequence - 1))
        if has_next:
            yield Link(label=_("The entry after"), href=record_view.entry_href(sequence + 1))
    yield Link(label=_("My record"), href=record_view.person_href(visit.person.id))
