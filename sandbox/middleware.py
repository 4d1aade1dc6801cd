"""The layer around moto: a log of every call, faults, and a clear refusal of what moto cannot do.

moto's stores are plain dictionaries that it reads and changes in several steps, so calls are answered one
after the other: two conditional writes of one object cannot both win, and no listing breaks because
something is added meanwhile. Python runs one thread at a time anyway; bodies are received and answers
sent outside of that.

moto answers an action that it lacks with HTTP 500, and clients try a 500 again for minutes. Here it is
HTTP 400 `SandboxNotImplemented`, which ends a plan in seconds and names the call; the gap is listed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from werkzeug.exceptions import ClientDisconnected
from werkzeug.wrappers import Request, Response

from sandbox.callers import end_caller, hang_up
from sandbox.calls import Call, read_call
from sandbox.clock import Clock
from sandbox.errors import WsgiApp, error_response
from sandbox.fault_kinds import RuleError, read_rule
from sandbox.faults import Fault, Faults
from sandbox.iam.decisions import DECISIONS
from sandbox.iam.enforcement import Authority
from sandbox.iam.sessions import SESSIONS
from sandbox.witness import Witness

ADMIN_PATH = "/_sandbox/"
_LOG_LENGTH = 5000
_NO_ANSWER = 0
"""The status of a call in the log whose connection was cut."""


@dataclass(frozen=True)
class Logged:
    """One call as it went."""

    service: str
    region: str
    action: str
    status: int
    seconds: float
    about: str
    """The start of what the call was about."""


class Middleware:
    """A WSGI application that passes calls on to moto, and answers `/_sandbox/` itself."""

    def __init__(self, app: WsgiApp) -> None:
        self.app = app
        self.faults = Faults()
        self.authority = Authority()
        self.clock = Clock()
        self.metadata: Callable[[Request], Response] | None = None
        """Answers the emulated nodes' questions for their metadata."""
        self.pages: dict[tuple[str, str], Callable[[bytes], object]] = {}
        """Pages of `/_sandbox/` that others add: method and name -> from the body to what is sent as JSON."""
        self.witnesses: list[Witness] = []
        """Who is told of each call; others add themselves."""
        self._log: deque[Logged] = deque(maxlen=_LOG_LENGTH)
        self._gaps: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.turn = threading.Lock()
        """Held while moto answers."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO", "").startswith(ADMIN_PATH):
            return self._administer(Request(environ))(environ, start_response)
        began = time.monotonic()
        try:
            call = read_call(environ)
        except ClientDisconnected as gone:
            return gone.get_response()(environ, start_response)
        fault = self.faults.strike(call)
        response = self._pass_on(call, environ) if fault is None else self._struck(fault, call, environ)
        self._note(call, began, response.status_code if response else _NO_ANSWER)
        if response is None:
            raise hang_up(environ)
        response.headers.pop("Date", None)  # the server writes one, by the cloud's own clock
        return response(environ, start_response)

    def _struck(self, fault: Fault, call: Call, environ: dict[str, Any]) -> Response | None:
        """Let the fault hit the call; return its answer, None where it gets none."""
        time.sleep(fault.delay_s)
        refusal = fault.refusal(call.service)
        response = None
        if fault.after or not (refusal or fault.breaks):
            response = self._pass_on(call, environ)
        try:
            self.faults.act(fault)
        except ValueError as error:
            print(f"the fault {fault.id} could not do its work: {error}", file=sys.stderr)
        if fault.kill:
            fault.killed += end_caller(environ, group=fault.kill == "group")
        if fault.breaks:
            return None
        return error_response(call, *refusal) if refusal else response

    def _note(self, call: Call, began: float, status: int) -> None:
        """Write a call that was answered, or whose connection was cut, into the log."""
        seconds, about = round(time.monotonic() - began, 4), call.text[:200]
        with self._lock:
            self._log.append(Logged(call.service, call.region, call.action, status, seconds, about))

    def _pass_on(self, call: Call, environ: dict[str, Any]) -> Response:
        """Let moto answer whom the policies allow it; what it cannot do is a client's error that says so."""
        try:
            with self.turn:
                response = self._answer(call, environ)
        except NotImplementedError:
            return self._gap(call)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            return self._gap(call, f"{type(error).__name__}: {error}")
        # A REST service without a route for the action answers with its web framework's page.
        if (
            response.status_code in (404, 405, 501)
            and response.mimetype == "text/html"
            and call.service != "s3"
        ):
            return self._gap(call)
        return response

    def _answer(self, call: Call, environ: dict[str, Any]) -> Response:
        """Return moto's answer, or the refusal of a call that is not allowed."""
        for witness in self.witnesses:
            witness.asked()
        response = self._answer_allowed(call, environ)
        for witness in self.witnesses:
            witness.answered(environ, call, response)
        return response

    def _answer_allowed(self, call: Call, environ: dict[str, Any]) -> Response:
        refusal = self.authority.refuse(environ, call)
        if refusal is None:
            response = Response.from_app(self.app, environ, buffered=True)
            if response.status_code != HTTPStatus.NOT_FOUND:
                return response
            refusal = self.authority.refuse_missing(environ, call)
            if refusal is None:
                return response
        return error_response(call, refusal.code, refusal.message, refusal.status)

    def _gap(self, call: Call, why: str = "") -> Response:
        name = f"{call.service or 'unsigned'}:{call.action or call.text[:80]}"
        with self._lock:
            self._gaps[name] += 1
        if why:
            return error_response(call, "SandboxError", f"the embedded cloud failed on {name}: {why}")
        return error_response(call, "SandboxNotImplemented", f"the embedded cloud does not have {name}")

    def _administer(self, request: Request) -> Response:
        """Answer `GET` of status, calls and decisions, `POST expire`, and what is asked of faults."""
        what = request.path.removeprefix(ADMIN_PATH)
        if what.startswith("metadata/") and self.metadata is not None:
            return self.metadata(request)
        if (request.method, what) == ("GET", "status"):
            with self._lock:
                return _json(
                    {"calls": len(self._log), "gaps": dict(self._gaps), "faults": self.faults.describe()}
                )
        if (request.method, what) == ("GET", "calls"):
            with self._lock:
                return _json([asdict(logged) for logged in self._log])
        if (request.method, what) == ("GET", "decisions"):
            return _json(DECISIONS.shown())
        if (request.method, what) == ("POST", "expire"):
            return _json({"expired": SESSIONS.expire(str(json.loads(request.get_data())["access_key"]))})
        if what == "faults":
            return self._administer_faults(request)
        if page := self.pages.get((request.method, what)):
            try:
                return _json(page(request.get_data()))
            except (KeyError, TypeError, ValueError) as error:
                return _json({"error": f"{type(error).__name__}: {error}"}, status=400)
        return _json({"error": f"no {request.method} {request.path}"}, status=404)

    def _administer_faults(self, request: Request) -> Response:
        """Answer `GET`, `POST` of a rule, and `DELETE` of one (`{"id": 3}`) or of all."""
        try:
            body = json.loads(request.get_data() or b"null")
            if request.method == "POST":
                self.faults.add(read_rule(body))
            elif request.method == "DELETE":
                self.faults.clear(int(body["id"]) if body else None)
        except RuleError as error:
            return _json(error.to_dict(), status=400)
        except (KeyError, TypeError, ValueError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, status=400)
        return _json(self.faults.describe())


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value, indent=2) + "\n", status=status, content_type="application/json")
