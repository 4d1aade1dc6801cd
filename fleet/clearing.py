"""Deleting what is left over in an account: of what somebody was shown, what a new look still finds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from fleet.account_sweep import sweep_account
from fleet.orphans.choice import Choice, Outcome, Wanted, choose
from fleet.orphans.proofs import Place
from fleet.orphans.removal import remove
from fleet.orphans.report import AccountSweep
from fleet.orphans.rounds import Tell
from fleet.session import AccountSession


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """What became of what was to go."""

    choice: Choice
    """What was chosen of what the look before the deletion found."""
    outcomes: tuple[Outcome, ...]
    """Of each thing that was to go, or to be tagged; what stays is in the choice."""
    after: AccountSweep
    """The look after it."""


def clear(
    session: AccountSession,
    wanted: Wanted,
    shown: Collection[Place],
    tell: Tell,
    *,
    regions: Sequence[str] = (),
    environments: Collection[str] = (),
    begun: Callable[[Choice], object] = lambda choice: None,
) -> Cleared:
    """Look, delete of what was shown all that is still to go, and look once more.

    An environment may have come up since it was shown. `begun` hears what was chosen before the first thing
    goes. Raises what `remove` does.
    """
    now = sweep_account(session, regions, environments)
    choice = choose(now.found, replace(wanted, shown=frozenset(shown)), now.account)
    begun(choice)
    outcomes = tuple(remove(session, choice, tell))
    return Cleared(
        choice=choice, outcomes=outcomes, after=sweep_account(session, now.account.regions, environments)
    )
