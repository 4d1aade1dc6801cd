"""`fleetform down`: tear an environment down and prove that nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, say, table, warn
from scripts.options import cloud_option, environment_argument, json_option, yes_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet.listings.things import NotLooked, Thing
    from fleet.receipt import Receipt
    from fleet.session import Session
    from fleet.teardown_preview import Preview

EXIT_NOT_PROVEN = 3
"""Something is left after the teardown, or not everything could be looked at: the proof is missing."""


@click.command()
@environment_argument
@click.option("--base", is_flag=True, help="Tear down the base too: network, key, roles, bucket.")
@click.option(
    "--anyway", metavar="REASON", help="Do it in spite of what speaks against it; the reason is recorded."
)
@click.option("--dry-run", is_flag=True, help="Show what goes, what stays and what speaks against it; stop.")
@yes_option
@json_option
@cloud_option
def command(
    environment: str,
    base: bool,
    anyway: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    cloud: str | None,
) -> int:
    """Tear ENVIRONMENT down, look for what is left, and write a receipt.

    Shows what goes and asks first, unless --yes is given. Refuses while a run is active or its outputs are
    not safe. Exit code 3 where something is left, or where a service could not be looked at: it is down then,
    but nothing proves it.
    """
    from fleet.session import open_session
    from fleet.teardown import down
    from scripts.progress import reporter
    from scripts.up import require_reason

    require_reason(anyway)
    session = open_session(environment, cloud)
    if dry_run:
        return _dry_run(session, base, as_json)
    if not yes:
        _ask(session, base, anyway)
    receipt, folder = down(session, reporter(), base=base, anyway=anyway)
    live.clear()
    if as_json:
        emit_json(receipt.to_dict())
    else:
        _show(receipt)
        say(f"receipt: {folder / 'receipt.html'}")
    return 0 if receipt.proven else EXIT_NOT_PROVEN


def _dry_run(session: Session, base: bool, as_json: bool) -> int:
    """Show the teardown and stop; that something speaks against it is an answer, and no mistake."""
    from fleet.teardown_preview import preview

    found = preview(session, base=base)
    if as_json:
        emit_json(found.to_dict())
        return 0
    for line in _preview_lines(found):
        say(line)
    for problem in found.against:
        say(f"speaks against it: {problem}")
    return 0


def _ask(session: Session, base: bool, anyway: str | None) -> None:
    """Show what goes, and ask; raises UserError, on record, instead where it would be refused."""
    from fleet.receipt import usd
    from fleet.teardown_preview import preview
    from scripts.up import confirm_possible
    from stacks.problems import UserError

    confirm_possible("fleetform down")
    with session.recording_refusal("environment.down", session.spec.name):
        found = preview(session, base=base)
        if found.against and not anyway:
            raise UserError(found.against)
    for line in _preview_lines(found):
        click.echo(line, err=True)
    for problem in found.against:
        warn(f"in spite of this: {problem.what}")
    what = f"{session.spec.name} with its base" if base else f"the fleet of {session.spec.name}"
    price = usd(found.usd_saved_per_hour)
    click.confirm(f"Tear down {what} in {session.cloud}, which saves {price} an hour?", abort=True, err=True)


def _preview_lines(found: Preview) -> Iterable[str]:
    """Yield what goes and what stays, in words."""
    from fleet.receipt import usd
    from fleet.teardown_preview import sums

    rows = [(each.kind, each.count, usd(each.usd_per_hour)) for each in sums(found.goes)]
    yield table(("goes", "count", "an hour"), rows, right=(1, 2)) if rows else "nothing goes"
    yield from (f"lost for good: {each}" for each in found.lost)
    if found.stays:
        yield f"stays: {_counts(found.stays)}"
    if found.left:
        yield f"made by no stack, and left behind: {_counts(found.left)}"
    yield from (_unseen(each) for each in found.not_looked)
    saved, kept = usd(found.usd_saved_per_hour), usd(found.usd_kept_per_hour)
    yield f"saves {saved} an hour; what stays costs {kept} an hour"


def _counts(things: Sequence[Thing]) -> str:
    from fleet.teardown_preview import sums

    return ", ".join(f"{each.count} {each.kind}" for each in sums(things))


def _unseen(unseen: NotLooked) -> str:
    return f"not looked at: {unseen.title}: {unseen.why}"


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
        warn(_unseen(unseen))
    if receipt.left:
        say(_left(receipt.left))
    say(f"{receipt.environment}: {receipt.verdict}")


def _left(things: Sequence[Thing]) -> str:
    from fleet.receipt import usd

    rows = [(each.kind, each.id, each.name, usd(each.usd_per_hour)) for each in things]
    return table(("left behind", "id", "name", "an hour"), rows, right=(3,))
