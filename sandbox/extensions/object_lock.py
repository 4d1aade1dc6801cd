"""Default retention of a bucket that already holds objects: allowed, as S3 has allowed it since 2023.

Seam: `S3Backend.put_object_lock_configuration`. moto refuses it for a bucket that is not empty
(`InvalidBucket`); drop this when it does not.
"""

from __future__ import annotations

from typing import Any

from moto.s3.exceptions import InvalidBucketState
from moto.s3.models import S3Backend

from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Replace the check."""

    def put_object_lock_configuration(
        self: Any,
        bucket_name: str,
        lock_enabled: bool,
        mode: str | None = None,
        days: int | None = None,
        years: int | None = None,
    ) -> None:
        bucket = self.get_bucket(bucket_name)
        if not bucket.is_versioned:
            raise InvalidBucketState("Versioning must be 'Enabled' on the bucket")
        bucket.object_lock_enabled = bucket.object_lock_enabled or lock_enabled
        bucket.default_lock_mode = mode
        bucket.default_lock_days = days
        bucket.default_lock_years = years

    S3Backend.put_object_lock_configuration = put_object_lock_configuration
