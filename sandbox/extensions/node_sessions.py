"""Session Manager's sessions on the emulated nodes: begun, carried to a shell, listed and ended.

Seam: methods on `SimpleSystemManagerResponse`, which moto finds by the action's name. moto has none of the
actions; drop this when it has them. Who may begin one is decided before, in `sandbox/iam/`. The shells are in
`sandbox/shells/`, and begin when a client comes for them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.responses import ActionResult
from moto.ssm.responses import SimpleSystemManagerResponse

from sandbox.extensions.run_command import SsmError
from sandbox.iam.callers import Caller, caller_of
from sandbox.iam.services.ssm import DEFAULT_SESSION_DOCUMENT
from sandbox.iam.sessions import SESSIONS
from sandbox.locked_objects import put_locked
from sandbox.node import Node, NodeGoneError
from sandbox.parts import Parts, store
from sandbox.shells.door import Door, Ticket
from sandbox.shells.frames import GoneError
from sandbox.shells.shell import IDLE_MINUTES, LONGEST_MINUTES, Shell, ShellRules

TAGS = "Tags"
"""Where a session keeps its tags, which Session Manager sets and policies ask for."""
_OF_AWS = "AWS-Start"
_SHELL = "Standard_Stream"
_NOBODY = "Nobody came for the shell: nothing was typed."


@dataclass(frozen=True)
class Home:
    """Where a session's record is kept, beyond the request that began it."""

    backend: Any
    """moto's, of Systems Manager in one account and region."""
    account: str
    partition: str

    @classmethod
    def of(cls, request: Any) -> Home:
        """Return that of a request."""
        return cls(request.ssm_backend, request.current_account, request.partition)

    def sessions(self) -> dict[str, dict[str, Any]]:
        """Return the sessions by their ids."""
        kept: dict[str, dict[str, Any]] = store(self.backend, "node_sessions")
        return kept


class NodeSessions:
    """The actions; a moto response object is the request."""

    def __init__(self, parts: Parts) -> None:
        self.nodes, self.clock, self.turn = parts.nodes, parts.clock, parts.turn
        self._door = Door()
        self._shells: dict[str, Shell] = {}

    def start_session(self, request: Any) -> ActionResult:
        """StartSession, on a node whose agent answers."""
        target, caller = request._get_param("Target"), _caller(request)
        node = self.nodes.get(target)
        if node is None or not node.is_online or node.machine.region != request.region:
            raise SsmError("TargetNotConnected", f"{target} is not connected.")
        document = request._get_param("DocumentName") or DEFAULT_SESSION_DOCUMENT
        content = _content(request, document)
        session_id = f"{_name(caller)}-{secrets.token_hex(9)[:17]}"
        Home.of(request).sessions()[session_id] = {
            "SessionId": session_id,
            "Target": target,
            "Status": "Connected",
            "StartDate": self.clock.now(),
            "DocumentName": document,
            "Owner": caller.principal.arn,
            "Reason": request._get_param("Reason") or "",
            TAGS: {"aws:ssmmessages:session-id": caller.user_id, "aws:ssmmessages:target-id": target},
        }
        token = secrets.token_urlsafe(96)
        url = f"wss://ssmmessages.{request.region}.amazonaws.com/v1/data-channel/{session_id}"
        if content.get("sessionType") == _SHELL:
            opens = self._opener(Home.of(request), node, session_id, content.get("inputs", {}))
            url = self._door.admit(Ticket(session_id, token, opens))
        return ActionResult({"SessionId": session_id, "TokenValue": token, "StreamUrl": url})

    def terminate_session(self, request: Any) -> ActionResult:
        """TerminateSession; ending one that has ended does nothing."""
        session_id = request._get_param("SessionId")
        if session_id not in Home.of(request).sessions():
            raise SsmError("DoesNotExistException", f"Session {session_id} does not exist")
        if shell := self._shells.get(session_id):
            shell.end("the session was ended")
        self._finish(Home.of(request), session_id)
        return ActionResult({"SessionId": session_id})

    def describe_sessions(self, request: Any) -> ActionResult:
        """DescribeSessions: those that are active, or those that were; latest first."""
        active = request._get_param("State") == "Active"
        filters = {each["key"]: each["value"] for each in request._get_param("Filters", [])}
        found = [
            {name: value for name, value in session.items() if name != TAGS}
            for session in Home.of(request).sessions().values()
            if (session["Status"] != "Terminated") is active
            and all(session.get(key) == value for key, value in filters.items())
        ]
        return ActionResult({"Sessions": sorted(found, key=lambda each: each["StartDate"], reverse=True)})

    def _opener(
        self, home: Home, node: Node, session_id: str, inputs: Mapping[str, Any]
    ) -> Callable[[], Shell]:
        """Return what starts the session's shell for its first client, and gives the same to the next."""

        def ended(_: str) -> None:
            with self.turn:
                self._finish(home, session_id)

        def opened() -> Shell:
            if home.sessions()[session_id]["Status"] == "Terminated":
                raise GoneError("the session has ended")
            if session_id not in self._shells:
                try:
                    self._shells[session_id] = Shell(node, session_id, _rules(inputs), ended)
                except NodeGoneError as error:
                    raise GoneError(f"{node.machine.id} does not run") from error
            return self._shells[session_id]

        return opened

    def _finish(self, home: Home, session_id: str) -> None:
        """Put a session's end on record, and its transcript where its document says; once."""
        session = home.sessions()[session_id]
        self._door.close(session_id)
        shell = self._shells.pop(session_id, None)
        if session["Status"] == "Terminated":
            return
        session |= {"Status": "Terminated", "EndDate": self.clock.now()}
        said = _NOBODY.encode() + b"\n"
        if shell is not None:
            if not shell.transcript.is_file():  # the machine has ended, and its files with it
                return
            said = shell.transcript.read_bytes()
        _write_transcript(home, session, said)


