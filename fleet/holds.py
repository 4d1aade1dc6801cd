"""Money that a submit is about to take: an object beside the runs, changed by conditional writes alone.

A run that is there counts against the budget by its `run.json`. Between the look at the budget and that file
another submit might look too: so who has looked writes down first what it will take, and only where nobody
else has written meanwhile. A hold lapses by itself, for whoever wrote it may have been killed.
"""

from __future__ import annotations

import datetime
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from fleet import aws
from fleet.run_store import RunStore

LASTS = 180.0
"""Seconds for which a hold counts: longer than a submit takes from it to the run's `run.json`."""
FOLDER, _FILE = ".budget", "holds.json"
"""Below `runs/`, where a name that begins so is no run's."""
_FORMAT = "fleetform-holds/1"


@dataclass(frozen=True)
class Hold:
    """What one submit holds."""

    usd: float
    until: str
    """UTC, ISO 8601; from then on it counts no more."""


@dataclass(frozen=True)
class Holds:
    """What is held just now."""

    by_run: Mapping[str, Hold]
    """By the id that the run will have."""
    etag: str
    """Of the object that says so, "" where there is none."""


def read_holds(store: RunStore) -> Holds:
    """Return what counts of what is held; a file that cannot be read as such holds nothing.

    Raises the cloud's own error where the caller may not read it.
    """
    found = store.read(FOLDER, _FILE)
    if found is None:
        return Holds({}, "")
    now = datetime.datetime.now(datetime.UTC)
    try:
        told = json.loads(found[0])
        rows = {run_id: Hold(float(row["usd"]), str(row["until"])) for run_id, row in told["holds"].items()}
        soon = now + 2 * datetime.timedelta(seconds=LASTS)  # nobody holds for longer
        by_run = {run_id: each for run_id, each in rows.items() if now < _time(each.until) <= soon}
    except (ValueError, KeyError, TypeError, AttributeError):
        # Whoever may start runs may write there: an odd file must not stop everybody's.
        by_run = {}
    return Holds(by_run, found[1])


def write_holds(store: RunStore, before: Holds, by_run: Mapping[str, Hold]) -> bool:
    """Write what is held from now on; return False, with nothing written, where it has changed since."""
    rows = {run_id: asdict(each) for run_id, each in sorted(by_run.items())}
    # Of its own each time, so that no ETag comes back: what was there and is gone has been there.
    told = {"format": _FORMAT, "written": secrets.token_hex(8), "holds": rows}
    if not before.etag:
        return store.put_new(FOLDER, _FILE, told)
    return store.replace(FOLDER, _FILE, told, before.etag)


def change_holds(
    store: RunStore, change: Callable[[Mapping[str, Hold]], Mapping[str, Hold]], tries: int = 20
) -> bool:
    """Change what is held, on what others have made of it meanwhile; return whether that went through."""
    for _ in range(tries):
        before = read_holds(store)
        after = change(before.by_run)
        if after == before.by_run or write_holds(store, before, after):
            return True
    return False


def new_hold(usd: float) -> Hold:
    """Return a hold that begins now."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=LASTS)
    return Hold(usd, until.isoformat(timespec="seconds"))


def still_held(holds: Holds, reserved: Mapping[str, float]) -> dict[str, float]:
    """Return what is held beyond what the runs count with by now, by run; `reserved` is that of runs.

    An array is held as one, and its tasks come one after the other.
    """
    left = {
        run_id: hold.usd - sum(usd for each, usd in reserved.items() if is_of(each, run_id))
        for run_id, hold in holds.by_run.items()
    }
    return {run_id: usd for run_id, usd in left.items() if usd > 0 and run_id not in reserved}


def is_over(store: RunStore, run_id: str, hold: Hold) -> bool:
    """Return whether a run has ended since its hold began: whoever held it was killed before letting go.

    A hold for a run that is resumed begins after its end. Of a run that one may not see it holds on.
    """
    try:
        ended = (store.get_json(run_id, "receipt.json") or {})["phases"]["ended"]
        return _time(str(ended)) > _time(hold.until) - datetime.timedelta(seconds=LASTS)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    except Exception as error:
        if aws.error_code(error) != "AccessDenied":
            raise
        return False


def is_of(run_id: str, held: str) -> bool:
    """Return whether the run is the one that is held for, or a task of it."""
    return run_id == held or run_id.startswith(f"{held}-a")


def _time(text: str) -> datetime.datetime:
    """Return the moment; raises ValueError for one that says no zone."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment


def others_hold(
    store: RunStore, reserved: Mapping[str, float], submitting: str
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return what other submits hold, and a note where the caller may not see it."""
    try:
        holds = read_holds(store)
        found = still_held(holds, reserved)
        over = [run_id for run_id in found if is_over(store, run_id, holds.by_run[run_id])]
    except Exception as error:
        if aws.error_code(error) != "AccessDenied":
            raise
        return {}, ("runs that are being submitted just now are not counted: you may not see them",)
    return {run_id: usd for run_id, usd in found.items() if run_id not in (submitting, *over)}, ()
