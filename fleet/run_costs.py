"""What an environment's runs have cost, by their receipts, and what those that are active may still cost.

Its arithmetic is that of list prices: a node for as long as a run holds it, and a run's own file system.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from fleet import aws
from fleet.clock import seconds_since
from fleet.ended_costs import EndedCost, RememberedCosts
from fleet.run_store import RunStore, team_of
from fleet.runs import read_events, run_status

SUCCEEDED = "SUCCEEDED"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a run asks for, as far as it costs money."""

    nodes: int
    minutes: int
    """After which it is stopped."""
    tasks: int
    """How many runs it is: an array's tasks, else one."""
    usd_per_node_hour: float | None
    """List price; None where the catalog has none."""
    storage_usd_per_hour: float | None
    """Of its own file system, 0 where it has none."""

    @property
    def usd_per_hour(self) -> float | None:
        """List price of all of it for an hour, None where something of it has none."""
        if self.usd_per_node_hour is None or self.storage_usd_per_hour is None:
            return None
        return self.tasks * (self.nodes * self.usd_per_node_hour + self.storage_usd_per_hour)

    @property
    def usd(self) -> float | None:
        """What it costs where it takes all the time that it may."""
        return None if self.usd_per_hour is None else self.usd_per_hour * self.minutes / 60


def ask_of(run: Mapping[str, Any]) -> Ask:
    """Return what a run asks for; `run` is its `run.json`, or a `LaunchRequest.to_dict()`."""
    array, gib, unit = run.get("array"), run.get("fsx_gib") or 0, run.get("fsx_usd_per_gib_hour")
    return Ask(
        nodes=int(run["nodes"]),
        minutes=int(run["max_minutes"]),
        tasks=array["last"] - array["first"] + 1 if array else 1,
        usd_per_node_hour=run.get("price_usd_per_hour"),
        storage_usd_per_hour=None if gib and unit is None else gib * (unit or 0.0),
    )


@dataclass(frozen=True, kw_only=True)
class RunCosts:
    """What an environment's runs come to."""

    spent: float
    """By receipts, since the month began, but for what their nodes cost that are counted as machines."""
    reserved: Mapping[str, float]
    """What each active run may still cost, by its id."""
    not_priced: tuple[str, ...]
    """Runs whose cost nobody knows."""
    used: Mapping[str, float]
    """What each team's runs have used since the month began, on whatever machines; "" is the own team."""
    hidden: frozenset[str]
    """Teams some of whose runs the caller may not look at."""


def run_costs(
    store: RunStore,
    run_ids: Collection[str],
    begin: datetime.datetime,
    machines: Collection[str],
    remembered: RememberedCosts,
) -> RunCosts:
    """Add up what the runs have cost since `begin` (UTC) and may still cost.

    The time of the nodes among `machines` (instance ids) is left out: it is counted by whoever counts them.
    """
    month = _Month(begin, machines)
    with ThreadPoolExecutor(max_workers=16) as pool:
        found = list(pool.map(partial(_look, store, remembered, month), run_ids))
    remembered.save(run_ids)
    known, used = [each for each in found if each is not None], defaultdict[str, float](float)
    for each in known:
        used[team_of(each.run_id)] += each.used or 0.0
    return RunCosts(
        spent=sum(each.spent or 0.0 for each in known),
        reserved={each.run_id: each.reserved for each in known if each.reserved},
        not_priced=tuple(each.run_id for each in known if each.spent is None or each.reserved is None),
        used=used,
        hidden=frozenset(
            team_of(run_id) for run_id, cost in zip(run_ids, found, strict=True) if cost is None
        ),
    )


@dataclass(frozen=True)
class _RunCost:
    run_id: str
    spent: float | None
    """Beside what its nodes cost that are counted as machines."""
    reserved: float | None
    used: float | None
    """All that it has used in the month."""


@dataclass(frozen=True)
class _Month:
    """The month, and the machines that somebody else counts."""

    begin: datetime.datetime
    machines: Collection[str]

    def cost(
        self, run_id: str, ended: EndedCost | None, reserved: float | None = 0.0, running: float | None = 0.0
    ) -> _RunCost:
        """Return what a run costs whose attempts came to `ended`, and the one that goes on to more."""
        if ended is None:
            return _RunCost(run_id, 0.0, reserved, running)
        spent, whole = ended.usd_since(self.begin, self.machines), ended.usd_since(self.begin, ())
        return _RunCost(run_id, spent, reserved, None if whole is None else whole + (running or 0.0))


def _look(store: RunStore, remembered: RememberedCosts, month: _Month, run_id: str) -> _RunCost | None:
    """Return one run's cost, None where the caller may not see it."""
    if (before := remembered.get(run_id)) is not None:
        return month.cost(run_id, before)
    try:
        run = store.get_json(run_id, "run.json")
        if run is None or run.get("array"):  # an array's tasks are runs of their own
            return month.cost(run_id, None)
        receipt = store.get_json(run_id, "receipt.json")
        ended = None if receipt is None else EndedCost.of_receipt(receipt, str(run["submitted"]))
        if receipt is not None and ended and _attempts(receipt) == int(run.get("attempt", 1)):
            if receipt["outcome"] == SUCCEEDED:
                remembered.note(run_id, ended)
            return month.cost(run_id, ended)
        status = run_status(run_id, run, read_events(store, run_id))
        if not status.active:  # cancelled with nobody left to write a receipt
            return month.cost(run_id, ended)
        running = until_now(run, status.started, month.begin)
        return month.cost(run_id, ended, still_to_cost(run, status.started), running)
    except (ValueError, KeyError, TypeError, AttributeError):
        # Whoever may start runs may write there: one odd file must not stop everybody's.
        return _RunCost(run_id, None, 0.0, None)
    except Exception as error:
        if aws.error_code(error) != "AccessDenied":
            raise
        return None


def _attempts(receipt: Mapping[str, Any]) -> int:
    """Return how many attempts the receipt is of; that of a resumed run lists them."""
    return len(receipt.get("attempts") or ("the first",))


def still_to_cost(run: Mapping[str, Any], started: str | None) -> float | None:
    """Return what an active run may still cost, None without a price.

    Its own file system is told by the receipt alone, so all of its time is still to come.
    """
    ask = ask_of(run)
    if ask.usd_per_node_hour is None or ask.storage_usd_per_hour is None:
        return None
    hours = ask.minutes / 60
    left = hours if started is None else max(0.0, hours - seconds_since(started) / 3600)
    return ask.nodes * ask.usd_per_node_hour * left + ask.storage_usd_per_hour * hours


def until_now(run: Mapping[str, Any], started: str | None, begin: datetime.datetime) -> float | None:
    """Return what an active run has cost since `begin` (UTC), None without a price.

    With what it may still cost that is never more than it asked for: what it takes beyond, to bring its
    outputs home, is told by its receipt.
    """
    ask = ask_of(run)
    if ask.usd_per_node_hour is None or started is None:
        return None if started else 0.0
    seconds = min(seconds_since(started), seconds_since(begin.isoformat()), ask.minutes * 60.0)
    return ask.nodes * ask.usd_per_node_hour * max(0.0, seconds) / 3600
