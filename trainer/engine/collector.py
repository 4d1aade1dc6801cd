"""Python's garbage collector, kept out of the steps."""

from __future__ import annotations

import gc


class Collector:
    """Off between the first step and the end; collects where the run pauses anyway.

    A full collection goes through every object that torch has ever made, which takes a good part of a second
    on a big model and comes on each process at another moment, while all others wait.
    """

    def __init__(self) -> None:
        self._off = False

    def rest(self) -> None:
        """Leave what is there now out of all later collections, and turn automatic ones off."""
        if not self._off and gc.isenabled():
            gc.freeze()
            gc.disable()
            self._off = True

    def pause(self) -> None:
        """Collect now: the run saves or evaluates."""
        if self._off:
            gc.collect(1)

    def resume(self) -> None:
        """Put everything back."""
        if self._off:
            gc.unfreeze()
            gc.enable()
            self._off = False
