"""What each team that shares an environment has spent of its own limit in a month: of runs alone.

What stands without a run is the environment's, and counts against no team's limit. docs/budget.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fleet.run_costs import RunCosts
from fleet.run_store import team_of
from stacks.environment import EnvironmentSpec


@dataclass(frozen=True, kw_only=True)
class TeamBudget:
    """What a team's runs cost in one calendar month, US dollars at list price."""

    team: str
    limit: float | None
    """None where it has none of its own."""
    spent: float
    """What its runs have used, those that go on until now."""
    reserved: float
    """What its active runs may still cost, those too that are being submitted."""
    held: float
    """What of that submits hold that are under way."""

    @property
    def left(self) -> float | None:
        """What a run of the team may cost now, below zero where the limit is passed; None without a limit."""
        return None if self.limit is None else self.limit - self.spent - self.reserved

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "left": self.left}


def team_budgets(
    spec: EnvironmentSpec,
    runs: RunCosts,
    reserved: Mapping[str, float],
    holds: Mapping[str, float],
    asked: str,
) -> Iterator[TeamBudget]:
    """Yield each team's, the own one first; none where nobody shares the environment.

    `reserved` and `holds` are by run id. A team whose runs the caller may not see is left out, unless it is
    the one that is `asked` for.
    """
    if not spec.further_teams:
        return
    for team in ("", *spec.further_teams):
        if team in runs.hidden and team != asked:
            continue
        held = _of_team(holds, team)
        yield TeamBudget(
            team=team or spec.team,
            limit=limit_of(spec, team),
            spent=runs.used.get(team, 0.0),
            reserved=_of_team(reserved, team) + held,
            held=held,
        )


def limit_of(spec: EnvironmentSpec, team: str) -> float | None:
    """Return a further team's own limit, None where it has none; the environment's own team has none."""
    return spec.scheduler.teams[team].usd_per_month or None if team in spec.further_teams else None


def _of_team(usd: Mapping[str, float], team: str) -> float:
    return sum(each for run_id, each in usd.items() if team_of(run_id) == team)
