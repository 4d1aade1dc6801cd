"""`fleetform enter`: a shell on one machine, on record."""

from __future__ import annotations

import sys

import click

from scripts.console_io import note
from scripts.options import cloud_option, environment_argument


@click.command()
@environment_argument
@click.argument("node")
@click.option("--reason", required=True, help="What for, in one line; the record has it, and AWS's.")
@click.option("--command", "typed", default="", help="Run this one line, show its output, and leave again.")
@cloud_option
def command(environment: str, node: str, reason: str, typed: str, cloud: str | None) -> int:
    """Open a shell on the machine NODE of ENVIRONMENT: its id, `head`, or its name in the queue.

    Who, when, why and how long is in the ledger; what is typed and shown is recorded in the account's locked
    bucket. With --command the exit code is the command's own.
    """
    from fleet.enter import enter
    from fleet.session import open_session

    def say(output: bytes) -> None:
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()

    stay = enter(open_session(environment, cloud), node, reason, command=typed, tell=note, say=say)
    if not typed:
        note(f"{stay.seconds:.0f} s in {stay.machine}, on record; the transcript: {stay.transcript}")
    return stay.exit_code
