"""When an open page asks whether its reader is about to be signed out: some time before that is so."""

from __future__ import annotations

import datetime

from console.people.sessions import Limits, SignedIn
from console.store.columns import utc_now

_WARNED = datetime.timedelta(minutes=2)
"""How long before the end it is told; WCAG 2.2, 2.2.1 asks for 20 seconds at least."""
_SHARE = 4
"""At most this part of the idle time is warned of, where that is short."""


def warned(limits: Limits) -> datetime.timedelta:
    """Return how long before its end a sign-in is told to end."""
    return min(_WARNED, limits.idle / _SHARE)


def wait(signed_in: SignedIn, limits: Limits) -> int:
    """Return after how many seconds a page asks; at least one."""
    left = signed_in.over_at(limits) - warned(limits) - utc_now()
    return max(1, round(left.total_seconds()))
