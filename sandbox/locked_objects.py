"""Objects that AWS itself writes: the trail's files, the transcripts of sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.s3.models import s3_backends


def put_locked(
    account: str,
    partition: str,
    bucket_name: str,
    key: str,
    content: bytes,
    metadata: Mapping[str, str] | None = None,
) -> bool:
    """Store an object, locked as its bucket has it by default; return whether there is such a bucket."""
    backend = s3_backends[account][partition]
    bucket = backend.buckets.get(bucket_name)
    if bucket is None:
        return False
    lock: dict[str, Any] = {}
    if bucket.has_default_lock:
        lock = {"lock_mode": bucket.default_lock_mode, "lock_until": bucket.default_retention()}
    stored = backend.put_object(bucket_name, key, content, **lock)
    stored.set_metadata(dict(metadata or {}))
    return True
