"""The runs that a person may see; what they may not see is as if it were not there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from console.estate import Standing
from console.known_runs import EnvironmentRuns
from console.web.mistakes import NotThereError
from console.web.visit import Visit
from fleet.runs import RunStatus

_RUN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_LONGEST_ID = 100


@dataclass(frozen=True)
class SeenRun:
    """A run that the person may see."""

    standing: Standing
    runs: EnvironmentRuns
    run: RunStatus

    @property
    def team(self) -> str:
        """The team whose run it is."""
        return self.standing.team_of(self.run)

    @property
    def path(self) -> str:
        """The path of its page."""
        return run_path(self.standing.name, self.run.run_id)


def run_path(environment: str, run_id: str) -> str:
    """Return the path of a run's page."""
    return f"/environments/{environment}/runs/{run_id}"


def is_own(visit: Visit, run: RunStatus) -> bool:
    """Return whether the person has asked for the run."""
    return run.asked_by == visit.person.id


def seen_runs(visit: Visit, name: str) -> tuple[Standing, EnvironmentRuns]:
    """Return an environment, some of whose runs the person may see; else raises NotThereError."""
    standing = visit.environment(name, "run.see")
    if standing.session is None:
        raise NotThereError
    return standing, visit.services.runs.of(standing.session)


def seen_teams(visit: Visit, standing: Standing) -> frozenset[str]:
    """Return the teams whose runs in the environment the person may see, by the names that runs know."""
    spec = standing.spec
    assert spec is not None, "it has runs"
    own = {"", spec.own_team} if visit.may("run.see", spec.team) else set()
    return frozenset(own | {team for team in spec.further_teams if visit.may("run.see", team)})


def seen_known(visit: Visit, standing: Standing) -> list[RunStatus]:
    """Return the runs that are known by now and that the person may see, newest first; reads none for it."""
    if standing.session is None:
        return []
    teams = seen_teams(visit, standing)
    known = visit.services.runs.of(standing.session).index.known()
    return [run for run in known if run.team in teams]


def seen_run(visit: Visit, name: str, run_id: str) -> SeenRun:
    """Return a run that the person may see, as it stands now; else raises NotThereError."""
    standing, runs = seen_runs(visit, name)
    is_id = len(run_id) <= _LONGEST_ID and _RUN.fullmatch(run_id)
    run = runs.index.look_at(run_id) if is_id else None
    if run is None:
        raise NotThereError
    seen = SeenRun(standing, runs, run)
    visit.require("run.see", seen.team)  # teams that share an environment do not see each other's runs
    return seen
