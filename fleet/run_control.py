"""Ends runs and settles ended ones: cancel, runs that nobody carries out, and the ledger's `run.ended`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from fleet.at_once import each_at_once
from fleet.clock import seconds_since, utc_now
from fleet.errors import ActError
from fleet.follow import follow
from fleet.job_queueing import SLURM
from fleet.lost import Look, is_lost
from fleet.run_index import RunIndex
from fleet.run_store import RunStore
from fleet.runs import RunStatus, events_of, find_run, read_events, read_run

_WITHOUT_A_WORD = "its dispatcher on the head node ended without a word"
_RECORDING = "recording"
_RECORDING_SECONDS = 120
"""Who records a run's end and has not said for so long that it is done was killed: another may do it."""


class LedgerLike(Protocol):
    """What is needed of fleet/ledger.py's Ledger."""

    def act(self, event: str, target: str, **details: Any) -> AbstractContextManager[Any]:
        """Bracket an act with two entries."""

    def append(self, event: str, target: str, outcome: str, details: dict[str, Any]) -> Any:
        """Write one entry."""


TellQueue = Callable[[str, str], bool]
"""Tells the head's queue an act and a run's id; returns False where no head is there to take it just now."""


def _no_queue(act: str, run_id: str) -> bool:
    raise AssertionError(f"{run_id} is in Slurm's queue: say how it is told to {act} it")


def cancel(
    store: RunStore,
    ledger: LedgerLike,
    run_id: str,
    actor: str,
    *,
    tell: TellQueue = _no_queue,
    wait_s: float = 150,
    head_s: float = 900,
    on_wait: Callable[[RunStatus], None] = lambda run: None,
) -> RunStatus:
    """End the run and return how it ended; one that has ended already is left as it is.

    The head node stops the run's nodes, with a grace period for a checkpoint; its queue hears of it by
    `tell`. Where the head node or its dispatcher is gone, this does it instead; where the queue's head is
    being replaced, the new one is waited for. Raises ActError where none has come after `head_s` seconds, or
    where the run has not ended `wait_s` seconds after it was told to.
    """
    run = read_run(store, run_id)
    if not run.active:
        return run
    with ledger.act("run.cancel", run_id):
        store.put(run_id, "cancel.json", {"actor": actor, "time": utc_now()})
        queued = (store.get_json(run_id, "run.json") or {}).get("scheduler") == SLURM
        begun, delay, told = time.monotonic(), 0.2, False
        while (run := read_run(store, run_id)).active:
            if is_lost(store, run):
                end_lost(store, run, "CANCELLED", f"cancelled by {actor}; its head node was gone")
                continue
            if queued and not told:
                told = tell("cancel", run_id)  # again, until there is a head that takes it
                begun = time.monotonic() if told else begun
            if queued and not told and time.monotonic() > begun + head_s:
                raise ActError(f"no head node has taken the cancellation of {run_id} within {head_s:.0f} s")
            if (told or not queued) and time.monotonic() > begun + wait_s:
                raise ActError(f"the run {run_id} has not ended {wait_s:.0f} s after it was told to")
            on_wait(run)
            time.sleep(delay)
            delay = min(2.0, delay * 1.5)
    return run


def end_lost(store: RunStore, run: RunStatus, event: str, cause: str) -> None:
    """Write the final event of a run that nobody carries out; its nodes, where they live, are told to stop.

    The nodes get half a minute to bring their outputs home before the run is called over.
    """
    store.put(run.run_id, "stop.json", {"reason": cause})
    wanted = {f"outputs/node-{node['rank']}.json" for node in run.placed}
    deadline = time.monotonic() + (35 if wanted else 0)
    while time.monotonic() < deadline and not wanted <= set(store.sizes(run.run_id, "outputs/")):
        time.sleep(0.5)
    line = {"time": utc_now(), "event": event, "detail": {"cause": cause}}
    store.append_line(run.run_id, "events.jsonl", line)  # refused where the dispatcher lives after all


def settle(store: RunStore, ledger: LedgerLike, run: RunStatus) -> bool:
    """Record an ended run in the ledger as `run.ended`, once for all callers; return whether it was us.

    `settled.json` says first that somebody is at it, and that it is done only once the ledger has it: one who
    is killed in between leaves no gap. At the worst an end is recorded twice.
    """
    if run.active or not _begin_to_settle(store, run.run_id, settled_name(run)):
        return False
    receipt = store.get_json(run.run_id, "receipt.json") or {}
    details = {
        "state": run.state,
        "cause": run.cause,
        "submitted_by": run.actor,
        "started": run.started,
        "ended": run.ended,
        "instances": _machines_of(store, run, receipt),
        "cost": (receipt.get("attempts") or [receipt])[-1].get("cost"),
        **({"attempt": run.attempt} if run.attempt > 1 else {}),
    }
    try:
        ledger.append("run.ended", run.run_id, "recorded", details)
    except BaseException:
        store.delete(run.run_id, settled_name(run))
        raise
    store.put(run.run_id, settled_name(run), {"time": utc_now(), "state": "recorded"})
    return True


