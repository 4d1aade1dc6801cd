"""CloudWatch Logs goes by the embedded cloud's clock: it refuses events that are too old or too new by that.

Seam: `moto.logs.models.utcnow`, which moto asks for the time wherever logs need it.
"""

from __future__ import annotations

from datetime import datetime

import moto.logs.models as logs

from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Give moto's logs the cloud's time, in UTC and without a zone as moto has it."""

    def now() -> datetime:
        return parts.clock.now().replace(tzinfo=None)

    logs.utcnow = now
