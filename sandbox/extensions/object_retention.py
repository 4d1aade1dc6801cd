"""Retention of an S3 version that can be made longer and not shorter.

Seam: `S3Response.put_object_retention`. moto lets anybody shorten a locked version's retention or take it
away; drop this when it refuses.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any

import xmltodict  # type: ignore[import-untyped]
from moto.s3.exceptions import AccessDeniedByLock
from moto.s3.responses import S3Response

from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Wrap the action."""
    S3Response.put_object_retention = _kept(S3Response.put_object_retention)


def _kept(put: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(put)
    def put_object_retention(request: Any) -> Any:
        version = request.backend.get_object(
            request.bucket_name, request.parse_key_name(), version_id=request._get_param("versionId")
        )
        bypass = request.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"
        if version is not None and version.is_locked(governance_bypass=bypass):
            wanted = xmltodict.parse(request.body).get("Retention") or {}
            same_mode = version.lock_mode in (None, "GOVERNANCE") or wanted.get("Mode") == version.lock_mode
            if not same_mode or _moment(wanted.get("RetainUntilDate")) < _moment(version.lock_until):
                raise AccessDeniedByLock
        return put(request)

    return put_object_retention


def _moment(text: str | None) -> datetime:
    """Return a retention's end; one that is not given is before all others."""
    if not text:
        return datetime.min
    return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None)
