"""Why a node is kept from jobs: words in Slurm by which the head tells a sick machine from a spot notice."""

from __future__ import annotations

import re

HEALTH = "health: "
"""The machine is not to be trusted: the head replaces it."""
SPOT = "spot: "
"""EC2 takes the machine away."""
_LONGEST = 200
_UNFIT = re.compile(r"[^ -~]|[\"'\\]")
"""What `scontrol` and its line-based answers take badly: control characters, quotes, anything not ASCII."""


def reason(prefix: str, why: str) -> str:
    """Return a node's Reason for Slurm: one short line without quotes."""
    text = prefix + " ".join(_UNFIT.sub(" ", why).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
