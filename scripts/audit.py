"""`fleetform audit`: read, verify and export the record, and tell who entered a machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from scripts.audit_entry import entry
from scripts.audit_log import log
from scripts.audit_options import since_option, until_option, utc
from scripts.audit_pack import export, pack
from scripts.audit_verify import UNEXPLAINED, verify
from scripts.console_io import emit_json, say, table
from scripts.options import cloud_option, environment_argument, json_option

if TYPE_CHECKING:
    from fleet.entered import Timeline
    from fleet.trail_digests import TrailReport

ENTERED_FORMAT = "fleetform-entered/1"
_TRAIL_DAYS = 7


@click.group()
def command() -> None:
    """Read, verify and export the record: who did what, to what, how it ended, and who entered a machine."""


command.add_command(entry)
command.add_command(export)
command.add_command(log)
command.add_command(pack)
command.add_command(verify)


@command.command()
@environment_argument
@click.argument("instance")
@since_option("Begin, in UTC. [default: when the machine was started]")
@until_option
@json_option
@cloud_option
def entered(
    environment: str,
    instance: str,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
    cloud: str | None,
) -> int:
    """Tell who entered the machine INSTANCE of ENVIRONMENT, how, and what is recorded of it.

    Exit code 4 where somebody has something to explain.
    """
    from dataclasses import asdict

    from fleet.entered import entered as look
    from fleet.session import open_session

    timeline = look(open_session(environment, cloud), instance, utc(since), utc(until))
    if as_json:
        emit_json({"format": ENTERED_FORMAT, **asdict(timeline)})
    else:
        for line in _lines(timeline):
            say(line)
    return UNEXPLAINED if timeline.findings else 0


@command.command()
@since_option(f"Begin, in UTC. [default: {_TRAIL_DAYS} days before the end]")
@until_option
@json_option
@cloud_option
def trail(since: datetime | None, until: datetime | None, as_json: bool, cloud: str | None) -> int:
    """Check CloudTrail's files by its signed digests; exit code 1 unless all of them are sound."""
    from fleet.session import open_account
    from fleet.trail_digests import verify_trail

    end = utc(until) or datetime.now(UTC)
    report = verify_trail(open_account(cloud), utc(since) or end - timedelta(days=_TRAIL_DAYS), end)
    _show_trail(report, as_json)
    return 0 if report.sound else 1


def _lines(timeline: Timeline) -> Iterator[str]:
    rows = [
        (
            f"{row.time:%Y-%m-%d %H:%M:%S}Z",
            f"{row.ended:%H:%M:%S}Z" if row.ended else "",
            row.person or row.who.rpartition(":")[2],
            row.what,
            row.reason,
            f"refused ({row.error})" if row.error else row.completeness,
            row.evidence[0],
        )
        for row in timeline.rows
    ]
    headers = ("time (UTC)", "ended", "who", "what", "reason", "content", "evidence")
    yield table(headers, [tuple(map(_printable, row)) for row in rows])
    yield from (f"to explain: {_printable(each)}" for each in timeline.findings)
    yield from (f"not known: {_printable(each)}" for each in timeline.gaps)


def _printable(text: str) -> str:
    """Return a text that somebody else chose without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _show_trail(report: TrailReport, as_json: bool) -> None:
    reach: Mapping[str, datetime] = report.reach
    if as_json:
        emit_json(
            {
                "intact": len(report.intact),
                "waiting": len(report.waiting),
                "findings": [vars(each) for each in report.findings],
                "reach": {region: time.isoformat() for region, time in reach.items()},
                "unchecked": report.unchecked,
            }
        )
        return
    for finding in report.findings:
        say(_printable(str(finding)))
    for text in report.unchecked:
        say(f"not checked: {_printable(text)}")
    for region, time in reach.items():
        say(f"{region}: signed digests reach to {time:%Y-%m-%d %H:%M:%S}Z")
    found = f"NOT sound, {len(report.findings)} findings" if report.findings else "not all was checked"
    counted = f"{len(report.intact)} files borne out, {len(report.waiting)} too new for a digest"
    say(f"{counted}: {'sound' if report.sound else found}")
