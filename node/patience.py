"""Bears with a cloud that does not answer for a while: a run of days must survive minutes without network."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from node.aws import aws_errors

Result = TypeVar("Result")
PATIENCE_SECONDS = 600.0
_FIRST_PAUSE_SECONDS, _PAUSE_SECONDS = 1.0, 5.0


def persist(
    act: Callable[[], Result],
    patience: float = PATIENCE_SECONDS,
    pause: float = _PAUSE_SECONDS,
    worth: Callable[[Exception], bool] = lambda error: True,
) -> Result:
    """Return what `act` returns; while AWS refuses or can't be reached, do it again for `patience` seconds.

    Then the error is raised, and at once where it is not `worth` another try. `act` must be one that may be
    done twice. Each call has been tried several times by then: see node/aws.py. The first pauses are short,
    for most refusals are over in a moment; `pause` is about the longest, in seconds.
    """
    deadline, pauses = time.monotonic() + patience, growing(min(_FIRST_PAUSE_SECONDS, pause), pause)
    while True:
        try:
            return act()
        except aws_errors() as error:
            if time.monotonic() > deadline or not worth(error):
                raise
            print(f"the cloud refused or did not answer, trying again: {error}", file=sys.stderr)
            time.sleep(next(pauses))


def growing(first: float, most: float) -> Iterator[float]:
    """Yield pauses between looks for something that may take long, seconds: from `first` to `most`.

    No two machines' are alike: hundreds that wait for the same would else ask EC2 for it at once.
    """
    pause = first
    while True:
        yield pause * random.uniform(0.7, 1.3)  # noqa: S311 - no secret
        pause = min(most, pause * 1.3)
