"""For how long runs have held nodes, and what that time went into, as their own files tell it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fleet import aws
from fleet.at_once import each_at_once
from fleet.costs.amounts import exact, milliseconds
from fleet.costs.facts import Held
from fleet.costs.idle_times import Metrics, idle_since
from fleet.identity import person
from fleet.run_store import RunStore
from fleet.runs import RunStatus, read_events, run_status
from stacks.catalog import load_catalog
from stacks.environment import EnvironmentSpec

_FAILED, _SUCCEEDED = "FAILED", "SUCCEEDED"
_NOTHING = Fraction(0)
_USEFUL_OF_ANY, _USEFUL_OF_A_SUCCESS = ("productive",), ("productive", "runtime")
"""Buckets of docs/numbers.md that count as useful; a program that reports no steps has the last."""


@dataclass(frozen=True)
class RunTimes:
    """What is known of an environment's runs."""

    held: tuple[Held, ...]
    not_told: tuple[str, ...]
    """Runs whose files tell nothing, or nothing of one of their attempts."""
    not_seen: int
    """How many runs of others the caller may not look at."""


def read_run_times(
    store: RunStore, spec: EnvironmentSpec, run_ids: Sequence[str], now: datetime.datetime
) -> RunTimes:
    """Return how long each run has held nodes until `now`, attempt by attempt."""
    found = each_at_once(lambda run_id: _look(store, spec, run_id, now), run_ids)
    return RunTimes(
        held=tuple(held for each in found if each is not None for held in each.held),
        not_told=tuple(run_id for each in found if each is not None for run_id in each.not_told),
        not_seen=sum(each is None for each in found),
    )


def _look(store: RunStore, spec: EnvironmentSpec, run_id: str, now: datetime.datetime) -> RunTimes | None:
    """Return one run's, None where the caller may not see it."""
    try:
        run = store.get_json(run_id, "run.json")
        if run is None or run.get("array"):  # an array's tasks are runs of their own
            return RunTimes((), (), 0)
        receipts = _receipts(store, run_id, int(run.get("attempt", 1)))
        status, newest = None, int(run.get("attempt", 1))
        if newest not in receipts:
            status = run_status(run_id, run, read_events(store, run_id))
        silent = any(number not in receipts for number in range(1, newest))
        held = held_by(spec, run, receipts, status, now, lambda: store.get(run_id, "metrics.jsonl"))
        return RunTimes(tuple(held), (run_id,) if silent else (), 0)
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        # Whoever may start runs may write there: one odd file must not stop everybody's.
        return RunTimes((), (run_id,), 0)
    except Exception as error:
        if aws.error_code(error) != "AccessDenied":
            raise
        return None


def _receipts(store: RunStore, run_id: str, attempt: int) -> dict[int, Mapping[str, Any]]:
    """Return the receipt of each attempt that left one, by its number."""
    names = {number: f"attempts/{number}/receipt.json" for number in range(1, attempt)}
    names[attempt] = "receipt.json"
    found = {number: store.get_json(run_id, name) for number, name in names.items()}
    # Of a resumed run that goes on, the newest receipt is still that of the attempt before.
    return {number: each for number, each in found.items() if each is not None and _attempts(each) == number}


def _attempts(receipt: Mapping[str, Any]) -> int:
    return len(receipt.get("attempts") or ("the first",))


def held_by(
    spec: EnvironmentSpec,
    run: Mapping[str, Any],
    receipts: Mapping[int, Mapping[str, Any]],
    status: RunStatus | None,
    now: datetime.datetime,
    metrics: Metrics = lambda: None,
) -> Iterator[Held]:
    """Yield what the run's attempts have held: by their receipts, the newest without one by `status`.

    `metrics` reads its `metrics.jsonl`, which is asked for where an attempt was stopped over its losses.
    """
    newest_first = (each for _, each in sorted(receipts.items(), reverse=True))
    goodput = next((each["goodput"] for each in newest_first if each.get("goodput")), None)
    about = _about(spec, run)
    for number, receipt in sorted(receipts.items()):
        phases, cost = receipt["phases"], _own_cost(receipt)
        files = receipt.get("file_system") or {}
        own = exact(files["usd"]) if files.get("usd") is not None else Fraction(0)
        if "claimed" in phases:
            outcome = str(receipt["outcome"])
            begun, ended = milliseconds(phases["claimed"]), milliseconds(phases["ended"])
            idle = _share_since(idle_since(outcome, str(receipt.get("cause") or ""), metrics), begun, ended)
            yield Held(
                **about, attempt=number, begun=begun, ended=ended,
                node_ms=exact(cost["node_seconds"]) * 1000, own_usd=own,
                instances=tuple(str(each["instance_id"]) for each in receipt.get("nodes") or ()),
                shares=shares_of(outcome, goodput, stepped="first_step" in phases, idle=idle),
            )  # fmt: skip
    if status is not None and status.claimed is not None:
        yield _without_receipt(about, status, now, metrics)


