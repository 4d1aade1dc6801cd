"""S3 writes that exclude each other: a conditional write is one step, and a retention cannot be taken back.

Seam: `S3Response.put_object`, `delete_object` and `put_object_retention`. moto checks `If-None-Match` and
writes in two steps, so two threads can both win, and it lets anybody shorten a locked version's
retention. Drop this when it locks and refuses.
"""

from __future__ import annotations

import functools
import threading
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import xmltodict  # type: ignore[import-untyped]
from moto.s3.exceptions import AccessDeniedByLock
from moto.s3.responses import S3Response

from sandbox.parts import Parts

_LOCKS = [threading.RLock() for _ in range(64)]
"""One of them per object, by its name: the same name always has the same lock."""


def install(parts: Parts) -> None:
    """Wrap the writes."""
    S3Response.put_object = _one_at_a_time(S3Response.put_object)
    S3Response.delete_object = _one_at_a_time(S3Response.delete_object)
    S3Response.put_object_retention = _kept(S3Response.put_object_retention)


def _one_at_a_time(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(write)
    def locked(request: Any) -> Any:
        name = f"{request.bucket_name}/{request.parse_key_name()}"
        with _LOCKS[zlib.crc32(name.encode()) % len(_LOCKS)]:
            return write(request)

    return locked


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
