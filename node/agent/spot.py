"""The notice that EC2 takes this spot instance back, and what it has to say before: a recommendation."""

from __future__ import annotations

import json
from dataclasses import dataclass

from node.agent.metadata import Metadata
from node.layout import epoch_seconds, utc_text

POLL_SECONDS = 2.0
"""The notice comes two minutes before the end; each look is a request to this machine's own service."""


@dataclass(frozen=True)
class Notice:
    """This machine ends."""

    action: str
    """`terminate`, `stop` or `hibernate`."""
    at: float
    """When, in seconds since the epoch."""

    def __str__(self) -> str:
        return f"EC2 takes the machine at {utc_text(self.at)[:19]}Z ({self.action})"


def look(metadata: Metadata) -> Notice | None:
    """Return the notice; None while there is none. OSError where the service does not answer."""
    text = metadata.get("spot/instance-action")
    if text is None:
        return None
    try:
        found = json.loads(text)
        return Notice(str(found["action"]), epoch_seconds(str(found["time"])))
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(f"the notice cannot be read: {text[:100]!r}") from error


def recommendation(metadata: Metadata) -> str:
    """Return since when EC2 thinks that this instance may be taken soon; "" while it does not.

    Nothing follows from it but a line in the log: most such machines live on for hours.
    """
    text = metadata.get("events/recommendations/rebalance")
    if text is None:
        return ""
    try:
        return str(json.loads(text)["noticeTime"])
    except (ValueError, KeyError, TypeError):
        return "an unknown time"
