"""The last decisions of the embedded cloud's IAM: who asked for what, and which statement decided."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.iam.evaluation import Access, Decision

_KEPT = 5000


@dataclass(frozen=True)
class Decided:
    """One decision, as it is shown."""

    time: str
    """UTC, ISO 8601."""
    principal: str
    """ARN, a service's name, or `anonymous`."""
    action: str
    resource: str
    allowed: bool
    reason: str
    statement: str
    """Policy and statement; "" where none decided, which is a refusal."""


class Decisions:
    """Keeps them."""

    def __init__(self) -> None:
        self._kept: deque[Decided] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def keep(self, access: Access, decision: Decision) -> None:
        """Add one."""
        decided = Decided(
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            access.principal.arn or access.principal.service or "anonymous",
            access.action,
            access.resource,
            decision.allowed,
            decision.reason,
            decision.statement,
        )
        with self._lock:
            self._kept.append(decided)

    def shown(self) -> list[dict[str, Any]]:
        """Return them, oldest first."""
        with self._lock:
            return [asdict(each) for each in self._kept]


DECISIONS = Decisions()
"""Those of this process, which is one embedded cloud."""
