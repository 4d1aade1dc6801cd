"""Acts on a run in the head's queue: hold, release, requeue, and what `cancel` tells it."""

from __future__ import annotations

import time
from typing import Literal

from fleet import aws
from fleet.environment import read_outputs
from fleet.errors import ActError
from fleet.handover import ANSWER_SECONDS, command_answer, send
from fleet.head import find_head
from fleet.job_queueing import SLURM
from fleet.run_control import TellQueue
from fleet.run_store import RunStore, open_runs
from fleet.runs import SUBMITTED, read_run
from fleet.session import Session
from stacks.problems import UserError

QueueAct = Literal["hold", "release", "requeue"]
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0


def act_on_run(session: Session, run_id: str, act: QueueAct) -> str:
    """Hold, release or requeue a run of Slurm's queue and return what the queue says; the ledger has it.

    Raises UserError where that can't be done with the run, ActError where the queue refuses it.
    """
    store = open_runs(session)
    run = read_run(store, run_id)
    request = store.get_json(run_id, "run.json") or {}
    if request.get("scheduler") != SLURM:
        raise UserError.of(
            f"the run {run_id} was started by the plain engine, whose runs can't be held or queued again",
            "end it with `fleetform cancel`, and go on with it with `fleetform run --resume`",
            path="RUN",
        )
    if not run.active:
        raise UserError.of(
            f"the run {run_id} has ended as {run.state}",
            f"go on with it with `fleetform run {session.spec.name} --resume {run_id}`",
            path="RUN",
        )
    with session.ledger.act(f"run.{act}", run_id):
        session.require_on_run("run.resume" if act == "release" else "run.stop", request)
        return _tell(session, store, act, run_id, str(request.get("team", "")))


def queue_teller(session: Session) -> TellQueue:
    """Return what tells the queue of the session's environment of a cancellation."""

    def tell(act: str, run_id: str) -> bool:
        store = open_runs(session)
        request = store.get_json(run_id, "run.json") or {}
        try:
            _tell(session, store, act, run_id, str(request.get("team", "")))
        except QueueRefusedError:
            if read_run(store, run_id).state != SUBMITTED:
                raise
            return False  # the queue does not have it yet; when it gets it, it finds the cancellation
        except (ActError, UserError):
            return False  # the head is being replaced, or the environment is not up
        return True

    return tell


class QueueRefusedError(ActError):
    """The queue has heard of the act and refuses it."""


def _tell(session: Session, store: RunStore, act: str, run_id: str, team: str) -> str:
    """Send the act to the head, wait for its answer and return it; raises QueueRefusedError, ActError."""
    outputs = read_outputs(session)
    document = outputs.queue_document_of(team)
    try:
        told = send(session, document, {"Act": act, "RunId": run_id}, find_head(session), run_id)
    except Exception as error:
        if not aws.is_cloud_error(error) or aws.error_code(error) != "InvalidDocument":
            raise
        why = f"the environment has no document {document}: bring it up to date with `fleetform up`"
        raise ActError(why) from error
    deadline, pause = time.monotonic() + ANSWER_SECONDS, _FIRST_PAUSE
    while time.monotonic() < deadline:
        answer = command_answer(store, *told)
        if answer.status == "Success":
            return answer.said
        if answer.refused:
            raise QueueRefusedError(f"the queue refused to {act} the run {run_id}: {answer.said}")
        if answer.unheard:
            why = answer.said or f"the command to the head node ended as {answer.status}"
            raise ActError(f"the queue could not be told to {act} the run {run_id}: {why}; try again")
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.2)
    raise ActError(f"the head node has not answered within {ANSWER_SECONDS:.0f} s")
