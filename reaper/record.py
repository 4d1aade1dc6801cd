"""The reaper's entries in the ledger, in the same chain as everybody's.

The entry's form and its hash are `fleet/chain.py`, which travels with this room.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from fleet import chain
from reaper.aws import Aws, error_code

PREFIX = "ledger/"
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}
_ATTEMPTS = 100


class Record:
    """The ledger's end, to which entries are appended in the function's name."""

    def __init__(self, aws: Aws, bucket: str, identity: str, function: str, now: datetime.datetime) -> None:
        self._s3 = aws.client("s3")
        # The header itself, for the boto3 that Lambda brings may be older than the argument IfNoneMatch.
        self._s3.meta.events.register("before-call.s3.PutObject", _only_if_new, unique_id="only-if-new")
        self._bucket = bucket
        self._actor = {"identity": identity, "os_user": "lambda", "host": function}
        self._now = now

    def append(self, event: str, target: str, outcome: str, details: Mapping[str, Any]) -> None:
        """Write the next entry. Raises whatever S3 raises; another writer who is faster is not an error."""
        for _ in range(_ATTEMPTS):
            sequence, previous = self._tail()
            entry: dict[str, Any] = {
                "sequence": sequence + 1,
                "time": self._now.isoformat(timespec="milliseconds"),
                "event": event,
                "actor": self._actor,
                "target": target,
                "outcome": outcome,
                "details": json.loads(json.dumps(details, default=str)),
                "prev_hash": previous,
            }
            if self._put({**entry, "hash": chain.entry_hash(entry)}):
                return
        raise RuntimeError(f"the ledger s3://{self._bucket} is too busy: {_ATTEMPTS} appends lost their race")

    def _put(self, entry: Mapping[str, Any]) -> bool:
        """Write the entry unless its number is taken; return whether it was written."""
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=PREFIX + chain.entry_name(entry["sequence"]),
                Body=json.dumps(entry, indent=2, ensure_ascii=False).encode(),
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",  # a bucket with Object Lock takes nothing without a checksum
            )
        except Exception as error:
            if error_code(error) in _TAKEN:
                return False
            raise
        return True

    def _tail(self) -> tuple[int, str]:
        """Return the last entry's number and hash."""
        last = chain.find_tail(self._exists_after)
        if not last:
            return 0, chain.GENESIS
        body = self._s3.get_object(Bucket=self._bucket, Key=PREFIX + chain.entry_name(last))["Body"].read()
        return last, str(json.loads(body)["hash"])

    def _exists_after(self, sequence: int) -> bool:
        start = PREFIX + chain.entry_name(sequence)
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=PREFIX, StartAfter=start, PaginationConfig={"PageSize": 10}
        )
        names = (item["Key"].removeprefix(PREFIX) for page in pages for item in page.get("Contents", []))
        return any(map(chain.is_entry_name, names))  # the first, but for strays


def _only_if_new(params: dict[str, Any], **_: Any) -> None:
    """Let S3 refuse the PUT of a key that exists."""
    params["headers"]["If-None-Match"] = "*"
