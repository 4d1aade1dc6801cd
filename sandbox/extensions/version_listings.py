"""Versions listed from a key on: those of every key after it, as S3 answers a KeyMarker without a version.

Seam: `S3Backend.list_object_versions`. moto leaves out the first version after the marker; drop this when it
does not.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.core.utils import unix_time_millis
from moto.s3.models import S3Backend

from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Wrap the listing."""
    listed = S3Backend.list_object_versions

    @functools.wraps(listed)
    def list_object_versions(
        self: Any,
        bucket_name: str,
        delimiter: str | None = None,
        key_marker: str | None = None,
        max_keys: int | None = 1000,
        prefix: str = "",
        version_id_marker: str | None = None,
    ) -> Any:
        if key_marker is not None and not version_id_marker and not delimiter:
            key_marker, version_id_marker = _last_version(self.get_bucket(bucket_name), key_marker)
        return listed(self, bucket_name, delimiter, key_marker, max_keys, prefix, version_id_marker)

    S3Backend.list_object_versions = list_object_versions


def _last_version(bucket: Any, marker: str) -> tuple[str | None, str | None]:
    """Return the last version that is not after the marker, in moto's order; none where all of them are."""
    names = [name for name in bucket.keys if name <= marker]
    if not names:
        return None, None
    last = max(names)
    versions = sorted(bucket.keys.getlist(last), key=lambda each: -unix_time_millis(each.last_modified))
    return last, str(versions[-1].version_id)
