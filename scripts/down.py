"""`fleetform down`: tear an environment down and prove that nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, say, table, warn
from scripts.options import cloud_option, environment_argument, json_option, yes_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.receipt import Receipt
    from fleet.sweepers.things import Thing

EXIT_NOT_PROVEN = 3
"""Something is left after the teardown, or not everything could be looked at: the proof is missing."""


@click.command()
@environment_argument
@click.option("--base", is_flag=True, help="Tear down the base too: network, key, roles, bucket.")
@click.option(
    "--anyway", metavar="REASON", help="Do it in spite of what speaks against it; the reason is recorded."
)
@yes_option
@json_option
@cloud_option
def command(
    environment: str, base: bool, anyway: str | None, yes: bool, as_json: bool, cloud: str | None
) -> int:
    """Tear ENVIRONMENT down, look for what is left, and write a receipt.

    Refuses while a run is active or its outputs are not safe. Exit code 3 where something is left, or where
    a service could not be looked at: it is down then, but nothing proves it.
    """
    from fleet.session import open_session
    from fleet.teardown import down
    from scripts.progress import reporter
    from scripts.up import confirm_possible, require_reason

    require_reason(anyway)
    session = open_session(environment, cloud)
    if not yes:
        confirm_possible("fleetform down")
        what = f"{environment} with its base" if base else f"the fleet of {environment}"
        click.confirm(f"Tear down {what} in {session.cloud}?", abort=True, err=True)
    receipt, folder = down(session, reporter(), base=base, anyway=anyway)
    live.clear()
    if as_json:
        emit_json(receipt.to_dict())
    else:
        _show(receipt)
        say(f"receipt: {folder / 'receipt.html'}")
    return 0 if receipt.proven else EXIT_NOT_PROVEN


def _show(receipt: Receipt) -> None:
    from fleet.receipt import duration, hourly, usd

    rows = [
        (
            each.stack,
            each.fate,
            len(each.resources),
            duration(each.hours),
            "" if each.usd is None else usd(each.usd),
        )
        for each in receipt.stacks
    ]
    say(table(("stack", "what became of it", "resources", "lived", "estimated cost"), rows, right=(2, 3, 4)))
    if receipt.kept:
        say(f"kept on purpose: {len(receipt.kept)} things, at {usd(hourly(receipt.kept))} an hour")
    for thing in receipt.ending:
        say(f"ending by itself: {thing.kind} {thing.id} ({thing.note})")
    for unseen in receipt.not_looked:
        warn(f"not looked at: {unseen.title}: {unseen.why}")
    if receipt.left:
        say(_left(receipt.left))
    say(f"{receipt.environment}: {receipt.verdict}")


def _left(things: Sequence[Thing]) -> str:
    from fleet.receipt import usd

    rows = [(each.kind, each.id, each.name, usd(each.usd_per_hour)) for each in things]
    return table(("left behind", "id", "name", "an hour"), rows, right=(3,))
