"""The reaper's entries in the ledger, in the same chain as everybody's.

The entry's form and its hash are `fleet/chain.py`, which travels with this room.
"""

from __future__ import annotations

import datetime
import json
import random
import time
import uuid
from collections.abc import Mapping
from typing import Any

from fleet import chain
from reaper.aws import Aws, error_code

PREFIX = "ledger/"
_TAKEN, _AT_ONCE = "PreconditionFailed", "ConditionalRequestConflict"
"""Somebody has the key, or writes it this moment: then it is to be tried again (S3's API, PutObject)."""
_CONFLICTS = 5
_ATTEMPTS = 100
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 1.0


class Record:
    """The ledger's end, to which entries are appended in the function's name."""

    def __init__(self, aws: Aws, bucket: str, identity: str, function: str, now: datetime.datetime) -> None:
        self.s3 = aws.client("s3")
        # The header itself, for the boto3 that Lambda brings may be older than the argument IfNoneMatch.
        self.s3.meta.events.register("before-call.s3.PutObject", _only_if_new, unique_id="only-if-new")
        self.bucket = bucket
        self._actor = {"identity": identity, "os_user": "lambda", "host": function}
        self._now = now

    def append(self, event: str, target: str, outcome: str, details: Mapping[str, Any]) -> None:
        """Write the next entry. Raises whatever S3 raises; another writer who is faster is not an error."""
        content: dict[str, Any] = {
            "id": uuid.uuid4().hex,
            "time": self._now.isoformat(timespec="milliseconds"),
            "event": event,
            "actor": self._actor,
            "target": target,
            "outcome": outcome,
            "details": json.loads(json.dumps(details, default=str)),
        }
        for attempt in range(_ATTEMPTS):
            sequence, previous = self._tail()
            if self._put(chain.sealed(content, sequence + 1, previous)):
                return
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)))  # noqa: S311
        raise RuntimeError(f"the ledger s3://{self.bucket} is too busy: {_ATTEMPTS} appends lost their race")

    def put(self, key: str, body: bytes) -> bool:
        """Write an object unless there is one; return whether it was written."""
        for _ in range(_CONFLICTS):
            try:
                self.s3.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ContentType="application/json",
                    ChecksumAlgorithm="SHA256",  # a bucket with Object Lock takes nothing without a checksum
                )
                return True
            except Exception as error:
                if error_code(error) == _TAKEN:
                    return False
                if error_code(error) != _AT_ONCE:
                    raise
            time.sleep(_FIRST_PAUSE_S)
        return False

    def last_number(self, folder: str) -> int:
        """Return the highest number of an entry, or a checkpoint, in a folder of the bucket; 0 for none."""

        def exists_after(sequence: int) -> bool:
            start = folder + chain.entry_name(sequence)
            pages = self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=folder, StartAfter=start, PaginationConfig={"PageSize": 10}
            )
            names = (item["Key"].removeprefix(folder) for page in pages for item in page.get("Contents", []))
            return any(map(chain.is_entry_name, names))  # the first, but for strays

        return chain.find_tail(exists_after)

    def read(self, key: str) -> bytes:
        """Return an object of the bucket; raises whatever S3 raises."""
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def _put(self, entry: Mapping[str, Any]) -> bool:
        """Write the entry unless its number is taken; return whether it is there."""
        key = PREFIX + chain.entry_name(entry["sequence"])
        if self.put(key, json.dumps(entry, indent=2, ensure_ascii=False).encode()):
            return True
        # Taken by ourselves, where the answer to the client's first try was lost and it tried again.
        return bool(json.loads(self.read(key)).get("hash") == entry["hash"])

    def _tail(self) -> tuple[int, str]:
        """Return the last entry's number and hash."""
        last = self.last_number(PREFIX)
        if not last:
            return 0, chain.GENESIS
        return last, str(json.loads(self.read(PREFIX + chain.entry_name(last)))["hash"])


def _only_if_new(params: dict[str, Any], **_: Any) -> None:
    """Let S3 refuse the PUT of a key that exists."""
    params["headers"]["If-None-Match"] = "*"
