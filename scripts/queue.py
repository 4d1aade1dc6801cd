"""`fleetform queue`: what waits and what runs on an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from scripts.console_io import emit_json, note, say, table, warn
from scripts.options import cloud_option, environment_argument, json_option

_SHOWN_NODES = 3
_OLD_SECONDS = 180.0
"""The queue is published every minute at least."""


@click.command()
@environment_argument
@click.option("--team", default="", metavar="NAME", help="This team's runs only. [default: all]")
@json_option
@cloud_option
def command(environment: str, team: str, as_json: bool, cloud: str | None) -> int:
    """Show the runs of ENVIRONMENT that wait and that are carried out, and what each waits for."""
    from fleet.clock import seconds_since
    from fleet.queue import WAITING, look_at_queue
    from fleet.session import open_session

    session = open_session(environment, cloud)
    found = look_at_queue(session, team)
    if as_json:
        emit_json(found.to_dict())
        return 0
    if found.time is None:
        say(f"the head node of {environment} has not published its queue yet")
        return 0
    if seconds_since(found.time) > _OLD_SECONDS:
        old = f"this is the queue of {_ago(found.time)} ago ({found.time[:16].replace('T', ' ')} UTC)"
        warn(f"{old}: the head node of {environment} has published none since")
    if not found.jobs:
        say(f"no runs wait or run in {environment}" + (f" for the team {team}" if team else ""))
        return 0
    headers = ("#", "run", "team", "state", "nodes", "GPUs", "priority", "since", "limit", "on, or why not")
    # An array is there as such, too, with what all its tasks come to.
    jobs = [job for job in found.jobs if "tasks" not in job]
    say(table(headers, [_row(job) for job in jobs], right=(0, 4, 5, 7, 8)))
    waiting = sum(job["state"] in WAITING for job in jobs)
    note(f"{len(jobs) - waiting} run, {waiting} wait; as of {found.time[11:19]} UTC")
    return 0


def _row(job: Mapping[str, Any]) -> tuple[object, ...]:
    names = list(job.get("node_names") or ())
    more = f" and {len(names) - _SHOWN_NODES} more" if len(names) > _SHOWN_NODES else ""
    where = ", ".join(names[:_SHOWN_NODES]) + more
    return (
        job.get("position") or "",
        job["run_id"],
        job.get("team") or "-",
        job["state"],
        job["nodes"],
        job["gpus"],
        job["priority"],
        _ago(job.get("started") or job["submitted"]),
        _limit(job.get("limit_minutes")),
        where or job.get("reason") or "",
    )


def _ago(moment: str) -> str:
    from fleet.clock import seconds_since
    from scripts.run_output import duration

    return duration(max(0.0, seconds_since(moment)))


def _limit(minutes: int | None) -> str:
    if minutes is None:
        return "-"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
