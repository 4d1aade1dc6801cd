"""Starters: environments to begin with, for whoever would not choose machines by themselves."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.declare import FLEET
from fleet.project import Project
from stacks.catalog import load_catalog
from stacks.environment import EnvironmentSpec
from stacks.price_rules import costs_per_hour
from stacks.problems import Problem, UserError, nearest
from stacks.starter_spec import STARTERS, StarterSpec, StarterWords, load_starter

_BUNDLED = Path(__file__).parents[1] / "environments" / STARTERS
"""Those that come with fleetform, for a project that has none of its own."""


@dataclass(frozen=True)
class Starter:
    """One environment to begin with."""

    name: str
    spec: StarterSpec

    def words(self, language: str) -> StarterWords:
        """Return its title and text in Korean (`ko`), else in English."""
        return self.spec.ko if language == "ko" else self.spec.en

    def settings(self) -> dict[str, Any]:
        """Return what it chooses, as the arguments of `fleet.declare.declare`."""
        chosen = self.spec.model_dump(include={"instance_type", "nodes", "max_nodes", "usd_per_month"})
        today = datetime.datetime.now(datetime.UTC).date()
        return {**chosen, "lease_ends": today + datetime.timedelta(days=self.spec.lease_days)}

    def environment(
        self, name: str, *, team: str, owner: str, region: str, cidr: str = "10.20.0.0/16"
    ) -> EnvironmentSpec:
        """Return the environment that begins so, as its file will say it."""
        chosen, settings = self.spec, self.settings()
        fleet = chosen.model_dump(include={"instance_type", "nodes", "max_nodes"})
        declared = {
            "name": name, "team": team, "owner": owner, "region": region,
            "lease_ends": settings["lease_ends"], "network": {"cidr": cidr},
            "fleets": {FLEET: fleet}, "budget": {"usd_per_month": chosen.usd_per_month},
        }  # fmt: skip
        return EnvironmentSpec.model_validate(declared)

    def usd_per_hour(self, region: str, *, grown: bool) -> float:
        """Return what it costs an hour at list price: with the nodes that always run, or with all."""
        spec = self.environment("starter", team="starter", owner="starter@example.com", region=region)
        return sum(costs_per_hour(spec, region, grown=grown).values())


def starters(project: Project) -> list[Starter]:
    """Return the project's starters, small ones first, or where it has none those that come with fleetform.

    Raises UserError with the problems of every file that is wrong.
    """
    own = project.environments / STARTERS
    found, problems = list[Starter](), list[Problem]()
    for file in sorted((own if own.is_dir() else _BUNDLED).glob("*.toml")):
        try:
            found.append(Starter(file.stem, load_starter(file)))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return sorted(found, key=lambda each: _size(each.spec))


def _size(spec: StarterSpec) -> float:
    """Return what all of its nodes cost an hour."""
    return load_catalog()[spec.instance_type].price_usd_per_hour * spec.max_nodes


def find_starter(project: Project, name: str) -> Starter:
    """Return the starter of that name; raises UserError where there is none."""
    known = {each.name: each for each in starters(project)}
    if name in known:
        return known[name]
    near = nearest(name, known)
    do = f"did you mean {near!r}?" if near else f"choose one of {', '.join(known) or 'none: there are none'}"
    raise UserError.of(f"there is no starter {name!r}", do, path="--starter")
