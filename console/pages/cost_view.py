"""A cost report as a page shows it: bars as rectangles of an SVG, and the same figures in tables."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from console.pages.seen import run_path
from console.words.reader import Reader
from console.words.said import said
from fleet.costs.report import USES, Group, grouped
from fleet.costs.told import CostReport
from templates.console.cost import AmountLine, AmountTable, Block, Costs, Mark, Picture, Use
from templates.console.home import Figure
from templates.console.phrase import Phrase

_WIDTH, _NAMES, _AMOUNTS = 720, 170, 90
"""Units of a picture of groups: all of it, what the names and what the amounts take of it."""
_ROW, _BAR = 30, 20
_HEIGHT, _FLOOR = 220, 190
"""Units of a picture of days: all of it, and down to where its columns reach."""
_MOST, _LETTERS = 12, 22
"""Groups that a picture has room for, and letters of a name."""
_TICKS = 8
"""Days that are named at most."""


def by_name(reader: Reader, by: str) -> str:
    """Return what a row is, in the reader's language."""
    _ = reader.gettext
    names = {
        "team": _("Team"),
        "person": _("Person"),
        "run": _("Run"),
        "environment": _("Environment"),
        "fleet": _("Fleet"),
        "day": _("Day"),
    }
    return names[by]


def uses_of(reader: Reader) -> tuple[Use, ...]:
    """Return what time and money can go into, in the order in which they are shown."""
    _ = reader.gettext
    told = {
        "useful": (_("Useful"), _("Steps that count, as the runs have told.")),
        "overhead": (_("Overhead"), _("Starting, saving, waiting for data, work lost and done again.")),
        "failed_launch": (_("Failed launches"), _("Runs that failed before their first step.")),
        "under_way": (_("Under way"), _("Runs that go on: what became of their time is told at their end.")),
        "idle": (
            _("Idle"),
            _("Machines that stood without a run, and runs after their last step that were stopped as idle."),
        ),
        "leftover": (_("Left over"), _("Machines that stood after their fleet was torn down.")),
        "standing": (_("Standing"), _("Head nodes, NAT, endpoints, keys, file systems: no GPUs.")),
    }
    return tuple(Use(code=use, label=told[use][0], meaning=told[use][1]) for use in USES)


def view(reader: Reader, report: CostReport, now: datetime.datetime) -> Costs:
    """Return the whole report as pictures, tables and where it is from."""
    _ = reader.gettext
    uses, days = uses_of(reader), grouped(report.lines, "day")
    name = by_name(reader, report.by)
    return Costs(
        figures=tuple(_figures(reader, report.whole)),
        uses=uses,
        groups=_bars(reader, report, uses),
        days=_columns(reader, days, uses),
        money=_table(reader, report, report.groups, name, money=True),
        hours=_table(reader, report, report.groups, name, money=False),
        by_day=_table(reader, report, days, _("Day"), money=True),
        prices=report.prices,
        notes=tuple(_note(reader, note) for note in report.notes),
        at=reader.moment(now),
    )


def _note(reader: Reader, note: str) -> Phrase:
    """Return a note as this reader reads it; of one of several environments its name stands before."""
    whole = said(reader, note)
    name, _, rest = note.partition(": ")
    if not whole.language or not rest or (of_one := said(reader, rest)).language:
        return whole
    return Phrase(text=f"{name}: {of_one.text}", language="")


def _figures(reader: Reader, whole: Group) -> Iterator[Figure]:
    _ = reader.gettext
    yield Figure(label=_("At list price"), value=reader.usd(float(whole.usd)), note="")
    yield Figure(label=_("GPU-hours"), value=reader.number(float(whole.gpu_hours), 1), note="")
    if whole.gpu_hours:
        useful = whole.gpu_hours_by_use["useful"] / whole.gpu_hours
        yield Figure(label=_("GPU-hours that were useful"), value=f"{float(100 * useful):.1f} %", note="")


