"""Session Manager's sessions on the emulated nodes: begun, listed and ended, without a shell behind them.

Seam: methods on `SimpleSystemManagerResponse`, which moto finds by the action's name. moto has none of the
actions; drop this when it has them. Who may begin one is decided before, in `sandbox/iam/`.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from moto.core.responses import ActionResult
from moto.ssm.responses import SimpleSystemManagerResponse

from sandbox.clock import Clock
from sandbox.extensions.run_command import SsmError
from sandbox.iam.callers import Caller, caller_of
from sandbox.iam.services.ssm import DEFAULT_SESSION_DOCUMENT
from sandbox.iam.sessions import SESSIONS
from sandbox.locked_objects import put_locked
from sandbox.nodes import Nodes
from sandbox.parts import Parts, store

TAGS = "Tags"
"""Where a session keeps its tags, which Session Manager sets and policies ask for."""
_OF_AWS = "AWS-Start"
_NO_SHELL = "The embedded cloud has no shell: nothing was typed."


class NodeSessions:
    """The actions; a moto response object is the request."""

    def __init__(self, nodes: Nodes, clock: Clock) -> None:
        self.nodes, self.clock = nodes, clock

    def start_session(self, request: Any) -> ActionResult:
        """StartSession, on a node whose agent answers."""
        target, caller = request._get_param("Target"), _caller(request)
        node = self.nodes.get(target)
        if node is None or not node.is_online or node.machine.region != request.region:
            raise SsmError("TargetNotConnected", f"{target} is not connected.")
        document = request._get_param("DocumentName") or DEFAULT_SESSION_DOCUMENT
        _require_document(request, document)
        session_id = f"{_name(caller)}-{secrets.token_hex(9)[:17]}"
        _sessions(request)[session_id] = {
            "SessionId": session_id,
            "Target": target,
            "Status": "Connected",
            "StartDate": self.clock.now(),
            "DocumentName": document,
            "Owner": caller.principal.arn,
            "Reason": request._get_param("Reason") or "",
            TAGS: {"aws:ssmmessages:session-id": caller.user_id, "aws:ssmmessages:target-id": target},
        }
        stream = f"wss://ssmmessages.{request.region}.amazonaws.com/v1/data-channel/{session_id}"
        return ActionResult(
            {
                "SessionId": session_id,
                "TokenValue": secrets.token_urlsafe(96),
                "StreamUrl": f"{stream}?role=publish_subscribe",
            }
        )

    def terminate_session(self, request: Any) -> ActionResult:
        """TerminateSession; ending one that has ended does nothing."""
        session_id = request._get_param("SessionId")
        session = _sessions(request).get(session_id)
        if session is None:
            raise SsmError("DoesNotExistException", f"Session {session_id} does not exist")
        if session["Status"] != "Terminated":
            session |= {"Status": "Terminated", "EndDate": self.clock.now()}
            _write_transcript(request, session)
        return ActionResult({"SessionId": session_id})

    def describe_sessions(self, request: Any) -> ActionResult:
        """DescribeSessions: those that are active, or those that were; latest first."""
        active = request._get_param("State") == "Active"
        filters = {each["key"]: each["value"] for each in request._get_param("Filters", [])}
        found = [
            {name: value for name, value in session.items() if name != TAGS}
            for session in _sessions(request).values()
            if (session["Status"] != "Terminated") is active
            and all(session.get(key) == value for key, value in filters.items())
        ]
        return ActionResult({"Sessions": sorted(found, key=lambda each: each["StartDate"], reverse=True)})


def install(parts: Parts) -> None:
    """Give moto's responses class the actions."""
    sessions = NodeSessions(parts.nodes, parts.clock)
    SimpleSystemManagerResponse.start_session = lambda request: sessions.start_session(request)
    SimpleSystemManagerResponse.terminate_session = lambda request: sessions.terminate_session(request)
    SimpleSystemManagerResponse.describe_sessions = lambda request: sessions.describe_sessions(request)


def _sessions(request: Any) -> dict[str, Any]:
    return store(request.ssm_backend, "node_sessions")


def _caller(request: Any) -> Caller:
    key = request.get_access_key()
    session = SESSIONS.find(key)
    return caller_of(key, session.token if session else "")


def _name(caller: Caller) -> str:
    """Return what a session's id begins with: the user, or the session's name of an assumed role."""
    return caller.session.name if caller.session else caller.username or "root"


def _require_document(request: Any, name: str) -> None:
    """Refuse a document that does not exist or is not for sessions; AWS's own, and the default, exist."""
    bare = name.rsplit("/", 1)[-1] if name.startswith("arn:") else name
    if bare == DEFAULT_SESSION_DOCUMENT or bare.startswith(_OF_AWS):
        return
    documents = request.ssm_backend._get_documents(bare)  # raises InvalidDocument
    if documents.find().document_type != "Session":
        raise SsmError("InvalidDocument", f"{bare} is not a Session document")


def _write_transcript(request: Any, session: dict[str, Any]) -> None:
    """Write what the agent does at a session's end, where its document names a bucket; nothing was typed."""
    name = session["DocumentName"].rsplit("/", 1)[-1]
    if name == DEFAULT_SESSION_DOCUMENT or name.startswith(_OF_AWS):
        return
    content = request.ssm_backend._get_documents(name).find().content
    inputs = (json.loads(content) if isinstance(content, str) else content).get("inputs", {})
    if not inputs.get("s3BucketName"):
        return
    key = "/".join(each for each in (inputs.get("s3KeyPrefix"), f"{session['SessionId']}.log") if each)
    begun, ended = (f"{session[each]:%Y-%m-%d %H:%M:%S%z}" for each in ("StartDate", "EndDate"))
    text = f"Script started on {begun}\n{_NO_SHELL}\nScript done on {ended}\n"
    put_locked(request.current_account, request.partition, inputs["s3BucketName"], key, text.encode())
