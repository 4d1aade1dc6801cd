"""How a plan is printed: stack by stack and room by room, then the file's edits, the nodes, the price."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from scripts.console_io import say, table, warn

if TYPE_CHECKING:
    from fleet.estimate import Estimate
    from fleet.plan import StackPlan
    from fleet.plan_changes import ResourceChange
    from fleet.plan_report import PlanReport
    from fleet.setting_changes import SettingChange

_SIGNS = {"create": "+", "update": "~", "delete": "-", "replace": "-/+", "import": "=", "forget": "."}
_MOST_ATTRIBUTES = 8
"""Attributes of one resource that are shown; `--json` has all."""
_MOST_NAMES = 6


def show_report(report: PlanReport) -> None:
    """Print a plan with all that follows from it."""
    for each in report.stacks:
        show_stack(each)
    if report.settings:
        say("what the file changes:")
        for setting in report.settings:
            say(f"  {setting_line(setting)}")
    sentences = [text for fleet in report.fleets for text in fleet.words]
    if sentences:
        say("what becomes of the nodes:")
        for text in sentences:
            say(f"  {text}")
    show_price(report.price)
    for line in price_lines(report):
        say(line)
    if lost := [each for stack in report.stacks for each in stack.resources if each.loses_data]:
        names = ", ".join(each.address for each in lost)
        warn(f"DATA IS LOST FOR GOOD with {names}: make sure that nobody needs it")


def show_stack(plan: StackPlan) -> None:
    """Print one stack's changes."""
    mark = f" (provisional: {plan.provisional})" if plan.provisional else ""
    what: object = plan.changes
    if plan.empty:
        what = "nothing to change"
    elif plan.changes.empty:
        what = "nothing to change but what it says of itself"
    say(f"{plan.stack}: {what}{mark}")
    room = ""
    for line_room, line in _lines(plan.resources):
        if line_room != room:
            room = line_room
            say(f"  {room}")
        say(line)


def _lines(changes: Sequence[ResourceChange]) -> Iterator[tuple[str, str]]:
    """Yield each line with its room; what is made, several of a kind, shares a line."""
    told: set[tuple[str, str]] = set()
    for change in changes:
        alike = [
            each
            for each in changes
            if (each.room, each.kind, each.action) == (change.room, change.kind, change.action)
        ]
        if change.action == "create" and len(alike) > 1 and change.kind not in _ONE_BY_ONE:
            if (change.room, change.kind) not in told:
                told.add((change.room, change.kind))
                yield change.room, f"    {_SIGNS['create']:>3} {_together(alike)}"
            continue
        reason = f" ({change.because})" if change.because else ""
        yield change.room, f"    {_SIGNS.get(change.action, '?'):>3} {change.words}{reason}"
        for attribute in change.attributes[:_MOST_ATTRIBUTES]:
            yield change.room, f"          {attribute}"
        if len(change.attributes) > _MOST_ATTRIBUTES:
            yield change.room, f"          and {len(change.attributes) - _MOST_ATTRIBUTES} more (--json)"


_ONE_BY_ONE = frozenset({"aws_autoscaling_group", "aws_fsx_lustre_file_system", "aws_efs_file_system"})
"""What costs much is told one by one."""


def _together(alike: Sequence[ResourceChange]) -> str:
    """Return one line for several resources of a kind that are made."""
    names = [each.address.partition(".")[2] for each in alike]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"make {len(names)} x {alike[0].noun}: {', '.join(names[:_MOST_NAMES])}{more}"


def setting_line(change: SettingChange) -> str:
    """Return one changed setting as a line: old -> new, what changing it does, and why."""
    why = f", {change.why}" if change.why else ""
    if change.whole_table:
        return f"{change.path}: {'taken out' if change.new is None else 'added'} ({change.change}{why})"
    return f"{change.path}: {_toml(change.old)} -> {_toml(change.new)} ({change.change}{why})"


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def show_price(price: Estimate) -> None:
    """Print what each item costs an hour, what costs by use, and what has no price."""
    from fleet.receipt import usd

    rows = [
        (
            item.room,
            item.what,
            usd(item.usd_per_hour_running),
            usd(item.usd_per_hour_idle),
            usd(item.usd_per_hour_at_most),
            item.basis,
        )
        for item in price.items
        if item.usd_per_hour_at_most is not None
    ]
    headers = ("room", "what", "an hour running", "idle", "at most", "how it is reckoned")
    say(table(headers, rows, right=(2, 3, 4)))
    for basis, names in _by_use(price):
        say(f"{basis} ({', '.join(names[:_MOST_NAMES])}{', ...' if len(names) > _MOST_NAMES else ''})")
    for each in price.not_priced:
        warn(f"not priced: {each}")


def _by_use(price: Estimate) -> Iterable[tuple[str, list[str]]]:
    """Return what costs by use, things of the same price together."""
    found: dict[str, list[str]] = {}
    for item in price.items:
        if item.usd_per_hour_at_most is None:
            found.setdefault(item.basis, []).append(item.what)
    return found.items()


def price_lines(report: PlanReport) -> Iterator[str]:
    """Yield the sums, and where the prices are from."""
    from fleet.receipt import usd

    price, now = report.price, report.price_now
    yield f"{report.environment} costs, at list price and without what depends on use:"
    before = f"; what stands costs {usd(now.usd_per_hour_running)}" if now.items else ""
    yield f"  {usd(price.usd_per_hour_running)} an hour while its fleets run as declared{before}"
    yield f"  {usd(price.usd_per_hour_idle)} an hour idle, {usd(price.usd_per_day_idle)} a day"
    yield f"  {usd(price.usd_per_day_at_most)} a day at most, with every fleet at its largest"
    if shared := report.price_account.usd_per_day_idle:
        yield f"  {usd(shared)} a day for the account's own stack, which all environments share"
    yield from (f"  {note}" for note in price.notes)
