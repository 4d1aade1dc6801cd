"""What the page of one environment looks up beside the glance: what stands, what it has cost this month."""

from __future__ import annotations

import datetime
import threading
from dataclasses import dataclass

from console.known_runs import KnownRuns
from console.remembered import Remembered
from fleet.budget import Budget, read_budget
from fleet.holdings import Holdings, holdings
from fleet.session import Session
from fleet.teardown_preview import SafeRuns

_STANDS, _MONEY = (10.0, 30.0), (60.0, 300.0)
"""How old what is shown may be while somebody looks, and after how long without it is looked up before."""


@dataclass(frozen=True)
class Counted:
    """A budget, and when it was added up."""

    budget: Budget
    at: datetime.datetime


class _Closer:
    """One environment's."""

    def __init__(self, session: Session, runs: KnownRuns) -> None:
        self.session = session
        self.holdings = Remembered(lambda: holdings(session, runs.of(session).index.known()), *_STANDS)
        self.counted = Remembered(self._count, *_MONEY)
        self.safe_runs: SafeRuns = set()

    def _count(self) -> Counted:
        return Counted(read_budget(self.session), datetime.datetime.now(datetime.UTC))


class Closer:
    """The closer looks at all environments, shared by all requests."""

    def __init__(self, runs: KnownRuns) -> None:
        """Look at nothing yet."""
        self._runs, self._lock = runs, threading.Lock()
        self._environments: dict[str, _Closer] = {}

    def holdings(self, session: Session) -> Holdings:
        """Return what stands of an environment."""
        return self._of(session).holdings.get()

    def counted(self, session: Session) -> Counted:
        """Return what it has cost this month; the first time that may take a while."""
        return self._of(session).counted.get()

    def safe_runs(self, session: Session) -> SafeRuns:
        """Return the ended runs whose outputs a look at a teardown has found safe; that look adds to them."""
        return self._of(session).safe_runs

    def _of(self, session: Session) -> _Closer:
        with self._lock:
            found = self._environments.get(session.spec.name)
            if found is None or found.session != session:
                found = self._environments[session.spec.name] = _Closer(session, self._runs)
            return found
