"""`fleetform sweep`: look through a whole account for what is left over, and delete it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, note, say
from scripts.options import cloud_option, json_option, yes_option

if TYPE_CHECKING:
    from fleet.orphans.choice import Choice, Outcome, Wanted
    from fleet.orphans.report import AccountSweep
    from fleet.session import AccountSession

EXIT_LEFT = 3
"""Something is left, or not everything could be looked at: as with `down`, the proof is missing."""


@click.command()
@click.option(
    "--region", "regions", multiple=True, help="Look there. [default: the account's and its files']"
)
@click.option("--environment", "environments", multiple=True, help="Tell only of this environment's things.")
@click.option(
    "--delete/--dry-run",
    default=False,
    help="Delete what is proven to be left over, or only look. [default: --dry-run]",
)
@click.option("--data", is_flag=True, help="With --delete: also disks, file systems, buckets, keys, logs.")
@click.option(
    "--past-lease", is_flag=True, help="With --delete: also environments past their lease that still stand."
)
@click.option(
    "--all", "everything", is_flag=True, help="Show what other tools own too, where it looks like ours."
)
@yes_option
@json_option
@cloud_option
def command(
    regions: tuple[str, ...],
    environments: tuple[str, ...],
    delete: bool,
    data: bool,
    past_lease: bool,
    everything: bool,
    yes: bool,
    as_json: bool,
    cloud: str | None,
) -> int:
    """Look through the whole account for what fleetform left: no environment has it, or its lease is over.

    Goes by the cloud's own listings alone. Exit code 0 where nothing is left, 3 where something is, or where
    not everything could be looked at.
    """
    from fleet.account_sweep import sweep_account
    from fleet.orphans.choice import Wanted, choose
    from fleet.orphans.removal import require_right
    from fleet.session import open_account
    from scripts.sweep_output import show

    _require_delete(delete, data=data, past_lease=past_lease, yes=yes)
    session = open_account(cloud)
    if delete:
        require_right(session)
    found = sweep_account(session, regions, environments)
    wanted = Wanted(data=data, past_lease=past_lease)
    choice = choose(found.found, wanted, found.account) if delete else None
    if not as_json:
        show(found, everything=everything)
    outcomes: list[Outcome] = []
    if choice is not None and choice.goes:
        choice, outcomes, found = _delete(session, found, choice, wanted, environments, yes=yes)
    outcomes += choice.stays if choice else ()
    _tell(found, outcomes, as_json=as_json, again=choice is not None)
    return 0 if found.clean else EXIT_LEFT


def _require_delete(delete: bool, *, data: bool, past_lease: bool, yes: bool) -> None:
    """Raise UserError with each option that says what to delete, where nothing is to be deleted."""
    from stacks.problems import Problem, UserError

    given = {"--data": data, "--past-lease": past_lease, "--yes": yes}
    problems = [
        Problem(path=name, what="there is nothing to delete without --delete", do=f"say `--delete {name}`")
        for name, on in given.items()
        if on and not delete
    ]
    if problems:
        raise UserError(problems)


def _delete(
    session: AccountSession,
    found: AccountSweep,
    choice: Choice,
    wanted: Wanted,
    environments: tuple[str, ...],
    *,
    yes: bool,
) -> tuple[Choice, list[Outcome], AccountSweep]:
    """Ask, delete what was shown, and look again; return what was done, what became of it, and that look.

    Before it deletes it looks whether all of it is still to go: an environment may have come up meanwhile.
    """
    from fleet.clearing import clear
    from fleet.orphans.proofs import place_of
    from scripts.sweep_output import choice_lines

    if not yes:
        from scripts.up import confirm_possible

        confirm_possible("fleetform sweep --delete")
        for line in choice_lines(choice):
            note(line)
        word = click.prompt(
            f"Type `delete` to delete {len(choice.goes)} for good in {session.cloud}", err=True
        )
        if word.strip() != "delete":
            raise click.Abort
    shown = {place_of(each.listed) for each in choice.goes}
    cleared = clear(
        session, wanted, shown, live.show, regions=found.account.regions, environments=environments
    )
    live.clear()
    return cleared.choice, list(cleared.outcomes), cleared.after


def _tell(found: AccountSweep, outcomes: list[Outcome], *, as_json: bool, again: bool) -> None:
    from fleet.orphans.report import to_row
    from scripts.sweep_output import outcome_lines, verdict_lines

    if as_json:
        now = found.account.now
        rows = [{**to_row(each.found, now), "result": each.result, "why": each.why} for each in outcomes]
        emit_json({**found.to_dict(), "deletion": rows if again else None})
        return
    for line in (*outcome_lines(outcomes), *verdict_lines(found)):
        say(line)
