"""Where clients reach the sessions' shells: WebSocket on a loopback port, opened for the first one."""

from __future__ import annotations

import contextlib
import hmac
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

from sandbox.shells.channel import Channel
from sandbox.shells.frames import TEXT, GoneError, accept_key, read_message
from sandbox.shells.shell import Shell
from sandbox.variables import LOOPBACK

_PATH = "/v1/data-channel/"
"""As the service has it."""


@dataclass(frozen=True)
class Ticket:
    """What admits one client to one session."""

    session_id: str
    token: str
    open_shell: Callable[[], Shell]
    """Starts the session's shell, or returns the one that goes on."""


class Door:
    """The port, and who is admitted."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self._server: ThreadingHTTPServer | None = None

    def admit(self, ticket: Ticket) -> str:
        """Admit whoever brings the session's token, and return the URL of its data channel."""
        self._tickets[ticket.session_id] = ticket
        if self._server is None:
            self._server = ThreadingHTTPServer((LOOPBACK, 0), self._handler())
            self._server.daemon_threads = True
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        path = f"{_PATH}{quote(ticket.session_id, safe='')}"
        return f"ws://{LOOPBACK}:{self._server.server_port}{path}?role=publish_subscribe"

    def close(self, session_id: str) -> None:
        """Admit nobody to the session any more."""
        self._tickets.pop(session_id, None)

    def ticket(self, path: str, token: str) -> Ticket | None:
        """Return what the token admits to at that path, None where that is nothing."""
        found = self._tickets.get(unquote(urlsplit(path).path.removeprefix(_PATH)))
        return found if found is not None and hmac.compare_digest(found.token, token) else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        door = self

        class Handler(BaseHTTPRequestHandler):
            """One client."""

            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Open the channel and carry the session over it."""
                _serve(self, door)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing: a path has a session's id in it."""

        return Handler


def _serve(handler: BaseHTTPRequestHandler, door: Door) -> None:
    key = handler.headers.get("Sec-WebSocket-Key", "")
    if handler.headers.get("Upgrade", "").lower() != "websocket" or not key:
        handler.send_error(HTTPStatus.UPGRADE_REQUIRED)
        return
    handler.close_connection = True
    handler.send_response_only(HTTPStatus.SWITCHING_PROTOCOLS)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    handler.send_header("Sec-WebSocket-Accept", accept_key(key))
    handler.end_headers()
    handler.wfile.flush()
    try:
        kind, content = read_message(handler.rfile)
        token = str(json.loads(content)["TokenValue"]) if kind == TEXT else ""
    except (GoneError, ValueError, KeyError, TypeError):
        return
    ticket = door.ticket(handler.path, token)
    if ticket is None:
        return

    def send(data: bytes) -> None:
        with contextlib.suppress(OSError):
            handler.connection.sendall(data)

    Channel(ticket.session_id, handler.rfile, send, ticket.open_shell).serve()
