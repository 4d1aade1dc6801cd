"""The index of the ledger: filled in the order of the chain by one thread, each entry verified as it comes.

It is never trusted over the chain: it finds entries, and whoever shows one whole reads it from the ledger.
Where the chain is another one than the index was filled from, the index is thrown away and filled anew.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from console.store import entry_rows
from console.store.database import Database
from console.store.entry_rows import State
from fleet import aws
from fleet.aws import is_cloud_error
from fleet.errors import ActError
from fleet.ledger_filling import Filler
from fleet.ledger_links import Checked, Link, row_of
from fleet.ledger_reading import Entry
from fleet.project import Project
from fleet.session import AccountSession, open_account
from stacks.account import ACCOUNT_FILE
from stacks.problems import UserError

WAIT_SECONDS = 1.5
"""How long a page waits for what is new in the ledger, before it shows what is known and says so."""
PATIENCE_SECONDS, _MOMENT_SECONDS = 0.06, 5.0
"""The same where the ledger was looked at a moment ago, and how long that is."""
_KEPT = 200
"""Entries that are kept once they were read; an entry never changes."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far the index reaches."""

    sequence: int
    """The last entry that it has."""
    last: int
    """The ledger's last entry when it was looked at."""
    faults: tuple[tuple[int, str], ...]
    """What does not fit in the chain: number and what is wrong."""
    trouble: str = ""
    """Why the ledger could not be read, in the cloud's words; "" where it could."""

    @property
    def whole(self) -> bool:
        """Whether it has everything that the ledger has."""
        return self.sequence >= self.last and not self.trouble


class RecordIndex:
    """The index of one project's ledger."""

    def __init__(self, project: Project, cloud: str | None, database: Database) -> None:
        """Read nothing yet."""
        self._project, self._cloud, self._database = project, cloud, database
        self._account: AccountSession | None = None
        self._turn = threading.Condition()
        self._asked = self._done = 0
        self._filling = False
        self._last, self._trouble = 0, ""
        self._at = float("-inf")
        """When the ledger was last seen to its end, as time.monotonic() counts."""
        self._kept: dict[int, Entry] = {}
        self._filler = Filler(_Rows(database))

    def account(self) -> AccountSession | None:
        """Return the account whose ledger it is, None where the project has none yet."""
        if self._account is None:
            if not (self._project.environments / ACCOUNT_FILE).is_file():
                return None
            self._account = open_account(self._cloud, project=self._project)
        return self._account

    def look(self, seconds: float = WAIT_SECONDS) -> Reach:
        """Bring the index up to date, wait for that a while, and return how far it reaches."""
        with self._turn:
            recent = not self._trouble and time.monotonic() - self._at < _MOMENT_SECONDS
            patience = min(seconds, PATIENCE_SECONDS) if recent else seconds
            self._asked += 1
            mine, deadline = self._asked, time.monotonic() + patience
            if not self._filling:
                self._filling = True
                threading.Thread(target=self._fill_all, name="record index", daemon=True).start()
            while self._done < mine and (left := deadline - time.monotonic()) > 0:
                self._turn.wait(left)
        with self._database.reading() as database:
            state, faults = entry_rows.read_state(database), entry_rows.faults(database)
        last = max(self._last, state.sequence)
        return Reach(sequence=state.sequence, last=last, faults=tuple(faults), trouble=self._trouble)

    def entry(self, sequence: int) -> Entry | None:
        """Return an entry from the ledger itself, None where it can't be read; the last ones are kept."""
        if sequence in self._kept:
            return self._kept[sequence]
        account = self.account()
        try:
            found = account.ledger.get(sequence) if account else None
        except (ActError, UserError):
            return None
        if found is not None:
            if len(self._kept) > _KEPT:
                self._kept.clear()
            self._kept[sequence] = found
        return found

    def _fill_all(self) -> None:
        """Fill it until nobody has asked since the last round began."""
        while True:
            with self._turn:
                goal = self._asked
            try:
                self._fill()
                self._trouble, self._at = "", time.monotonic()
            except Exception as error:
                self._account = None  # the cloud may be another one by the next time
                self._filler.forget()
                self._kept.clear()
                self._trouble = str(error).splitlines()[0] if str(error) else type(error).__name__
                if not isinstance(error, (ActError, UserError)) and not is_cloud_error(error):
                    _LOG.exception("the index of the ledger can't be filled")
                    self._trouble = "a mistake of ours: see the console's log"
            with self._turn:
                self._done = goal
                over = self._asked == goal
                self._filling = not over
                self._turn.notify_all()
            if over:
                return

    def _fill(self) -> None:
        account = self.account()
        if account is None:
            return
        try:
            self._last = account.ledger.tail()[0]
        except Exception as error:
            if aws.error_code(error) != "NoSuchBucket":
                raise
            self._last = 0  # the account is declared and not built
        self._filler.fill(account.ledger, self._last)


class _Rows:
    """The index in the console's database (`fleet.ledger_filling.IndexStore`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def end(self) -> Link:
        """Return the last entry that it has, number 0 for none."""
        with self._database.reading() as database:
            state = entry_rows.read_state(database)
        return Link(state.sequence, state.head)

    def clear(self) -> None:
        """Throw the index away."""
        entry_rows.clear(self._database)

    def add(self, before: Link, found: Checked) -> None:
        """Add what follows on `before`; nothing where another console has gone on from there."""
        known: dict[str, str] = {}
        with self._database.reading() as database:

            def environment_of_run(run: str) -> str:
                if run not in known:
                    known[run] = entry_rows.environment_of_run(database, run)
                return known[run]

            rows = [row_of(entry, known, environment_of_run) for entry in found.entries]
        last, after = State(before.sequence, before.digest), State(found.end.sequence, found.end.digest)
        if entry_rows.append(self._database, last, rows, after) and found.faults:
            entry_rows.note_faults(self._database, found.faults[: entry_rows.MOST_FAULTS])
