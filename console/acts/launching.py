"""A launch: the environment built where it does not stand, then one run, however often it is begun anew."""

from __future__ import annotations

import time
from typing import Any, TypeVar

from console.acts.spec import Launch, verb_of
from fleet.bootstrap import read_state_object
from fleet.environment import read_outputs
from fleet.job import JobSpec
from fleet.lost import is_lost
from fleet.on_behalf import as_person
from fleet.policy import Verb
from fleet.resume import resume
from fleet.run_control import end_lost
from fleet.run_store import RunStore, open_runs
from fleet.runs import SUBMITTED, find_run, read_run
from fleet.session import AccountSession, Session
from fleet.submit import submit
from fleet.terraform_events import ProgressEvent, Report
from fleet.up import up
from stacks import naming

_HEARD_SECONDS = 90.0
"""How long a run may be without a word: one of which no head was told is lost sooner."""
_PAUSE = 1.0
Opened = TypeVar("Opened", bound=AccountSession)


def launch(session: Session, act: Launch, report: Report) -> dict[str, Any]:
    """Build where that is said, and submit the run, or go on with what an earlier attempt has left of it."""
    if act.build:
        up(in_name(session, "environment.up"), report)
    session = in_name(session, verb_of(act))
    assert session.caller, "the cloud has answered"
    outputs = read_outputs(session)
    store = open_runs(session)

    def note(text: str) -> None:
        report(ProgressEvent(kind="note", stack=act.environment, text=text))

    if find_run(store, act.run) is None:
        note(f"submitting the run {act.run}")
        submitted = submit(session, outputs, _job(act), note, run_id=act.run, approved_by=act.approved_by)
        return {"run": act.run, "warnings": list(submitted.warnings)}
    note(f"the run {act.run} was submitted before")
    if not _is_carried_out(store, act.run):
        note(f"no head node was told of the run {act.run}: going on with it")
        resume(session, outputs, act.run, approved_by=act.approved_by)
    return {"run": act.run, "warnings": []}


def _job(act: Launch) -> JobSpec:
    return JobSpec(
        environment=act.environment,
        fleet=act.fleet,
        recipe=act.recipe,
        overrides=act.overrides,
        nodes=act.nodes,
        max_minutes=act.max_minutes,
        team=act.team,
    )


def _is_carried_out(store: RunStore, run_id: str) -> bool:
    """Wait until a head has taken the run up; where none ever will, end it and return False.

    Who submitted it may have been killed between the run's last file and the command to the head.
    """
    deadline = time.monotonic() + _HEARD_SECONDS
    while (run := read_run(store, run_id)).state == SUBMITTED and time.monotonic() < deadline:
        if is_lost(store, run):
            end_lost(store, run, "FAILED", "whoever submitted it was killed before a head node was told")
            return False
        time.sleep(_PAUSE)
    return True


def in_name(session: Opened, verb: Verb) -> Opened:
    """Return the session with the role that the act needs, in the name of who asked.

    The account's stack makes the roles of people: what builds the first environment has none to take on.
    """
    if not read_state_object(session.cloud, session.account, naming.ACCOUNT_STACK):
        return session
    return as_person(session, verb)
