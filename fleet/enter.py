"""Entering a machine: by our document alone, with a reason, on record from the request to the end.

The ledger has three entries of it. `server.enter` is the request: where that can't be written, no session
begins. `server.entered` has the session's id once there is one; where that can't be written, the session is
ended again. The last, `server.enter` too, has how long it took and where the transcript lies.
"""

from __future__ import annotations

import contextlib
import datetime
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fleet import aws
from fleet.errors import ActError
from fleet.ledger import Act, LedgerError
from fleet.named_machines import NamedMachine, find_machine
from fleet.node_sessions import list_sessions
from fleet.open_entries import OpenEntry, left_over
from fleet.session import Session
from fleet.session_plugin import Plugin, find_plugin, keys_for_the_machine
from fleet.typed_command import problems_of, run_typed
from stacks import naming
from stacks.problems import Problem, UserError

EVENT: Final = "server.enter"
BEGUN: Final = "server.entered"
MOST_REASON = 256
"""Characters, and no line break: the API reference of StartSession, `SessionReason`."""
NO_END = "no end known"

Say = Callable[[bytes], object]
Tell = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Stay:
    """One stay in a machine that is over."""

    machine: NamedMachine
    session_id: str
    seconds: float
    transcript: str
    """Where it lies; the machine writes it at the end."""
    exit_code: int
    """Of the command that was run, 0 for a shell."""


def enter(session: Session, called: str, reason: str, *, command: str = "", tell: Tell, say: Say) -> Stay:
    """Open a shell on the machine that is called so, or run one command in it, and stay until its end.

    `tell` is told what goes on, `say` gets the command's output. Raises UserError for what is not allowed or
    makes no sense, ActError and what the cloud refuses for what fails.
    """
    _require_sense(session, reason, command)
    plugin = find_plugin(session.cloud)
    with session.recording_refusal(EVENT, called):
        session.require(EVENT)
        machine = find_machine(session, called)
    settle(session, tell)
    asked = {"environment": session.spec.name, "node": machine.name or machine.id, "reason": reason}
    asked |= {"document": _document(session)} | ({"command": command} if command else {})
    entry = OpenEntry(session, {"machine": machine.id, "began": _now().isoformat()})
    try:
        with session.ledger.act(EVENT, machine.id, **asked) as act:
            stay = _stay(session, machine, reason, _Way(plugin, entry, act, command, tell, say))
    except LedgerError:
        entry.close(keep=entry.is_begun)  # the next command puts the end on record
        raise
    except BaseException:
        entry.close()
        raise
    entry.close()
    return stay


@dataclass(frozen=True)
class _Way:
    """What a stay goes by."""

    plugin: Plugin
    entry: OpenEntry
    act: Act
    command: str
    tell: Tell
    say: Say


def _require_sense(session: Session, reason: str, command: str) -> None:
    spec, account = session.spec, session.account
    problems = problems_of(command)
    if not reason.strip() or len(reason) > MOST_REASON or not reason.isprintable():
        what = f"is no reason: one line of up to {MOST_REASON} characters, for whoever reads the record"
        problems.append(
            Problem(path="--reason", what=what, do='say what for: --reason "look at a full disk"')
        )
    if spec.region != account.region:
        what = f"nobody can enter its machines: the session document stands in {account.region} alone"
        do = "look at its runs and their logs, which work in every region (docs/account.md)"
        problems.append(Problem(path=spec.name, what=what, do=do))
    if problems:
        raise UserError(problems)


def _stay(session: Session, machine: NamedMachine, reason: str, way: _Way) -> Stay:
    """Begin a session, put it on record, carry it to its end, and end it whatever happens."""
    ssm, document = session.client("ssm"), _document(session)
    began, at = time.monotonic(), _now().isoformat()
    started = _start(ssm, machine, document, reason)
    session_id = str(started["SessionId"])
    about = {"session": session_id, "transcript": _transcript(session, session_id)}
    way.act.details.update(about)
    try:
        way.entry.begin({"machine": machine.id, "began": at, **about})
        session.ledger.append(
            BEGUN, machine.id, "recorded", {"environment": session.spec.name, "reason": reason, **about}
        )
        way.tell(f"entering {machine}; what is typed and shown is recorded: {about['transcript']}")
        with _ended_by_signals():
            code = _carry(session, started, machine, way)
    finally:
        way.act.details["seconds"] = seconds = round(time.monotonic() - began, 1)
        if trouble := _end(ssm, session_id):
            way.act.details["end"] = trouble
    if way.command:
        way.act.details["exit_code"] = code
    return Stay(
        machine=machine,
        session_id=session_id,
        seconds=seconds,
        transcript=about["transcript"],
        exit_code=code,
    )


def _start(ssm: Any, machine: NamedMachine, document: str, reason: str) -> dict[str, Any]:
    try:
        started: dict[str, Any] = ssm.start_session(Target=machine.id, DocumentName=document, Reason=reason)
    except Exception as error:
        if aws.error_code(error) != "TargetNotConnected":
            raise
        why = "its agent does not answer: it may be starting, or not reach Systems Manager from its network"
        raise ActError(f"{machine} cannot be entered: {why}") from error
    return started


def _carry(session: Session, started: dict[str, Any], machine: NamedMachine, way: _Way) -> int:
    """Let the plugin carry the session; return the command's exit code, 0 for a shell."""
    endpoint = str(session.client("ssm").meta.endpoint_url)
    carrier = way.plugin.start(
        started,
        machine.id,
        session.spec.region,
        endpoint,
        inherit=[way.entry.descriptor],
        piped=bool(way.command),
    )
    try:
        if way.command:
            return run_typed(carrier, way.command, way.say)
        with keys_for_the_machine():
            code = carrier.wait()
        if code:
            raise ActError(f"the plugin that carries the session ended with exit code {code}")
        return 0
    finally:
        carrier.close()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Take a closed terminal and a SIGTERM for an interruption, so that the end is on record."""

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, leave) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(ssm: Any, session_id: str) -> str:
    """End the session, which may have ended by itself; return what kept that from being asked for."""
    try:
        ssm.terminate_session(SessionId=session_id)
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return f"it could not be ended: {error}"
    return ""


def settle(session: Session, tell: Tell) -> None:
    """Put the ends of entries on record whose command was killed; a session that nobody carries is ended."""
    for file, about in left_over(session):
        machine, begun = str(about.get("machine")), str(about.get("session") or "")
        ended = _known_end(session, machine, begun) if begun else None
        took = f"ended at {ended:%Y-%m-%d %H:%M:%S}Z" if ended else NO_END
        told = {key: value for key, value in about.items() if key != "machine"}
        details = {"environment": session.spec.name, "cause": "the command was killed", "end": took, **told}
        session.ledger.append(EVENT, machine, "interrupted", details)
        file.unlink(missing_ok=True)
        tell(f"an earlier stay in {machine} was cut off: {took}; now on record")


def _known_end(session: Session, machine: str, begun: str) -> datetime.datetime | None:
    """Return when a session ended, now where it still went on; None where nothing tells.

    It is ended in any case: who may enter need not be allowed to list sessions.
    """
    try:
        found = next((each for each in list_sessions(session, machine) if each.id == begun), None)
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        found = None
    if found is not None and found.ended is not None:
        return found.ended
    trouble = _end(session.client("ssm"), begun)
    return _now() if found is not None and not trouble else None


def _document(session: Session) -> str:
    return naming.account_name(session.account.organization, naming.SESSION_DOCUMENT)


def _transcript(session: Session, session_id: str) -> str:
    return f"s3://{session.ledger.bucket}/{naming.SESSIONS_PREFIX}{session_id}.log"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
