"""Trails that write: the calls of the account as files in a trail's bucket, with signed digests.

Seam: a witness of every answered call (`sandbox/witness.py`), and the action ListPublicKeys on
`CloudTrailResponse`, which moto finds by its name. moto keeps a trail's settings and records nothing; drop
this when it does. LookupEvents is not there: read the files.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from moto.cloudtrail.responses import CloudTrailResponse

from sandbox.parts import Parts
from sandbox.trail.digests import fingerprint, public_key
from sandbox.trail.files import TrailFiles

_VALID_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_VALID_TO = datetime(2100, 1, 1, tzinfo=UTC)
"""A clock that was put forward has the same key."""


def install(parts: Parts) -> None:
    """Keep the trails from now on."""
    parts.witnesses.append(TrailFiles(parts.clock))
    CloudTrailResponse.list_public_keys = list_public_keys


def list_public_keys(request: Any) -> str:
    """ListPublicKeys: the one that this cloud signs with."""
    key = {
        "Value": base64.b64encode(public_key()).decode(),
        "ValidityStartTime": _VALID_FROM.timestamp(),
        "ValidityEndTime": _VALID_TO.timestamp(),
        "Fingerprint": fingerprint(),
    }
    return json.dumps({"PublicKeyList": [key]})
