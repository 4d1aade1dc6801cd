"""`fleetform audit log`: the ledger's entries, all, or those about one thing, found by an index."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from scripts.audit_options import FIRST, since_option, until_option, utc
from scripts.console_io import emit_json, live, note, say, table
from scripts.options import cloud_option, json_option

if TYPE_CHECKING:
    from fleet.session import AccountSession

_FILTERS: dict[str, tuple[str, str]] = {
    "--server": ("instance", "Only what concerns this machine, by its id."),
    "--environment": ("environment", "Only what concerns this environment, its runs among it."),
    "--run": ("run", "Only what concerns this run."),
    "--person": ("person", "Only this person's acts: by name, by the console's id, or by ARN."),
    "--target": ("target", "Only the acts on exactly this: an environment, a run, a machine."),
    "--event": ("event", "Only this event (`environment.up`), or all that begin so (`environment.`)."),
    "--outcome": ("outcome", "Only with this outcome: started, succeeded, failed, refused, ..."),
}


def _filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for flag, (name, text) in reversed(_FILTERS.items()):
        command = click.option(flag, name, default="", help=text)(command)
    return command


@click.command()
@_filter_options
@since_option("Only what was written from then on, in UTC.")
@until_option
@click.option("--last", type=click.IntRange(min=1), help="Only the last N that match.")
@click.option("--rebuild", is_flag=True, help="Throw the index away first, and read the ledger anew.")
@json_option
@cloud_option
def log(
    since: datetime | None,
    until: datetime | None,
    last: int | None,
    rebuild: bool,
    as_json: bool,
    cloud: str | None,
    **filters: str,
) -> None:
    """List the ledger's entries.

    What is filtered is found by an index on this machine, which is brought up to date first; at its first use
    that reads the whole ledger.
    """
    from fleet.session import open_account

    _require_sense(filters["instance"], since, until)
    account = open_account(cloud)
    if rebuild or until is not None or any(filters.values()):
        entries = _found(account, utc(since), utc(until), last, rebuild, filters)
    else:
        entries = _read(account, utc(since), last)
    if as_json:
        emit_json(entries)
        return
    rows = [
        (entry["sequence"], entry["time"][:19] + "Z", entry["event"], entry["target"], entry["outcome"],
         entry["actor"]["identity"].rpartition(":")[2])
        for entry in entries
    ]  # fmt: skip
    say(table(("no.", "time (UTC)", "event", "target", "outcome", "actor"), rows, right=(0,)))
    if not entries:
        note(f"none of the ledger's {account.ledger.tail()[0]} entries fits")


def _require_sense(instance: str, since: datetime | None, until: datetime | None) -> None:
    """Refuse what no entry can fit, for an empty answer would look like one that says something."""
    from fleet.machine_facts import require_id
    from stacks.problems import UserError

    if instance:
        require_id(instance, "--server")
    if since and until and since >= until:
        raise UserError.of(
            "it ends before it begins", "take an earlier --since or a later one", path="--until"
        )


def _found(
    account: AccountSession,
    since: datetime | None,
    until: datetime | None,
    last: int | None,
    rebuild: bool,
    filters: dict[str, str],
) -> list[dict[str, Any]]:
    """Return the entries that fit, found by the index."""
    from fleet.ledger_index import LedgerIndex, index_file
    from fleet.ledger_tables import Wanted

    file = index_file(account.project, account.cloud.name, account.ledger.bucket)
    index = LedgerIndex(file, account.ledger)
    if rebuild:
        index.remove()
    found = index.find(Wanted(since=since, until=until, **filters), last, _tell)
    live.clear()
    return found


def _tell(done: int, total: int) -> None:
    live.show(f"reading the ledger: {done} of {total} entries")


def _read(account: AccountSession, since: datetime | None, last: int | None) -> list[dict[str, Any]]:
    """Return all entries, or the last ones; those are fetched alone where no more is asked for."""
    ledger = account.ledger
    if since is not None:
        entries = list(ledger.entries_since(since or FIRST))
        return entries[-last:] if last else entries
    if last is not None:
        return ledger.entries_from(ledger.tail()[0] - last + 1, last)
    return ledger.entries()
