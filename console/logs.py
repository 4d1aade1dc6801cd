"""The console's log: what an entry says can't look like another entry, whoever has chosen its words.

Names, paths and messages of the cloud hold what others wrote. An entry begins at the left edge; all that
belongs to it, a traceback too, is indented, and control characters are written out (OWASP ASVS 5.0, 16.4.1).
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, begins a line, or turns the direction of the text after it."""
_WITHIN = "    | "


class PlainLines(logging.Formatter):
    """Writes each record as one line at the left edge, with what else belongs to it indented below."""

    def __init__(self) -> None:
        """Begin each entry with its time (UTC), level and logger."""
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - its name there
        """Return when it was, UTC."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text; only its first line begins at the left edge."""
        # Split at `\n` alone: other ends of lines are written out with the rest.
        first, *others = super().format(record).split("\n")
        return "\n".join([_visible(first), *(_WITHIN + _visible(each) for each in others)])


@contextmanager
def logging_to(stream: TextIO) -> Iterator[None]:
    """Write what this process logs to the stream, as plain lines, for as long as the block lasts."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainLines())
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
