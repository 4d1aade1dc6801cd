"""Copies that somebody made by hand of an environment's machines and disks, and that bear no tag of it.

A look by tags does not tell of them, and what proves whose they are goes with the teardown: it names them in
its receipt, for nobody else will know. They are data, and stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial

from fleet.listings.listed import Key, Listed
from fleet.listings.machines import ROWS
from fleet.listings.things import NotLooked, Thing
from fleet.orphans.others import owner_of
from fleet.session import Session
from fleet.sweep import Leftovers, attempt, look_of
from fleet.teardown_found import Found
from stacks import naming

_COPIES = tuple(row for row in ROWS if row.kind in ("EBS snapshot", "machine image"))
"""Snapshots first: an image may be known by them alone."""


def with_copies(session: Session, found: Found, leftovers: Leftovers) -> Leftovers:
    """Return what is left, with the copies of what the teardown had found and that is gone by now."""
    standing = {Key(each.kind, each.id) for each in (*leftovers.left, *leftovers.kept)}
    gone = {Key(each.kind, each.id) for each in found.priced} - standing
    answer = list(_copies(session, gone)) if gone else []
    return replace(
        leftovers,
        left=(*leftovers.left, *(each for each in answer if isinstance(each, Thing))),
        not_looked=(*leftovers.not_looked, *(each for each in answer if isinstance(each, NotLooked))),
    )


def _copies(session: Session, gone: Collection[Key]) -> Iterator[Thing | NotLooked]:
    """Yield the untagged copies of what is gone, and what could not be looked at."""
    look, ours = look_of(session), set(gone)
    for row in _COPIES:
        listed = [
            each if isinstance(each, NotLooked) else row.listed(look, each)
            for each in attempt(row.title, partial(row.items, look))
        ]
        for each in listed:
            if isinstance(each, NotLooked):
                yield each
            elif (source := _source(each, ours)) is not None:
                ours.add(each.key)
                note = f"untagged, made of the {source.kind} {source.id}"
                yield replace(each.thing, note=f"{each.thing.note}; {note}")


def _source(copy: Listed, ours: Collection[Key]) -> Key | None:
    """Return what of ours an untagged thing was made of, None where it is nobody's copy or another tool's."""
    if naming.TAG_ENVIRONMENT in copy.tags or owner_of(copy, ""):
        return None
    return next((link.to for link in copy.links if link.to in ours), None)
