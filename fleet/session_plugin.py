"""AWS's `session-manager-plugin`: the process that carries a session between this terminal and a machine.

It is handed a session as the AWS CLI hands it over: the answer of StartSession, which has the token that
opens the session, in a variable of its environment, and never in its arguments, which everybody on this
computer sees.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.cloud import Cloud
from stacks.problems import UserError

PLUGIN = "session-manager-plugin"
VARIABLE = "FLEETFORM_SESSION_PLUGIN"
"""The command of the plugin where it is not on the PATH under its own name, as a shell would read it."""
RESPONSE = "AWS_SSM_START_SESSION_RESPONSE"
_NEWER_THAN = (1, 2, 497, 0)
"""The last version that takes the answer of StartSession in its arguments alone (the AWS CLI's
`LAST_PLUGIN_VERSION_WITHOUT_ENV_VAR`)."""
_VERSION = re.compile(r"\d+(\.\d+){1,3}")
_VERSION_SECONDS = 30
_PIECE = 4096
_HOW = (
    "install AWS's Session Manager plugin (Debian and Ubuntu: session-manager-plugin.deb, others and macOS: "
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
    "session-manager-working-with-install-plugin.html)"
)
_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
"""Keys that are meant for the machine: the plugin has them too, and hands them on."""


class Carrier:
    """The plugin at work on one session."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Take the process; its standard input and output are pipes, or the terminal's."""
        self._process = process

    def wait(self) -> int:
        """Wait until it has ended and return its exit code."""
        return self._process.wait()

    def type(self, keys: bytes) -> None:
        """Type into the session; a plugin that has ended says why in its output."""
        assert self._process.stdin is not None, "it was started with pipes"
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(keys)

    def hear(self, seconds: float | None = None) -> bytes | None:
        """Return what the session says next, b"" at its end, None where it says nothing within that time."""
        assert self._process.stdout is not None, "it was started with pipes"
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return None
        return os.read(self._process.stdout.fileno(), _PIECE)

    def close(self) -> None:
        """End it, where it has not ended by itself."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass(frozen=True)
class Plugin:
    """The plugin on this computer."""

    command: tuple[str, ...]
    cloud: Cloud

    def start(
        self,
        started: Mapping[str, Any],
        target: str,
        region: str,
        endpoint: str,
        *,
        inherit: Sequence[int] = (),
        piped: bool = False,
    ) -> Carrier:
        """Start it on a session: `started` is what that region's endpoint answered to the request.

        It keeps the open files of `inherit`. `piped`: it gets its input from us and gives us its output, in
        place of the terminal.
        """
        answer = {name: started[name] for name in ("SessionId", "TokenValue", "StreamUrl")}
        kept = self.cloud.process_environment()
        # As the AWS CLI has it. "" is the profile: its variables tell. Of the request it reads the target.
        about = json.dumps({"Target": target})
        words = [*self.command, RESPONSE, region, "StartSession", "", about, endpoint]
        pipe = subprocess.PIPE if piped else None
        return Carrier(
            subprocess.Popen(
                words,
                env={**kept, RESPONSE: json.dumps(answer)},
                stdin=pipe,
                stdout=pipe,
                pass_fds=list(inherit),
                bufsize=0,
            )
        )


def find_plugin(cloud: Cloud) -> Plugin:
    """Return the plugin; UserError with what to install where there is none, or one that is too old."""
    command = tuple(shlex.split(cloud.process_environment().get(VARIABLE) or PLUGIN))
    if not command or shutil.which(command[0]) is None:
        what = f"{' '.join(command) or VARIABLE} is not on this computer's PATH"
        raise UserError.of(what, _HOW, path=PLUGIN)
    version = _version(command, cloud)
    if version <= _NEWER_THAN:
        known, least = (".".join(map(str, each)) for each in (version, _NEWER_THAN))
        what = f"is version {known or 'unknown'}: up to {least} it shows a session's token to everybody here"
        raise UserError.of(what, _HOW, path=command[0])
    return Plugin(command, cloud)


@contextlib.contextmanager
def keys_for_the_machine() -> Iterator[None]:
    """Leave ctrl-C, ctrl-\\ and ctrl-Z to the plugin while the block runs."""

    def leave(*_: object) -> None:
        """Do nothing; unlike an ignored signal, one that is handled is not ignored by the plugin too."""

    before = {number: signal.signal(number, leave) for number in _OF_THE_TERMINAL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _version(command: Sequence[str], cloud: Cloud) -> tuple[int, ...]:
    """Return the version that it tells, () where it tells none."""
    try:
        said = subprocess.run(
            [*command, "--version"],
            env=cloud.process_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = _VERSION.search(said)
    return tuple(map(int, found[0].split("."))) if found else ()