def _machines_of(store: RunStore, run: RunStatus, receipt: Mapping[str, Any]) -> list[str]:
    """Return the ids of the machines that the run's attempt was given, in order of their ranks.

    A run that was requeued has had others before its last ones. The queue may learn of a machine's id only
    after it has said that there is one: then the receipt has it.
    """
    events = events_of(read_events(store, run.run_id), run.attempt)
    given = [each["detail"]["nodes"] for each in events if each["event"] == "PROVISIONING"]
    named = (node for nodes in (*given, receipt.get("nodes") or ()) for node in nodes)
    return list(dict.fromkeys(str(node["instance_id"]) for node in named if node.get("instance_id")))


def settled_name(run: RunStatus) -> str:
    """Return the name of the file that says whether the end of the run's attempt is in the ledger."""
    return "settled.json" if run.attempt == 1 else f"settled-{run.attempt}.json"


def _begin_to_settle(store: RunStore, run_id: str, name: str) -> bool:
    """Return whether the caller is the one to record the run's end now."""
    mine = {"time": utc_now(), "state": _RECORDING}
    if store.put_new(run_id, name, mine):
        return True
    found = store.read(run_id, name)
    if found is None or _is_settled(json.loads(found[0])):
        return False
    return store.replace(run_id, name, mine, found[1])


def _is_settled(marker: dict[str, Any]) -> bool:
    """Return whether the run's end is recorded, or is being recorded by somebody who lives."""
    return marker.get("state") != _RECORDING or seconds_since(marker["time"]) < _RECORDING_SECONDS


def settle_all(store: RunStore, ledger: LedgerLike, index: RunIndex | None = None) -> list[RunStatus]:
    """End the lost runs, record every ended one, and return all runs as they then stand, newest first.

    With an index that remembers ended runs, these are neither read again nor looked up again in the ledger.
    """
    index = index or RunIndex(store)
    index.read_all()
    settle_known(store, ledger, index)
    return index.known()


def settle_known(store: RunStore, ledger: LedgerLike, index: RunIndex, most: int | None = None) -> None:
    """End the lost runs and record every ended one, of those that the index has read.

    With `most` only so many of those that are not known to be recorded are looked up, the oldest first.
    """
    look = Look(store)
    active = [run for run in index.known() if run.active]
    lost = each_at_once(lambda run: is_lost(store, run, look), active)
    for run in (run for run, gone in zip(active, lost, strict=True) if gone):
        end_lost(store, run, "FAILED", _WITHOUT_A_WORD)
        index.look_at(run.run_id)
    ended = [run for run in reversed(index.known()) if not run.active and not index.is_recorded(run)][:most]
    markers = each_at_once(lambda run: store.get_json(run.run_id, settled_name(run)), ended)
    for run, marker in zip(ended, markers, strict=True):
        if marker is None or not _is_settled(marker):
            recorded = settle(store, ledger, run)
        else:
            recorded = marker.get("state") != _RECORDING
        if recorded:
            index.note_recorded(run)
    index.save()


def wait_for_end(store: RunStore, ledger: LedgerLike, run_id: str) -> RunStatus:
    """Wait until the run has ended, or is lost and ended by us; record its end and return how it stands."""
    for _ in follow(store, run_id):
        pass
    return settle_one(store, ledger, run_id)


def settle_one(store: RunStore, ledger: LedgerLike, run_id: str) -> RunStatus:
    """End the run where it is lost, record its end where it has one, and return how it stands."""
    run = read_run(store, run_id)
    if run.active and is_lost(store, run):
        end_lost(store, run, "FAILED", _WITHOUT_A_WORD)
        run = read_run(store, run_id)
    settle(store, ledger, run)
    return run


def end_lost_holders(store: RunStore, ledger: LedgerLike) -> list[str]:
    """End the lost runs that hold nodes, which others would wait for in vain, and return their ids."""
    ended = []
    for run_id in sorted(store.holders()):
        run = find_run(store, run_id)
        if run is not None and run.active and is_lost(store, run):
            end_lost(store, run, "FAILED", _WITHOUT_A_WORD)
            settle(store, ledger, read_run(store, run_id))
            ended.append(run_id)
    return ended
