"""Options that several verbs of `fleetform audit` share: from when, until when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

FIRST, LAST = datetime(2013, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
Command = TypeVar("Command", bound=Callable[..., Any])


def since_option(text: str) -> Callable[[Command], Command]:
    """Return what adds `--since TIME` with that help."""
    return click.option("--since", type=_MOMENT, help=text)


def until_option(command: Command) -> Command:
    """Add `--until TIME`."""
    return click.option("--until", type=_MOMENT, help="End, in UTC. [default: now]")(command)


def utc(time: datetime | None) -> datetime | None:
    """Return the time in UTC, within the years in which there can be a record at all."""
    return min(max(time.replace(tzinfo=UTC), FIRST), LAST) if time else None
