"""The project's environments as they stand: looked at by one thread each, whoever has a page open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from console.remembered import Remembered
from fleet.aws import is_cloud_error
from fleet.errors import ActError
from fleet.glance import Glance, glance
from fleet.project import Project
from fleet.session import open_session
from stacks.environment import EnvironmentSpec, environment_files
from stacks.problems import Problem, UserError

_SECONDS = 5.0
"""How old a look may be."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One environment: what its file says, and how it stands in the cloud."""

    name: str
    spec: EnvironmentSpec | None
    """None where the file can't be read."""
    glance: Glance | None
    """None where the cloud could not be looked at."""
    problems: tuple[Problem, ...] = ()
    trouble: str = ""
    """What the cloud said instead of an answer."""

    @property
    def teams(self) -> tuple[str, ...]:
        """The teams that it is for, the own one first; none of a file that can't be read."""
        return (self.spec.team, *self.spec.further_teams) if self.spec else ()


class Estate:
    """All environments of a project, in one cloud."""

    def __init__(self, project: Project, cloud: str | None) -> None:
        """Look at nothing yet."""
        self._project, self._cloud = project, cloud
        self._lock = threading.Lock()
        self._remembered: dict[str, Remembered[Standing]] = {}

    def standing(self, name: str) -> Standing | None:
        """Return how the environment stands, None where the project declares none of that name."""
        if name not in self._names():
            return None
        return self._of(name).get()

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
            if name not in self._remembered:
                look: Callable[[], Standing] = partial(_look, self._project, self._cloud, name)
                self._remembered[name] = Remembered(look, _SECONDS)
            return self._remembered[name]


def _look(project: Project, cloud: str | None, name: str) -> Standing:
    """Look at one environment; what is wrong with its file, or with the cloud, is part of the answer."""
    try:
        session = open_session(name, cloud, project=project)
    except UserError as error:
        return Standing(name=name, spec=None, glance=None, problems=tuple(error.problems))
    try:
        found = glance(session)
    except UserError as error:
        return Standing(name=name, spec=session.spec, glance=None, problems=tuple(error.problems))
    except Exception as error:
        if not isinstance(error, ActError) and not is_cloud_error(error):
            raise
        return Standing(name=name, spec=session.spec, glance=None, trouble=str(error))
    return Standing(name=name, spec=session.spec, glance=found)
