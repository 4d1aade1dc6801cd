"""One command in a session's shell, with nobody at a terminal: typed, heard, and its exit code told."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Callable

from fleet.errors import ActError
from fleet.session_plugin import Carrier
from stacks.problems import Problem
from templates.engine import render
from templates.enter_texts import TypedCommand

MOST_BYTES = 2000
"""Of a command: with what stands around it, in base64, a terminal's line has 4095 bytes at most."""
BEGIN_SECONDS = 60.0
"""How long a shell may take from the session's start until it begins with the command."""
_LEAVE_SECONDS = 10.0
_TAIL = 500


def problems_of(command: str) -> list[Problem]:
    """Return what is wrong with a command that somebody wants to run."""
    if len(command.encode()) > MOST_BYTES:
        what = f"is {len(command.encode())} bytes long, and {MOST_BYTES} fit into one line of a terminal"
        return [Problem(path="--command", what=what, do="put it into a script and call that")]
    if not command.isprintable():
        what = "has a line break or a control character in it"
        return [Problem(path="--command", what=what, do="write it as one line, its parts joined by ;")]
    return []


def run_typed(carrier: Carrier, command: str, say: Callable[[bytes], object]) -> int:
    """Run the command in the shell behind the plugin, hand its output on as it comes, return its exit code.

    The plugin was started with pipes. Raises ActError where the
    session ends before the command, or the shell does not begin with it.
    """
    mark = secrets.token_hex(8)
    text = render(TypedCommand(encoded=base64.b64encode(command.encode()).decode(), mark=mark))
    carrier.type(text.encode())
    code = _hear(carrier, mark, say)
    _await_end(carrier)
    return code


def _hear(carrier: Carrier, mark: str, say: Callable[[bytes], object]) -> int:
    """Hand on what stands between the marks, and return the exit code that the last one has."""
    begin, end = f"{mark}-begin\n".encode(), re.compile(rf"{mark}-end-(\d+)\n".encode())
    held_back = len(mark) + len("-end-255\r\n")
    heard, begun = b"", False
    deadline = time.monotonic() + BEGIN_SECONDS
    while True:
        piece = carrier.hear(None if begun else max(0.0, deadline - time.monotonic()))
        if piece is None:
            raise ActError(f"the shell did not begin within {BEGIN_SECONDS:.0f} s{_said(heard)}")
        if not piece:
            raise ActError(f"the session ended before the command had{_said(heard)}")
        heard = (heard + piece).replace(b"\r\n", b"\n")
        if not begun and begin in heard:
            begun, heard = True, heard.partition(begin)[2]
        if not begun:
            continue
        if found := end.search(heard):
            say(heard[: found.start()])
            return int(found[1])
        say(heard[:-held_back])
        heard = heard[-held_back:]


def _said(heard: bytes) -> str:
    """Return the end of what came instead, as a part of a sentence."""
    text = " ".join(heard[-_TAIL:].decode(errors="replace").split())
    return f"; it said: {text}" if text else ""


def _await_end(carrier: Carrier) -> None:
    """Hear the rest, until the shell has left or has taken too long for it."""
    deadline = time.monotonic() + _LEAVE_SECONDS
    while carrier.hear(max(0.0, deadline - time.monotonic())):
        pass