def install(parts: Parts) -> None:
    """Give moto's responses class the actions."""
    sessions = NodeSessions(parts)
    SimpleSystemManagerResponse.start_session = lambda request: sessions.start_session(request)
    SimpleSystemManagerResponse.terminate_session = lambda request: sessions.terminate_session(request)
    SimpleSystemManagerResponse.describe_sessions = lambda request: sessions.describe_sessions(request)


def _caller(request: Any) -> Caller:
    key = request.get_access_key()
    session = SESSIONS.find(key)
    return caller_of(key, session.token if session else "")


def _name(caller: Caller) -> str:
    """Return what a session's id begins with: the user, or the session's name of an assumed role."""
    return caller.session.name if caller.session else caller.username or "root"


def _content(request: Any, name: str) -> Mapping[str, Any]:
    """Return a session document's content; one of AWS's own is a tunnel or a command, the default a shell.

    Refuses a document that does not exist, or is not for sessions.
    """
    bare = name.rsplit("/", 1)[-1] if name.startswith("arn:") else name
    if bare == DEFAULT_SESSION_DOCUMENT:
        return {"sessionType": _SHELL}
    if bare.startswith(_OF_AWS):
        return {}
    found = request.ssm_backend._get_documents(bare).find()  # raises InvalidDocument
    if found.document_type != "Session":
        raise SsmError("InvalidDocument", f"{bare} is not a Session document")
    content: Mapping[str, Any] = found.content_json
    return content


def _rules(inputs: Mapping[str, Any]) -> ShellRules:
    """Return what the document says of the shell; numbers are text there."""
    return ShellRules(
        profile=str(inputs.get("shellProfile", {}).get("linux", "")),
        idle_minutes=float(inputs.get("idleSessionTimeout") or IDLE_MINUTES),
        longest_minutes=float(inputs.get("maxSessionDuration") or LONGEST_MINUTES),
    )


def _write_transcript(home: Home, session: Mapping[str, Any], said: bytes) -> None:
    """Write what the agent does at a session's end, where its document names a bucket."""
    name = session["DocumentName"].rsplit("/", 1)[-1]
    if name == DEFAULT_SESSION_DOCUMENT or name.startswith(_OF_AWS):
        return
    inputs = home.backend._get_documents(name).find().content_json.get("inputs", {})
    if not inputs.get("s3BucketName"):
        return
    key = "/".join(each for each in (inputs.get("s3KeyPrefix"), f"{session['SessionId']}.log") if each)
    begun, ended = (f"{session[each]:%Y-%m-%d %H:%M:%S%z}" for each in ("StartDate", "EndDate"))
    text = f"Script started on {begun}\n".encode() + said + f"\nScript done on {ended}\n".encode()
    put_locked(home.account, home.partition, inputs["s3BucketName"], key, text)
