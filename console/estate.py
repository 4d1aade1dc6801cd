"""The project's environments as they stand: looked at by one thread each, whoever has a page open."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from console.known_runs import KnownRuns
from console.remembered import Remembered
from fleet.aws import is_cloud_error
from fleet.errors import ActError
from fleet.glance import Glance, glance
from fleet.project import Project
from fleet.runs import RunStatus
from fleet.session import Session, open_session
from stacks.environment import EnvironmentSpec, environment_files
from stacks.problems import Problem, UserError

_SECONDS = 5.0
"""How old a look may be."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One environment: what its file says, and how it stands in the cloud."""

    name: str
    session: Session | None
    """What acts and looks start from; the same one as long as the files say the same. None where they can't
    be read."""
    glance: Glance | None
    """None where the cloud could not be looked at."""
    problems: tuple[Problem, ...] = ()
    trouble: str = ""
    """What the cloud said instead of an answer."""

    @property
    def spec(self) -> EnvironmentSpec | None:
        """What its file says, None where it can't be read."""
        return self.session.spec if self.session else None

    @property
    def teams(self) -> tuple[str, ...]:
        """The teams that it is for, the own one first; none of a file that can't be read."""
        return (self.spec.team, *self.spec.further_teams) if self.spec else ()

    def team_of(self, run: RunStatus) -> str:
        """Return the team whose run it is; runs of the environment's own team need not name it."""
        assert self.spec is not None, "an environment whose file can't be read shows no runs"
        return self.spec.team if run.team in ("", self.spec.own_team) else run.team


class Estate:
    """All environments of a project, in one cloud."""

    def __init__(self, project: Project, cloud: str | None, runs: KnownRuns) -> None:
        """Look at nothing yet; `runs` is where those of each environment are known."""
        self._project, self._cloud, self._runs = project, cloud, runs
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}

    def standing(self, name: str) -> Standing | None:
        """Return how the environment stands, None where the project declares none of that name."""
        return self._of(name).get() if name in self._names() else None

    def all(self) -> list[Standing]:
        """Return how every environment stands, by name."""
        names = self._names()
        if not names:
            return []
        with ThreadPoolExecutor(max_workers=min(8, len(names))) as pool:
            return list(pool.map(lambda name: self._of(name).get(), names))

    def _names(self) -> list[str]:
        return [file.stem for file in environment_files(self._project.environments)]

    def _of(self, name: str) -> Remembered[Standing]:
        with self._lock:
            if name not in self._watched:
                self._watched[name] = _Watched(self._project, self._cloud, self._runs, name)
            return self._watched[name].remembered


class _Watched:
    """One environment, and the session by which it is looked at."""

    def __init__(self, project: Project, cloud: str | None, runs: KnownRuns, name: str) -> None:
        self._project, self._cloud, self._runs, self._name = project, cloud, runs, name
        self._session: Session | None = None
        self.remembered = Remembered(self._look, _SECONDS)

    def _look(self) -> Standing:
        """Look at it; what is wrong with its file, or with the cloud, is part of the answer."""
        session: Session | None = None
        try:
            session = self._open()
            assert session.caller, "the cloud has answered"  # quicker to say no than a listing
            found = glance(session, self._runs.of(session).current().known())
            return Standing(name=self._name, session=session, glance=found)
        except UserError as error:
            problems = tuple(error.problems)
            return Standing(name=self._name, session=session, glance=None, problems=problems)
        except Exception as error:
            if not isinstance(error, ActError) and not is_cloud_error(error):
                raise
            return Standing(name=self._name, session=session, glance=None, trouble=str(error))

    def _open(self) -> Session:
        """Return the session of before, with its ledger, unless files or cloud have changed."""
        fresh = open_session(self._name, self._cloud, project=self._project)
        if self._session is None or self._session != fresh:
            self._session = fresh
        return self._session
