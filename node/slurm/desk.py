"""The clerk's desk: a unix socket that only root can open, one request and one answer a connection."""

from __future__ import annotations

import contextlib
import json
import socketserver
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LONGEST = 4096
_SECONDS = 20.0
"""How long whoever comes has to say what it wants."""

Handle = Callable[[str, str, str], tuple[bool, str]]
"""Takes what to do, the run and the team; returns whether it was done, and a sentence."""


class Desk(socketserver.ThreadingUnixStreamServer):
    """Answers requests: `{"act", "run_id", "team"}` -> `{"ok", "message"}`, each a line of JSON."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path, handle: Handle) -> None:
        """Open the desk at that path."""
        self.handle = handle
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Visit)
        path.chmod(0o600)


class _Visit(socketserver.StreamRequestHandler):
    """One connection."""

    timeout = _SECONDS

    def handle(self) -> None:
        """Answer it; one that says nothing, or no request, gets a refusal."""
        try:
            told: Any = json.loads(self.rfile.readline(_LONGEST))
            act, run_id, team = (str(told[name]) for name in ("act", "run_id", "team"))
        except (OSError, ValueError, KeyError, TypeError):
            with contextlib.suppress(OSError):  # it may have gone
                self._answer(ok=False, message="that is no request")
            return
        assert isinstance(self.server, Desk)
        try:
            ok, message = self.server.handle(act, run_id, team)
        except Exception as error:  # whoever asked must hear of it, and the next one be served
            traceback.print_exc()
            ok, message = False, f"the clerk failed: {error or type(error).__name__}"
        with contextlib.suppress(OSError):
            self._answer(ok=ok, message=message)

    def _answer(self, *, ok: bool, message: str) -> None:
        self.wfile.write(json.dumps({"ok": ok, "message": message}).encode() + b"\n")