def _share_since(since: int | None, begun: int, ended: int) -> Fraction:
    """Return which part of the time from `begun` to `ended` lies after `since`; none of it for None."""
    if since is None or ended <= begun:
        return Fraction(0)
    return Fraction(ended - min(max(since, begun), ended), ended - begun)


def _without_receipt(
    about: Mapping[str, Any], status: RunStatus, now: datetime.datetime, metrics: Metrics
) -> Held:
    """Return what an attempt holds that goes on, or that ended with nobody there to write its receipt."""
    assert status.claimed is not None, "it has nodes"
    begun, ended = milliseconds(status.claimed), milliseconds(status.ended or now)
    use = "under_way" if status.active else "failed_launch" if status.started is None else "overhead"
    idle = _share_since(idle_since(status.state, status.cause, metrics), begun, ended)
    shares = tuple((each, share) for each, share in ((use, 1 - idle), ("idle", idle)) if share)
    return Held(
        **about, attempt=status.attempt, begun=begun, ended=max(begun, ended),
        node_ms=Fraction(max(0, ended - begun) * status.nodes), own_usd=Fraction(0),
        instances=tuple(str(each["instance_id"]) for each in status.placed), shares=shares,
    )  # fmt: skip


def _about(spec: EnvironmentSpec, run: Mapping[str, Any]) -> dict[str, Any]:
    known, price = load_catalog().get(str(run.get("instance_type"))), run.get("price_usd_per_hour")
    team = str(run.get("team") or "")
    return {
        "run_id": str(run["run_id"]),
        "environment": spec.name,
        "team": spec.team if team in ("", spec.own_team) else team,
        "person": person_of(run),
        "fleet": str(run["fleet"]),
        "instance_type": str(run.get("instance_type") or ""),
        "gpus": known.gpus if known else 0,
        "usd_per_node_hour": None if price is None else exact(price),
    }


def person_of(run: Mapping[str, Any]) -> str:
    """Return who had it run: whom the console names, else whom the cloud vouches for, else who called."""
    actor = str(run.get("actor") or "")
    asked = str((run.get("asked_by") or {}).get("name") or "")
    return asked or person(actor) or actor.rpartition("/")[2] or "nobody is told"


def shares_of(
    outcome: str, goodput: Mapping[str, Any] | None, *, stepped: bool, idle: Fraction = _NOTHING
) -> tuple[tuple[str, Fraction], ...]:
    """Return what an ended attempt's time went into, by use; `goodput` is that of the whole run.

    A run that failed before its first step was a failed launch. Else the steps that count are useful. Where
    nobody told of steps, all of a run that succeeded is, and nothing of another. Nothing is useful of the
    share `idle`, in which it made no step that counts until it was stopped for that.
    """
    if outcome == _FAILED and not stepped:
        return (("failed_launch", Fraction(1)),)
    useful = Fraction(int(outcome == _SUCCEEDED))
    if goodput and goodput["wall_seconds"]:
        names = _USEFUL_OF_A_SUCCESS if outcome == _SUCCEEDED else _USEFUL_OF_ANY
        spent = sum((exact(goodput["buckets"].get(name, 0)) for name in names), Fraction(0))
        useful = min(1 - idle, max(Fraction(0), spent / exact(goodput["wall_seconds"])))
    parts = (("useful", useful), ("overhead", 1 - useful - idle), ("idle", idle))
    return tuple((use, share) for use, share in parts if share)


def _own_cost(receipt: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the receipt's own attempt cost; its `cost` is that of all of them."""
    own: Mapping[str, Any] = (receipt.get("attempts") or [receipt])[-1]["cost"]
    return own
