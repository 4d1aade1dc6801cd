"""What the embedded cloud has for AWS's `session-manager-plugin`: called as that is, for its shells alone.

https://github.com/aws/session-manager-plugin: the answer of StartSession in a variable of the environment
that the first argument names, then region, operation, profile, the request, and the endpoint. The real one
works here as well, wherever it is installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from types import FrameType

from sandbox.shells.client import Client
from sandbox.shells.frames import GoneError

VERSION = "1.2.764.0"
"""Of the real one that it is like."""
_RESPONSE = "AWS_SSM_START_SESSION_RESPONSE"
_PIECE = 1024
_KEYS = {signal.SIGINT: b"\x03", signal.SIGQUIT: b"\x1c", signal.SIGTSTP: b"\x1a"}
"""What a signal of the own terminal is typed as in the session's."""
_STANDARD_INPUT, _STANDARD_OUTPUT = 0, 1


def main(arguments: list[str]) -> int:
    """Carry one session between this terminal and the machine's; return 0, and 1 where it breaks off."""
    if arguments == ["--version"]:
        print(VERSION)
        return 0
    if not arguments or not arguments[0].startswith(_RESPONSE):
        print("call it as session-manager-plugin is called", file=sys.stderr)
        return 1
    started = json.loads(os.environ.pop(arguments[0]))
    print(f"\nsession {started['SessionId']}", flush=True)
    try:
        client = Client(started["StreamUrl"], started["TokenValue"])
        with _own_terminal():
            why = _carry(client)
    except (GoneError, OSError) as error:
        print(f"\nsession {started['SessionId']} broke off: {error}", flush=True)
        return 1
    print(f"\nsession {started['SessionId']} has ended{': ' if why else ''}{why}", flush=True)
    return 0


def _carry(client: Client) -> str:
    """Type what is typed here there, and show here what it says; return why it has ended."""

    def pass_on(number: int, _: FrameType | None) -> None:
        threading.Thread(target=client.type, args=[_KEYS[signal.Signals(number)]], daemon=True).start()

    def tell_size(*_: object) -> None:
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(_STANDARD_OUTPUT)
            threading.Thread(target=client.resize, args=[size.columns, size.lines], daemon=True).start()

    for number in _KEYS:
        signal.signal(number, pass_on)
    signal.signal(signal.SIGWINCH, tell_size)
    threading.Thread(target=_type, args=[client, tell_size], daemon=True).start()
    return client.listen(_show)


def _type(client: Client, tell_size: Callable[[], None]) -> None:
    """Type what comes from here; its end ends this program, as it ends the real one."""
    client.ready.wait()
    tell_size()
    while keys := os.read(_STANDARD_INPUT, _PIECE):
        client.type(keys)
    client.close()
    os._exit(0)


def _show(said: bytes) -> None:
    while said:
        said = said[os.write(_STANDARD_OUTPUT, said) :]


@contextlib.contextmanager
def _own_terminal() -> Iterator[None]:
    """Hand on each key as it is pressed, and show none: the machine's terminal does; restored at the end."""
    if not os.isatty(_STANDARD_INPUT):
        yield
        return
    before = termios.tcgetattr(_STANDARD_INPUT)
    tty.setcbreak(_STANDARD_INPUT, termios.TCSADRAIN)  # what was typed ahead stays
    try:
        yield
    finally:
        termios.tcsetattr(_STANDARD_INPUT, termios.TCSADRAIN, before)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
