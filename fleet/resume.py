"""Resumes a run that has ended too early: the same job in the same run directory, as its next attempt.

`run.json` says which attempt is on; whoever changes it first, by a conditional write, has the run. What the
head and the nodes wrote about the attempt before moves to `attempts/<n>/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from fleet.clock import utc_now
from fleet.errors import ActError
from fleet.handover import Told, note_command, send
from fleet.head import find_head
from fleet.job_checks import most_nodes
from fleet.job_queueing import PLAIN, SLURM, engine_of
from fleet.limits import or_when_others_are_done, require_within_again
from fleet.queued import await_queued
from fleet.reservation import reserving
from fleet.run_costs import ask_of
from fleet.run_store import RunStore, open_runs
from fleet.runs import RunStatus, read_run
from fleet.session import Session
from fleet.submit import make_room
from stacks.outputs import EnvironmentOutputs
from stacks.problems import Problem, UserError

_OF_AN_ATTEMPT = ("receipt.json", "outputs/", "alive/", "stop.json", "cancel.json")
"""What is about one attempt, and would be taken for the next one's."""
_ALSO_GONE = ("outputs/", "alive/", "stop.json", "cancel.json")


def resume(session: Session, outputs: EnvironmentOutputs, run_id: str, *, approved_by: str = "") -> str:
    """Start the run's next attempt and return the instance id of the head that was told.

    The ledger has it as `run.resume`; `approved_by` is who lets it go over the budget. Raises UserError where
    the run can't be resumed, and ActError, with everything as it was, where it could not be started.
    """
    store = open_runs(session)
    with session.ledger.act("run.resume", run_id) as act:
        run = read_run(store, run_id)
        found = store.read(run_id, "run.json")
        assert found is not None, "it has just been read"
        request = json.loads(found[0])
        session.require_on_run("run.resume", request)
        engine = engine_of(session.cloud.variables, outputs.scheduler)
        if problems := _problems(run, request, outputs, engine):
            raise UserError(problems)
        check = None if approved_by else partial(require_within_again, session, request)
        if check:
            or_when_others_are_done(check)
        attempt = act.details["attempt"] = run.attempt + 1
        head = find_head(session)
        document = outputs.run_document_of(str(request.get("team", "")))
        with reserving(session, store, run_id, ask_of(request).usd, check):
            changed = _next_attempt(session, store, request, attempt)
            if not store.replace(run_id, "run.json", changed, found[1]):
                raise ActError(f"the run {run_id} was resumed by somebody else just now")
            told = _start(session, document, store, run_id, run.attempt, head, request)
        if engine == SLURM and not await_queued(session, document, run_id, attempt, told):
            raise ActError(f"no head node has confirmed that {run_id} is queued: see `fleetform queue`")
    if engine != SLURM:
        make_room(session)
    return told[0]


def _next_attempt(
    session: Session, store: RunStore, request: Mapping[str, Any], attempt: int
) -> dict[str, Any]:
    """Return `run.json` as the attempt of that number has it."""
    known = (store.get_json(str(request["run_id"]), "submission.json") or {}).get("command_id")
    return {
        **request,
        "attempt": attempt,
        "resumed": utc_now(),
        "resumed_by": session.caller,
        "earlier_commands": [*request.get("earlier_commands", []), *([known] if known else [])],
    }


def _problems(
    run: RunStatus, request: Mapping[str, Any], outputs: EnvironmentOutputs, engine: str
) -> list[Problem]:
    if run.active:
        what = f"the run {run.run_id} is {run.state}"
        return [Problem(what=what, do="wait for its end, or cancel it", path="--resume")]
    if run.state == "SUCCEEDED":
        what = f"the run {run.run_id} has succeeded: nothing is left to do"
        return [Problem(what=what, do="start a new run", path="--resume")]
    if request.get("array"):
        what = f"the run {run.run_id} is an array, whose tasks are resumed one by one"
        do = f"name a task: `--resume {run.run_id}-a{request['array']['first']}`"
        return [Problem(what=what, do=do, path="--resume")]
    began = request.get("scheduler", PLAIN)
    if began != engine:
        what = f"the run began under the {began} engine, and the environment now has the {engine} one"
        return [Problem(what=what, do="start a new run", path="--resume")]
    fleet = outputs.fleets.get(run.fleet)
    has = most_nodes(fleet, engine) if fleet else 0
    if has < run.nodes:
        what = f"the run needs {run.nodes} nodes of the fleet {run.fleet}, which has {has}"
        return [Problem(what=what, do="bring the fleet up to that size with `fleetform up`", path="--resume")]
    if fleet is not None and fleet.instance_type != request["instance_type"]:
        what = f"the run began on {request['instance_type']} nodes, and the fleet has {fleet.instance_type}"
        return [Problem(what=what, do="start a new run", path="--resume")]
    return []


def _start(
    session: Session,
    document: str,
    store: RunStore,
    run_id: str,
    ended: int,
    head: str,
    request: dict[str, Any],
) -> Told:
    """Put the ended attempt's files aside and send the command; where either fails, put all back."""
    moved: dict[str, bytes] = {}
    try:
        moved = _set_aside(store, run_id, ended)
        told = send(session, document, {"RunId": run_id}, head, run_id)
    except BaseException as error:
        for name, body in moved.items():
            store.s3.put_object(Bucket=store.bucket, Key=f"runs/{run_id}/{name}", Body=body)
        store.put(run_id, "run.json", request)
        if not isinstance(error, Exception) or isinstance(error, ActError | UserError):
            raise
        raise ActError(f"the run was not resumed: {error}") from error
    note_command(store, run_id, told)
    return told


def _set_aside(store: RunStore, run_id: str, attempt: int) -> dict[str, bytes]:
    """Copy what is about one attempt to `attempts/<n>/`, and delete what must not be taken for the next's.

    Return what was deleted.
    """
    names = [name for each in _OF_AN_ATTEMPT for name in store.sizes(run_id, each) if _is_of(name, each)]
    gone: dict[str, bytes] = {}
    for name in names:
        body = store.get(run_id, name)
        if body is None:
            continue
        key = f"runs/{run_id}/attempts/{attempt}/{name}"
        store.s3.put_object(Bucket=store.bucket, Key=key, Body=body)
        if name.startswith(_ALSO_GONE):
            store.delete(run_id, name)
            gone[name] = body
    return gone


def _is_of(name: str, each: str) -> bool:
    return name.startswith(each) if each.endswith("/") else name == each
