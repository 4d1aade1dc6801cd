"""How a deletion of what is left over ended, in a reader's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from console.pages.leftovers_view import verdict_name, why_it_stays
from console.words.reader import Reader
from console.words.said import said
from fleet.orphans.report import LEFT
from templates.console.act import EndedThing, EndedThings


def sentence(reader: Reader, told: Mapping[str, Any]) -> str:
    """Return how it ended in a few sentences: what went, what is held still, what remains."""
    return " ".join(_sentences(reader, told))


def results(reader: Reader, told: Mapping[str, Any]) -> tuple[EndedThings, ...]:
    """Return what became of the things; what somebody has to do something about comes first."""
    _ = reader.gettext
    titles = {
        "held": _("Held still"),
        "tagged": _("Tagged, for it stays and what proved whose it is has gone"),
        "stays": _("Stays"),
        "deleted": _("Deleted"),
    }
    counts = told.get("counts", {})
    wanted = {
        "held": counts.get("failed", 0) + counts.get("kept", 0),
        "tagged": counts.get("tagged", 0),
        "deleted": counts.get("deleted", 0),
    }
    return tuple(
        _table(reader, code, title, things, wanted.get(code, 0) - len(things))
        for code, title in titles.items()
        if (things := told.get(code, ()))
    )


def _sentences(reader: Reader, told: Mapping[str, Any]) -> Iterator[str]:
    _, counts, left = reader.gettext, told["counts"], told["left"]
    yield reader.ngettext("{count} thing was deleted.", "{count} things were deleted.", counts["deleted"])
    if held := counts["failed"] + counts["kept"]:
        yield reader.ngettext(
            "{count} could not be deleted: see what holds it.",
            "{count} could not be deleted: see what holds them.",
            held,
        )
    if gone := told["gone_before"]:
        yield reader.ngettext(
            "{count} that was shown was left over no more, and was left alone.",
            "{count} that were shown were left over no more, and were left alone.",
            gone,
        )
    if told["not_looked"]:
        yield _("Afterwards not everything could be looked at.")
    remains = [f"{verdict_name(reader, verdict)}: {left[verdict]}" for verdict in LEFT if left[verdict]]
    if remains:
        yield _("What remains: {remains}.").format(remains=", ".join(remains))
    elif not told["not_looked"]:
        yield _("Nothing is left over any more.")


def _table(
    reader: Reader, code: str, title: str, things: Sequence[Mapping[str, str]], hidden: int
) -> EndedThings:
    lines = tuple(
        EndedThing(
            kind=said(reader, each["kind"]),
            id=each["id"],
            environment=each["environment"],
            why=why_it_stays(reader, each["why"]),
        )
        for each in things
    )
    more = reader.ngettext("{count} more is on record.", "{count} more are on record.", hidden)
    return EndedThings(
        code=code,
        title=title,
        caption=reader.ngettext("{count} thing", "{count} things", len(things) + max(0, hidden)),
        lines=lines,
        more=more if hidden > 0 else "",
    )
