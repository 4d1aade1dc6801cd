"""The failure of an act: not the user's mistake and not our bug (UserError and assertions are those)."""

from __future__ import annotations


class ActError(Exception):
    """Something in the world failed while we acted; its message is ready to print, the exit code is 1."""
