"""Versions listed from a key on: those of every key after it, as S3 answers a KeyMarker without a version.

Seam: `S3Backend.list_object_versions`. moto leaves out the first version after the marker, and copies every
version of the bucket for each listing; drop this when it does neither.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from moto.core.utils import unix_time_millis
from moto.s3.models import S3Backend

from sandbox.extensions.key_listings import SortedKeys, after_all
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
        keys = self.get_bucket(bucket_name).keys
        if key_marker is not None and not version_id_marker and not delimiter:
            key_marker, version_id_marker = _last_version(keys, key_marker)
        if version_id_marker and (key_marker or "") < (prefix or ""):
            key_marker, version_id_marker = None, None  # all that is asked for comes after it
        some = _Some(keys, max(prefix or "", key_marker or ""), prefix or "", None if delimiter else max_keys)
        backend = _Narrowed(self, some)
        return listed(backend, bucket_name, delimiter, key_marker, max_keys, prefix, version_id_marker)

    S3Backend.list_object_versions = list_object_versions


class _Some:
    """Some of a bucket's keys: so many as a page can show, for each has a version."""

    def __init__(self, keys: SortedKeys, begin: str, prefix: str, most: int | None) -> None:
        self._keys = keys
        names = keys.names(begin, after_all(prefix))
        self._names = names if most is None else names[: most + 2]

    def iterlists(self) -> Iterator[tuple[str, list[Any]]]:
        """Yield each with its versions, as moto's store does."""
        for name in self._names:
            if versions := self._keys.getlist(name):
                yield name, list(versions)


class _Narrowed:
    """The backend, whose bucket has those keys alone."""

    def __init__(self, backend: Any, keys: _Some) -> None:
        self._backend, self._bucket = backend, SimpleNamespace(keys=keys)

    def get_bucket(self, name: str) -> Any:
        """Return the bucket as the listing is to see it."""
        return self._bucket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def _last_version(keys: SortedKeys, marker: str) -> tuple[str | None, str | None]:
    """Return the last version that is not after the marker, in moto's order; none where all of them are."""
    names = keys.names("", marker + "\0")
    if not names:
        return None, None
    versions = sorted(keys.getlist(names[-1]), key=lambda each: -unix_time_millis(each.last_modified))
    return names[-1], str(versions[-1].version_id)
