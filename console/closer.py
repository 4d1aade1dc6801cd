"""What the page of one environment looks up beside the glance: what stands, what it has cost this month."""

from __future__ import annotations

import datetime
import threading
from collections import OrderedDict
from dataclasses import dataclass

from console.known_runs import KnownRuns
from console.remembered import Remembered
from fleet.budget import Budget, read_budget
from fleet.budget_net import BudgetNet, look_at_net
from fleet.entered import Timeline, entered
from fleet.holdings import Holdings, holdings
from fleet.machines_seen import SeenMachine, list_machines
from fleet.session import Session
from fleet.teardown_preview import SafeRuns

_STANDS, _MONEY = (10.0, 30.0), (60.0, 300.0)
"""How old what is shown may be while somebody looks, and after how long without it is looked up before."""
ENTERED = (10.0, 60.0)
"""The same of a machine's timeline, which says until when it reaches."""
_TIMELINES = 32
"""So many timelines are remembered of an environment."""


@dataclass(frozen=True)
class Counted:
    """A budget, what AWS Budgets has of it, and when it was looked up."""

    budget: Budget
    net: BudgetNet | None
    """None where there is none, or it may not be looked at."""
    unseen: tuple[str, ...]
    """What has to be known of that; a sentence each."""
    at: datetime.datetime


class _Closer:
    """One environment's."""

    def __init__(self, session: Session, runs: KnownRuns) -> None:
        self.session = session
        self.holdings = Remembered(lambda: holdings(session, runs.of(session).index.known()), *_STANDS)
        self.counted = Remembered(self._count, *_MONEY)
        self.machines = Remembered(lambda: list_machines(session), *_STANDS)
        self.safe_runs: SafeRuns = set()
        self._timelines: OrderedDict[tuple[str, int], Remembered[Timeline]] = OrderedDict()
        self._lock = threading.Lock()

    def entered(self, instance: str, days: int) -> Timeline:
        with self._lock:
            found = self._timelines.pop((instance, days), None)
            self._timelines[instance, days] = found or Remembered(
                lambda: self._entered(instance, days), *ENTERED
            )
            if len(self._timelines) > _TIMELINES:
                self._timelines.popitem(last=False)
            found = self._timelines[instance, days]
        return found.get()

    def _entered(self, instance: str, days: int) -> Timeline:
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days) if days else None
        return entered(self.session, instance, since)

    def _count(self) -> Counted:
        now = datetime.datetime.now(datetime.UTC)
        return Counted(read_budget(self.session), *look_at_net(self.session), now)


class Closer:
    """The closer looks at all environments, shared by all requests."""

    def __init__(self, runs: KnownRuns) -> None:
        """Look at nothing yet."""
        self._runs, self._lock = runs, threading.Lock()
        self._environments: dict[str, _Closer] = {}

    def holdings(self, session: Session) -> Holdings:
        """Return what stands of an environment."""
        return self._of(session).holdings.get()

    def machines(self, session: Session) -> list[SeenMachine]:
        """Return the machines of an environment that EC2 knows, those that have ended lately among them."""
        return self._of(session).machines.get()

    def entered(self, session: Session, instance: str, days: int) -> Timeline:
        """Return who entered a machine in the last days, or with 0 since it was started."""
        return self._of(session).entered(instance, days)

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
