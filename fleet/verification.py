"""Verifying the whole record now: the ledger's chain and CloudTrail's files, on record itself."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleet.chain import Report
from fleet.session import AccountSession
from fleet.trail_digests import TrailReport, verify_trail

EVENT = "record.verify"
_TOLD = 20
"""Findings that its entry names; the rest are counted."""


@dataclass(frozen=True)
class Verification:
    """What was found."""

    chain: Report
    trail: TrailReport
    days: int
    """How far back the trail was looked at."""

    @property
    def sound(self) -> bool:
        """Whether nothing was found in either. A trail that is not there can't be borne out."""
        return self.chain.intact and not self.trail.findings

    def to_dict(self) -> dict[str, Any]:
        """Return it as its entry has it."""
        findings = [str(each) for each in (*self.chain.findings, *self.trail.findings)]
        return {
            "head": self.chain.head,
            "entries": self.chain.entries,
            "checkpoint": self.chain.checkpoint,
            "sound": self.sound,
            "findings": findings[:_TOLD],
            "findings_count": len(findings),
            "trail_days": self.days,
            "trail_intact": len(self.trail.intact),
            "trail_waiting": len(self.trail.waiting),
            "trail_reach": {region: reach.isoformat() for region, reach in self.trail.reach.items()},
            "trail_unchecked": list(self.trail.unchecked),
        }


def verify_record(
    account: AccountSession, days: int, tell: Callable[[int, int], None] = lambda done, total: None
) -> Verification:
    """Verify both and put on record how far the chain was sound, and what was found.

    `tell` hears how many entries are done. Raises LedgerError where the ledger can't be read or written.
    """
    chain = account.ledger.verify(tell=tell)
    now = datetime.datetime.now(datetime.UTC)
    trail = verify_trail(account, now - datetime.timedelta(days=days), now)
    found = Verification(chain, trail, days)
    account.ledger.append(EVENT, "ledger", "succeeded" if found.sound else "failed", found.to_dict())
    return found
