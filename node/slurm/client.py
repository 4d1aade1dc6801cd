"""Asks the clerk on this head node for something; the standard library alone, so that it starts at once."""

from __future__ import annotations

import json
import os
import socket
import sys
import time

_AWAY_SECONDS = 30.0
"""How long a clerk that is being started again is waited for."""
_PAUSE = 0.1
_ANSWER_SECONDS = 120.0
EXIT_UNHEARD = 75
"""Of a program that nobody has answered: the same may go well a little later. A refusal is 1."""


class NoAnswerError(Exception):
    """The clerk is away for longer than it takes to start; one line."""


def clerk_socket() -> str:
    """Return the path of the clerk's socket."""
    run = os.environ.get("FLEETFORM_RUN") or f"{os.environ.get('FLEETFORM_ROOT') or ''}/run/fleetform"
    return f"{run}/clerk.sock"


def ask(act: str, run_id: str, team: str) -> tuple[bool, str]:
    """Return whether the clerk has done it, and its sentence. Raises NoAnswerError.

    A request whose answer was lost is made again: each may be made twice.
    """
    line = json.dumps({"act": act, "run_id": run_id, "team": team}).encode() + b"\n"
    deadline = time.monotonic() + _AWAY_SECONDS
    while True:
        try:
            told = json.loads(_exchange(line))
            return bool(told["ok"]), str(told["message"])
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline:
                raise NoAnswerError(f"the clerk on the head node does not answer: {error}") from error
            time.sleep(_PAUSE)


def _exchange(line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(clerk_socket())
        connection.sendall(line)
        with connection.makefile("rb") as answers:
            return answers.readline()


def order(act: str, run_id: str, team: str) -> int:
    """Ask the clerk, print what comes of it and return the exit code for it."""
    try:
        return say(ask(act, run_id, team))
    except NoAnswerError as error:
        print(error, file=sys.stderr)
        return EXIT_UNHEARD


def say(answer: tuple[bool, str]) -> int:
    """Print the clerk's sentence, a refusal on standard error, and return the exit code for it."""
    ok, message = answer
    print(message, file=sys.stdout if ok else sys.stderr)
    return 0 if ok else 1
