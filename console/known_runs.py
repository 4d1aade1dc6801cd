"""The runs of every environment, as an index that all requests share and that keeps itself up to date."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial

from console.kept_runs import keeping
from console.remembered import Remembered
from fleet.aws import is_cloud_error
from fleet.errors import ActError
from fleet.run_control import settle_known
from fleet.run_index import RunIndex, open_index
from fleet.run_store import RunStore, open_runs
from fleet.session import Session
from stacks.problems import UserError

_SECONDS = 3.0
"""How old what is known of an environment's runs may be while somebody looks."""
_PATIENCE_SECONDS, _OLD_SECONDS = 0.1, 60.0
"""How long somebody waits for a look that is due, and from which age on they wait to its end."""
_SETTLE_SECONDS = 30.0
"""How often ended runs are put on record, and lost ones ended."""
_SETTLED_AT_A_TIME = 50
"""How many ended runs of which nobody knows whether they are on record are looked up each time."""
_AT_A_TIME = 200
"""How many of the older runs are read beside, each time, until all are known."""
_LOG = logging.getLogger(__name__)


@dataclass
class EnvironmentRuns:
    """One environment's runs."""

    session: Session
    index: RunIndex
    _beside: Remembered[None] = field(init=False)
    _settled: Remembered[None] = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _looker: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1, "runs"))
    _look: Future[None] | None = None
    _at: float = float("-inf")
    _first: bool = True

    def __post_init__(self) -> None:
        self._beside = Remembered(self._look_beside, _SECONDS)
        self._settled = Remembered(self._settle, _SETTLE_SECONDS)

    @cached_property
    def store(self) -> RunStore:
        """The run directories."""
        return keeping(open_runs(self.session), self.index.is_finished)

    def current(self) -> RunIndex:
        """Return the index, which knows the newest runs and those under way as they were a moment ago.

        A look that takes longer than a moment goes on beside, and shows in the next page.
        """
        with self._lock:
            age = time.monotonic() - self._at
            if age > _SECONDS and self._look is None:
                self._look = self._looker.submit(self._refresh)
            look = self._look
        if look is not None:
            with suppress(TimeoutError):
                look.result(None if age > _OLD_SECONDS else _PATIENCE_SECONDS)
        self._beside.get()
        return self.index

    def _refresh(self) -> None:
        try:
            self.index.refresh()
            self._at = time.monotonic()
        finally:
            with self._lock:
                self._look = None

    def _look_beside(self) -> None:
        """Look at what nobody waits for: older runs, resumed ones, ended ones that are not on record."""
        if self._first:  # it is called at once, by somebody who waits
            self._first = False
            return
        self.index.look_round()
        if not self.index.read_more(_AT_A_TIME):
            self._settled.get()

    def _settle(self) -> None:
        """Put on record what has ended, as the commands do that look at runs."""
        try:
            assert self.session.caller, "the cloud has answered"
            settle_known(self.store, self.session.ledger, self.index, _SETTLED_AT_A_TIME)
        except Exception as error:
            if not isinstance(error, (ActError, UserError)) and not is_cloud_error(error):
                raise
            _LOG.warning("ended runs of %s can't be put on record now: %s", self.session.spec.name, error)


class KnownRuns:
    """The runs of all environments."""

    def __init__(self) -> None:
        """Look at nothing yet."""
        self._lock = threading.Lock()
        self._environments: dict[str, EnvironmentRuns] = {}

    def of(self, session: Session) -> EnvironmentRuns:
        """Return those of one environment, known anew where its file or its cloud is another one by now."""
        with self._lock:
            known = self._environments.get(session.spec.name)
            if known is None or known.session != session:
                known = EnvironmentRuns(session, open_index(session))
                self._environments[session.spec.name] = known
            return known
