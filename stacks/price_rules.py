"""The guardrail on money: what a team's environments cost an hour, against the account's limit for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from stacks.account import AccountSpec
from stacks.catalog import load_catalog
from stacks.environment import EnvironmentSpec
from stacks.problems import Problem
from stacks.spec_file import shown


def machines_usd_per_hour(spec: EnvironmentSpec) -> float:
    """Return what the machines of an environment cost an hour at list price, as many as are declared.

    A node counts at its full price however it is bought, and a type that the catalog lacks counts nothing:
    another rule refuses it.
    """
    types = [spec.head.instance_type]
    types += [fleet.instance_type for fleet in spec.fleets.values() for _ in range(fleet.nodes)]
    known = load_catalog()
    return sum(known[each].price_usd_per_hour for each in types if each in known)


def teams_stay_within_their_limits(
    specs: Mapping[Path, EnvironmentSpec], account: AccountSpec | None, wanted: set[Path] | None = None
) -> Iterator[Problem]:
    """The machines of a team's environments together cost no more an hour than the account allows the team.

    Told once for a team, of its dearest environment; with `wanted`, of the dearest of these.
    """
    limits = account.teams if account else {}
    for team, limit in limits.items():
        mine = {file: spec for file, spec in specs.items() if spec.team == team}
        costs = {file: machines_usd_per_hour(spec) for file, spec in mine.items()}
        concerned = [file for file in mine if wanted is None or file in wanted]
        total = sum(costs.values())
        if not concerned or total <= limit.max_usd_per_hour:
            continue
        shares = ", ".join(
            f"{mine[file].name} {costs[file]:.2f}" for file in sorted(costs, key=lambda f: -costs[f])
        )
        yield Problem(
            file=shown(max(concerned, key=lambda file: costs[file])),
            path="fleets",
            what=f"the machines of the team {team} would cost {total:.2f} USD an hour at list price where "
            f"{limit.max_usd_per_hour:g} are allowed: {shares}",
            do=f"ask for fewer or smaller nodes, or have teams.{team}.max_usd_per_hour raised",
        )
