"""Options and arguments that several verbs share, each defined once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def environment_argument(command: Command) -> Command:
    """Add the argument ENVIRONMENT: the name of a file in environments/, without its `.toml`."""
    return click.argument("environment")(command)


def cloud_option(command: Command) -> Command:
    """Add `--cloud NAME`; see fleet/cloud.py for what is used without it."""
    return click.option(
        "--cloud",
        metavar="NAME",
        default=None,
        help="The cloud to act on: `aws`, `sandbox`. [default: the project's choice, else aws]",
    )(command)


def json_option(command: Command) -> Command:
    """Add `--json`: the answer as data."""
    return click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")(command)


def yes_option(command: Command) -> Command:
    """Add `--yes`: do not ask."""
    return click.option("--yes", "-y", is_flag=True, help="Act without asking.")(command)


def machines_options(command: Command) -> Command:
    """Add `--wait SECONDS` and `--anyway REASON`, of a verb that builds machines or ends some."""
    wait = click.option(
        "--wait",
        default=None,
        type=click.FloatRange(min=0),
        help="Seconds to wait for the machines; 0: none.",
    )
    anyway = click.option(
        "--anyway", metavar="REASON", help="End nodes even while a run is on them; the reason is recorded."
    )
    return wait(anyway(command))
