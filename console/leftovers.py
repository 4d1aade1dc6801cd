"""What is left over in the account, remembered for an hour: a look asks every service in every region."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass, replace

from console.remembered import Remembered
from console.store.columns import utc_now
from fleet.account_sweep import sweep_account
from fleet.orphans.report import AccountSweep
from fleet.project import Project
from fleet.session import open_account

_AT_MOST = 3600.0
"""Seconds after which what was found is not shown any more; until then only who asks for it looks again."""


@dataclass(frozen=True)
class Looked:
    """One look through the account."""

    swept: AccountSweep
    begun: datetime.datetime
    """By this machine's clock, as the ends of acts are: what ended later is not in it."""


class KnownLeftovers:
    """The last look through the account, shared by all requests; no two go on at once."""

    def __init__(self, project: Project, cloud: str | None) -> None:
        """Look at nothing yet."""
        self._project, self._cloud = project, cloud
        self._remembered = Remembered(self._look, math.inf, _AT_MOST)

    def within(self, seconds: float) -> Looked | None:
        """Return the last look, None where one is under way that takes longer than so many seconds."""
        return self._remembered.within(seconds)

    def forget(self) -> None:
        """Have who asks next look again."""
        self._remembered.forget()

    def _look(self) -> Looked:
        begun = utc_now()
        # Who may see it the pages decide: nobody alone has asked for what all of them are shown.
        session = replace(open_account(self._cloud, project=self._project), asked_by={"via": "console"})
        return Looked(sweep_account(session), begun)
