"""`fleetform audit`: read, verify and export the record, and tell who entered a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from scripts.audit_entry import entry
from scripts.audit_pack import export, pack, show_report
from scripts.console_io import emit_json, say, table
from scripts.options import cloud_option, environment_argument, json_option

if TYPE_CHECKING:
    from fleet.entered import Timeline
    from fleet.ledger import Ledger
    from fleet.trail_digests import TrailReport

UNEXPLAINED = 4
"""Exit code of a look that found what somebody has to do something about, as with `drift`."""
ENTERED_FORMAT = "fleetform-entered/1"
_TRAIL_DAYS = 7
_FIRST, _LAST = datetime(2013, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Command = TypeVar("Command", bound=Callable[..., Any])


def _since_option(text: str) -> Callable[[Command], Command]:
    return click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help=text)


_until_option = click.option(
    "--until", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="End, in UTC. [default: now]"
)


@click.group()
def command() -> None:
    """Read, verify and export the record: who did what, to what, how it ended, and who entered a machine."""


command.add_command(entry)
command.add_command(export)
command.add_command(pack)


@command.command()
@click.option("--target", help="Only the acts on this environment or run.")
@click.option("--event", help="Only this event (`environment.up`).")
@click.option("--person", help="Only this person's acts, as the cloud vouches for them.")
@_since_option("Only what was written from then on, in UTC.")
@click.option("--last", type=click.IntRange(min=1), help="Only the last N that match.")
@json_option
@cloud_option
def log(
    target: str | None,
    event: str | None,
    person: str | None,
    since: datetime | None,
    last: int | None,
    as_json: bool,
    cloud: str | None,
) -> None:
    """List the ledger's entries."""
    from fleet.session import open_account

    wanted = {"target": target, "event": event}
    filtered = person is not None or any(value is not None for value in wanted.values())
    entries = [
        entry
        for entry in _entries(open_account(cloud).ledger, since, None if filtered else last)
        if all(value is None or entry[name] == value for name, value in wanted.items())
        and (person is None or entry["actor"].get("person") == person)
    ]
    entries = entries[-last:] if last else entries
    if as_json:
        emit_json(entries)
        return
    rows = [
        (entry["sequence"], entry["time"][:19] + "Z", entry["event"], entry["target"], entry["outcome"],
         entry["actor"]["identity"].rpartition(":")[2])
        for entry in entries
    ]  # fmt: skip
    say(table(("no.", "time (UTC)", "event", "target", "outcome", "actor"), rows, right=(0,)))


def _entries(ledger: Ledger, since: datetime | None, last: int | None) -> Iterator[dict[str, Any]]:
    """Yield the entries from that time on; the last ones alone are fetched where no more is asked for."""
    if since is not None:
        yield from ledger.entries_since(_utc(since) or _FIRST)
    elif last is not None:
        yield from ledger.entries_from(ledger.tail()[0] - last + 1, last)
    else:
        yield from ledger.entries()


@command.command()
@click.option("--head", help="SEQUENCE:HASH that the chain must end at, from a place that you trust.")
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="An export, offline."
)
@json_option
@cloud_option
def verify(head: str | None, folder: Path | None, as_json: bool, cloud: str | None) -> int:
    """Check that no entry was changed, taken out, put in or written over; exit code 1 if one was."""
    from fleet.chain import parse_head, verify_folder
    from fleet.session import open_account
    from stacks.problems import UserError

    try:
        head = parse_head(head) if head else None
    except ValueError as error:
        raise UserError.of(str(error), "copy it from `fleetform audit verify`", path="--head") from error
    if folder and not (folder / "ledger").is_dir():
        raise UserError.of(f"{folder} holds no folder ledger/", "name an export's folder", path="--folder")
    report = verify_folder(folder, head=head) if folder else open_account(cloud).ledger.verify(head)
    return show_report(report, as_json)


@command.command()
@environment_argument
@click.argument("instance")
@_since_option("Begin, in UTC. [default: when the machine was started]")
@_until_option
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

    timeline = look(open_session(environment, cloud), instance, _utc(since), _utc(until))
    if as_json:
        emit_json({"format": ENTERED_FORMAT, **asdict(timeline)})
    else:
        for line in _lines(timeline):
            say(line)
    return UNEXPLAINED if timeline.findings else 0


@command.command()
@_since_option(f"Begin, in UTC. [default: {_TRAIL_DAYS} days before the end]")
@_until_option
@json_option
@cloud_option
def trail(since: datetime | None, until: datetime | None, as_json: bool, cloud: str | None) -> int:
    """Check CloudTrail's files by its signed digests; exit code 1 unless all of them are sound."""
    from fleet.session import open_account
    from fleet.trail_digests import verify_trail

    end = _utc(until) or datetime.now(UTC)
    report = verify_trail(open_account(cloud), _utc(since) or end - timedelta(days=_TRAIL_DAYS), end)
    _show_trail(report, as_json)
    return 0 if report.sound else 1


def _utc(time: datetime | None) -> datetime | None:
    """Return the time in UTC, within the years in which there can be a trail at all."""
    return min(max(time.replace(tzinfo=UTC), _FIRST), _LAST) if time else None


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
