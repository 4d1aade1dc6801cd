"""How much people may bring, and how long what they have not finished is kept."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

CHUNK_BYTES = 8 * 2**20
"""What a browser sends at once: a connection that breaks costs no more than that."""


@dataclass(frozen=True, kw_only=True)
class UploadLimits:
    """A console's limits of uploads."""

    upload_bytes: int = 2 * 2**30
    """Of one upload's files together; of an archive also unpacked."""
    files: int = 20_000
    """In one upload, or one archive."""
    picture_pixels: int = 50_000_000
    """Of one picture; one that has more counts as broken, and is not decoded."""
    person_bytes: int = 10 * 2**30
    """Of all uploads of one person that are kept; a small file counts as 4 KiB."""
    unfinished: datetime.timedelta = datetime.timedelta(days=2)
    """How long one that is not ready is kept after something last came."""
    check_seconds: int = 1800
    """Processor time that a check may take."""
    check_memory_bytes: int = 4 * 2**30
    """Memory that a check may take."""
