"""`fleetform sandbox fault`: put faults in force in the embedded cloud, list them, withdraw them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from scripts.console_io import emit_json, say, table
from scripts.options import json_option

if TYPE_CHECKING:
    from pathlib import Path


@click.group("fault")
def command() -> None:
    """Let calls fail, wait, lose their answer or their caller; take machines away, fill their disks.

    \b
      fleetform sandbox fault set throttling --service ec2 --probability 0.2 --seed 7
      fleetform sandbox fault set cut --service ec2 --action CreateVpc --after --count 1
      fleetform sandbox fault set kill --service s3 --action PutObject --caller command --skip 3 --count 1
      fleetform sandbox fault set interruption --machine i-0123456789abcdef0 --notice 30
    """


_OPTIONS = (
    click.option("--service", metavar="NAME", help="Calls of this service: `ec2`, `s3`. [default: all]"),
    click.option("--action", metavar="NAME", help="Calls of this action: `PutObject`, `Delete*`."),
    click.option("--resource", metavar="TEXT", help="Calls with this in their bucket, key or parameters."),
    click.option("--caller", metavar="WHO", help="Calls by `command`, `terraform` or `role` (machines)."),
    click.option("--count", type=int, metavar="N", help="How many calls it hits. [default: no end]"),
    click.option("--skip", type=int, metavar="N", help="How many such calls pass first. [default: 0]"),
    click.option("--probability", type=float, metavar="P", help="Share of such calls that it hits."),
    click.option("--seed", type=int, metavar="N", help="What that share is drawn from. [default: 0]"),
    click.option("--delay", "delay_s", type=float, metavar="SECONDS", help="Let a hit call wait first."),
    click.option("--after", is_flag=True, default=None, help="Make the call first: only its answer is lost."),
    click.option("--code", metavar="CODE", help="The error's code. [default: the kind's]"),
    click.option("--status", type=int, metavar="HTTP", help="The error's HTTP status. [default: the kind's]"),
    click.option("--message", metavar="TEXT", help="The error's message. [default: the kind's]"),
    click.option("--cut", is_flag=True, default=None, help="Close the connection without an answer."),
    click.option("--kill", metavar="WHAT", help="Kill the `process` that called, or its `group`."),
    click.option("--machine", metavar="NAME", help="The machine to hit: an instance's id, `gpu-1`, `head`."),
    click.option("--environment", metavar="NAME", help="The machine's environment, if not named by id."),
    click.option("--notice", "notice_s", type=float, metavar="SECONDS", help="What an interruption gives."),
)
"""The fields of a rule, by what docs/faults.md calls them."""


def _rule_options(function: Callable[..., int]) -> Callable[..., int]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@command.command("set")
@click.argument("kind", required=False, default="")
@_rule_options
@json_option
def set_fault(kind: str, as_json: bool, **asked: Any) -> int:
    """Put a fault of this KIND in force; without one, give a --code, a --delay, --cut or --kill.

    Kinds of calls: throttling, server-error, no-capacity, dependency-violation, slow, cut, kill. Of machines:
    interruption, power-loss, disk-full.
    """
    from sandbox import daemon

    rule = {name: value for name, value in asked.items() if value is not None}
    with _refusals_told():
        *_, made = daemon.faults(_home(), "POST", {**({"kind": kind} if kind else {}), **rule})
    if as_json:
        emit_json(made)
    else:
        say(f"fault {made['id']} is in force: {_about(made)}")
    return 0


@command.command("list")
@json_option
def list_faults(as_json: bool) -> int:
    """List the faults in force, and how often each has hit."""
    from sandbox import daemon

    with _refusals_told():
        found = daemon.faults(_home())
    if as_json:
        emit_json(found)
    elif found:
        rows = [(each["id"], _about(each), each["hits"], _left(each)) for each in found]
        say(table(("number", "fault", "hits", "left"), rows, right=(0, 2, 3)))
    else:
        say("no fault is in force")
    return 0


@command.command("clear")
@click.argument("numbers", type=int, nargs=-1)
def clear_faults(numbers: tuple[int, ...]) -> int:
    """Withdraw the faults with these NUMBERS, or all; a disk that was full has room again."""
    from sandbox import daemon

    with _refusals_told():
        for number in numbers:
            daemon.faults(_home(), "DELETE", {"id": number})
        if not numbers:
            daemon.faults(_home(), "DELETE")
    say(f"withdrawn: {', '.join(map(str, numbers))}" if numbers else "all faults are withdrawn")
    return 0


def _about(rule: dict[str, Any]) -> str:
    """Return what a rule does to what, in a line."""
    what = [rule["kind"] or rule["code"] or "slow"]
    if rule["machine"]:
        return " ".join([*what, f"of {rule['machine']}"])
    calls = "every call" if rule["service"] == "*" else f"{rule['service']}:{rule['action']}"
    who = "" if rule["caller"] == "*" else f"by {rule['caller']}"
    where = f"about {rule['resource']}" if rule["resource"] else ""
    share = f"({rule['probability']:.0%})" if rule["probability"] < 1 else ""
    moment = "after" if rule["after"] else "at"
    return " ".join(filter(None, [*what, moment, calls, who, where, share]))


def _left(rule: dict[str, Any]) -> str:
    """Return how many calls a rule will still hit."""
    return "no end" if rule["count"] is None else str(rule["count"] - rule["hits"])


def _home() -> Path:
    from fleet.project import find_folder

    return find_folder().home


@contextmanager
def _refusals_told() -> Iterator[None]:
    """Say what is wrong with a fault as every mistake of a user's is said, anything else as a failure."""
    from fleet.errors import ActError
    from sandbox.daemon import SandboxError
    from stacks.problems import Problem, UserError

    try:
        yield
    except SandboxError as error:
        if not error.problems:
            raise ActError(str(error)) from error
        paths = {"delay_s": "--delay", "notice_s": "--notice", "kind": "KIND"}
        raise UserError(
            Problem(what=each["what"], do=each["do"], path=paths.get(each["path"], f"--{each['path']}"))
            for each in error.problems
        ) from error
