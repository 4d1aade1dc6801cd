"""Waits until the head's queue has taken a run up, and tells it again where nobody has heard."""

from __future__ import annotations

import time
from collections.abc import Callable

from fleet.clock import utc_now
from fleet.errors import ActError
from fleet.handover import ANSWER_SECONDS, ENDED_COMMAND, Told, command_answer, note_command, send
from fleet.head import find_head
from fleet.run_store import FINAL_EVENTS, RunStore, open_runs
from fleet.runs import events_of, read_events, running_machines
from fleet.session import Session

HEAD_SECONDS = 900.0
"""How long a head that still starts, or is being replaced, is waited for."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 0.5
_LOOKS_AT_COMMAND = 4
"""Systems Manager tells of a command's end more slowly than the bucket, so it is asked less often."""
_MACHINE_SECONDS = 15.0
"""Between two looks at the machine that a command went to: Systems Manager may never notice its end."""


def await_queued(
    session: Session,
    document: str,
    run_id: str,
    attempt: int,
    told: Told,
    on_wait: Callable[[str], None] = lambda said: None,
) -> bool:
    """Return whether the queue has taken the run up; False where no head has answered within HEAD_SECONDS.

    The command goes to the next head where the one that was `told` has ended, or could not reach its queue:
    submitting twice is submitting once. Raises ActError with the reason where the run was refused; it is then
    ended as FAILED.
    """
    store, pause, looks, begun = open_runs(session), _FIRST_PAUSE, 0, time.monotonic()
    says_at, machine_at = begun + ANSWER_SECONDS, begun + _MACHINE_SECONDS
    while (now := time.monotonic()) < begun + HEAD_SECONDS:
        if _taken_up(store, run_id, attempt):
            return True
        looks += 1
        if looks % _LOOKS_AT_COMMAND == 0:
            looks_at_machine = now > machine_at
            machine_at = now + _MACHINE_SECONDS if looks_at_machine else machine_at
            if _is_unheard(store, run_id, attempt, told, looks_at_machine=looks_at_machine):
                told = _tell_again(session, store, document, run_id) or told
        if now > says_at:
            says_at = now + HEAD_SECONDS
            on_wait("the head node has not answered yet: it may be starting; waiting for its queue")
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.2)
    return False


def _is_unheard(store: RunStore, run_id: str, attempt: int, told: Told, *, looks_at_machine: bool) -> bool:
    """Return whether the command will not reach a queue any more; raises ActError where it was refused."""
    answer = command_answer(store, *told)
    if answer.refused and not _taken_up(store, run_id, attempt):
        _end_unheard(store, run_id, attempt, answer.said or "the command to the head node failed")
    if answer.status in ENDED_COMMAND:
        return answer.unheard
    return looks_at_machine and not running_machines(store, [told[0]])


def _tell_again(session: Session, store: RunStore, document: str, run_id: str) -> Told | None:
    """Send the command to the head that there is now; None where there is none yet."""
    try:
        told = send(session, document, {"RunId": run_id}, find_head(session), run_id)
    except ActError:
        return None
    note_command(store, run_id, told)
    return told


def _taken_up(store: RunStore, run_id: str, attempt: int) -> bool:
    """Return whether the run is queued or beyond; raises ActError where it was refused."""
    events = events_of(read_events(store, run_id), attempt)
    if not events:
        return False
    last = events[-1]
    refused = last["event"] == "FAILED" and all(each["event"] != "RUNNING" for each in events)
    if refused:
        raise ActError(f"the queue refused the run {run_id}: {last['detail'].get('cause', '')}")
    return last["event"] in FINAL_EVENTS or any(each["event"] == "QUEUED" for each in events)


def _end_unheard(store: RunStore, run_id: str, attempt: int, why: str) -> None:
    """End a run that the queue does not know, and raise ActError; where it does after all, leave it to it."""
    line = {"time": utc_now(), "event": "FAILED", "detail": {"cause": f"it did not reach the queue: {why}"}}
    if store.append_line(run_id, "events.jsonl", line):
        raise ActError(f"the run {run_id} did not reach the queue: {why}")
    _taken_up(store, run_id, attempt)
