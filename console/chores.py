"""What a console does every hour while nobody asks: it deletes what nobody needs any more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from console.acts.prune import prune
from console.services import Services
from console.uploads.keeper import sweep

CHORES: tuple[Callable[[Services], None], ...] = (prune, sweep)
_EVERY_S = 3600.0
_FIRST_S = 60.0
"""After the start, so that a console which is started again and again does them, too."""
_PATIENCE_S = 5.0
"""How long the end of a console waits for one that is being done."""
_LOG = logging.getLogger("fleetform.console")


@contextmanager
def chores(services: Services) -> Iterator[None]:
    """Have them done from time to time for as long as the block lasts."""
    over = threading.Event()
    thread = threading.Thread(target=_go_on, args=(services, over), name="chores", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_PATIENCE_S)


def do_chores(services: Services) -> None:
    """Do all of them once; one that fails keeps none of the others from being done."""
    for chore in CHORES:
        try:
            chore(services)
        except Exception:
            _LOG.exception("a chore of the console has failed: %s", chore.__module__)


def _go_on(services: Services, over: threading.Event) -> None:
    wait = _FIRST_S
    while not over.wait(wait):
        do_chores(services)
        wait = _EVERY_S