def _bars(reader: Reader, report: CostReport, uses: Sequence[Use]) -> Picture:
    """Draw a bar for each of the dearest groups, in parts by use."""
    _ = reader.gettext
    groups = report.groups[:_MOST]
    most = max((each.usd for each in groups), default=Fraction(0))
    scale = Fraction(_WIDTH - _NAMES - _AMOUNTS) / most if most else Fraction(0)
    blocks, names, amounts = list[Block](), list[Mark](), list[Mark]()
    for number, group in enumerate(groups):
        top, x = number * _ROW + 5, Fraction(_NAMES)
        for use in uses:
            width = group.usd_by_use[use.code] * scale
            if width:
                title = f"{use.label}: {reader.usd(float(group.usd_by_use[use.code]))}"
                blocks.append(_block(use.code, x, top, width, _BAR, title))
            x += width
        names.append(Mark(x="0", y=str(top + 15), text=_short(_name(reader, report.by, group.key))))
        amounts.append(Mark(x=_unit(x + 6), y=str(top + 15), text=reader.usd(float(group.usd))))
    hidden = len(report.groups) - len(groups)
    return Picture(
        title=_("What the money went into, by {what}").format(what=by_name(reader, report.by)),
        width=str(_WIDTH),
        height=str(max(1, len(groups)) * _ROW + 5),
        blocks=tuple(blocks),
        names=tuple(names),
        amounts=tuple(amounts),
        more=reader.ngettext("{count} more is in the table.", "{count} more are in the table.", hidden)
        if hidden
        else "",
    )


def _columns(reader: Reader, days: Sequence[Group], uses: Sequence[Use]) -> Picture:
    """Draw a column for each day, in parts by use."""
    _ = reader.gettext
    most = max((each.usd for each in days), default=Fraction(0))
    scale = Fraction(_FLOOR - 20) / most if most else Fraction(0)
    step = Fraction(_WIDTH, max(1, len(days)))
    width, every = min(step * 3 / 4, Fraction(60)), -(-len(days) // _TICKS) or 1
    blocks, names, amounts = list[Block](), list[Mark](), list[Mark]()
    for number, day in enumerate(days):
        x, y = number * step + (step - width) / 2, Fraction(_FLOOR)
        for use in uses:
            height = day.usd_by_use[use.code] * scale
            y -= height
            if height:
                title = f"{day.key}, {use.label}: {reader.usd(float(day.usd_by_use[use.code]))}"
                blocks.append(_block(use.code, x, y, width, height, title))
        if number % every == 0:
            names.append(Mark(x=_unit(number * step + 4), y=str(_FLOOR + 20), text=day.key[5:]))
            amounts.append(Mark(x=_unit(number * step + 4), y=_unit(y - 5), text=reader.usd(float(day.usd))))
    return Picture(
        title=_("What each day came to"), width=str(_WIDTH), height=str(_HEIGHT), blocks=tuple(blocks),
        names=tuple(names), amounts=tuple(amounts), more="",
    )  # fmt: skip


def _block(
    use: str, x: Fraction | int, y: Fraction | int, width: Fraction | int, height: Fraction | int, title: str
) -> Block:
    return Block(use=use, x=_unit(x), y=_unit(y), width=_unit(width), height=_unit(height), title=title)


def _unit(value: Fraction | int) -> str:
    return f"{float(value):.2f}"


def _table(
    reader: Reader, report: CostReport, groups: Sequence[Group], what: str, *, money: bool
) -> AmountTable:
    _ = reader.gettext
    days = groups is not report.groups
    caption = _("US dollars") if money else _("Hours of GPUs")

    def line(group: Group, name: str, href: str = "") -> AmountLine:
        by_use, whole = (group.usd_by_use, group.usd) if money else (group.gpu_hours_by_use, group.gpu_hours)
        show: Callable[[Fraction], str] = (
            (lambda each: reader.usd(float(each))) if money else (lambda each: reader.number(float(each), 2))
        )
        return AmountLine(
            name=name,
            href=href,
            cells=(*(show(by_use[use]) if by_use[use] else "" for use in USES), show(whole)),
        )

    return AmountTable(
        caption=_("{what}, day by day").format(what=caption) if days else caption,
        what=what,
        lines=tuple(
            line(
                group,
                group.key if days else _name(reader, report.by, group.key),
                "" if days else _href(report, group),
            )
            for group in groups
        ),
        whole=line(report.whole, _("All together")),
    )


def _name(reader: Reader, by: str, key: str) -> str:
    _ = reader.gettext
    if key:
        return key
    return _("without a fleet") if by == "fleet" else _("nobody, no run")


def _href(report: CostReport, group: Group) -> str:
    """Return the page of what a row is about, "" where it has none."""
    if report.by == "environment":
        return f"/environments/{group.key}/cost"
    if report.by != "run" or not group.key:
        return ""
    environment = next(line.environment for line in report.lines if line.run == group.key)
    return run_path(environment, group.key)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
