"""The files of the account's trails: what was recorded, delivered to each trail's bucket as CloudTrail does.

CloudTrail delivers about five minutes after the call; here it is a quarter of a minute of the cloud's own
clock, and what is due is delivered before the next call is answered, whoever's it is. The digest of an hour
comes likewise; hours that the clock was put forward by come as one.
"""

from __future__ import annotations

import gzip
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from moto.cloudtrail.models import cloudtrail_backends
from werkzeug.wrappers import Response

from sandbox.calls import Call
from sandbox.clock import Clock
from sandbox.locked_objects import put_locked
from sandbox.trail.digests import Chain, Digest, moment, sha256
from sandbox.trail.events import event_of, is_recorded

DELIVERY = timedelta(seconds=15)
"""How long after the first call of a file it is delivered."""
_DIGEST_EVERY = timedelta(hours=1)


@dataclass
class Delivery:
    """What one trail is owed in one region."""

    trail: Any
    """moto's."""
    chain: Chain
    began: datetime
    """Where the next digest begins."""
    waiting: list[dict[str, Any]] = field(default_factory=list)
    first: datetime | None = None
    """When the first of those that wait was recorded."""
    delivered: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    """Files that no digest has yet, with the time of each."""
    previous: Digest | None = None

    def add(self, event: dict[str, Any], now: datetime) -> None:
        """Take an event."""
        self.first = self.first or now
        self.waiting.append(event)

    def deliver(self, now: datetime) -> None:
        """Write what is due: first the events, then the digest."""
        if self.first is not None and now - self.first >= DELIVERY:
            self._write_events(now)
        hours = (now - self.began) // _DIGEST_EVERY
        if hours > 0 and self.trail.log_validation:
            self._write_digest(self.began + hours * _DIGEST_EVERY)

    def _write_events(self, now: datetime) -> None:
        events, self.waiting, self.first = self.waiting, [], None
        content = json.dumps({"Records": events}).encode()
        chain = self.chain
        key = (
            f"{chain.prefix}AWSLogs/{chain.account}/CloudTrail/{chain.region}/{now:%Y/%m/%d}/"
            f"{chain.account}_CloudTrail_{chain.region}_{now:%Y%m%dT%H%MZ}_{secrets.token_hex(8)}.json.gz"
        )
        if not self._put(key, content, {}):
            return
        times = [each["eventTime"] for each in events]
        self.delivered.append(
            (
                now,
                {
                    "s3Bucket": chain.bucket,
                    "s3Object": key,
                    "hashValue": sha256(content),
                    "hashAlgorithm": "SHA-256",
                    "newestEventTime": max(times),
                    "oldestEventTime": min(times),
                },
            )
        )
        self.trail.status.latest_delivery_time = int(now.timestamp())
        self.trail.status.latest_delivery_attempt = moment(now)

    def _write_digest(self, ended: datetime) -> None:
        files = [file for time, file in self.delivered if time < ended]
        digest = self.chain.digest(self.began, ended, files, self.previous)
        signed = {
            "x-amz-meta-signature": digest.signature,
            "x-amz-meta-signature-algorithm": "SHA256withRSA",
        }
        if self._put(digest.key, digest.content, signed):
            self.previous = digest
            self.delivered = [each for each in self.delivered if each[0] >= ended]
        self.began = ended

    def _put(self, key: str, content: bytes, metadata: dict[str, str]) -> bool:
        """Store a file, packed; return whether the bucket is there."""
        about = {"Content-Type": "application/json", "Content-Encoding": "gzip", **metadata}
        packed = gzip.compress(content, mtime=0)
        owner, partition = self.trail.account_id, self.trail.partition
        return put_locked(owner, partition, self.chain.bucket, key, packed, about)


class TrailFiles:
    """The witness that keeps the trails."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deliveries: dict[tuple[str, str], Delivery] = {}

    def asked(self) -> None:
        """Deliver what is due."""
        if self._deliveries:
            now = self._clock.now()
            for delivery in self._deliveries.values():
                delivery.deliver(now)

    def answered(self, environ: dict[str, Any], call: Call, response: Response) -> None:
        """Record the call for each trail that wants it."""
        if not is_recorded(call):
            return
        trails = list(_logging(call.region))
        if not trails:
            return
        now = self._clock.now()
        event = event_of(environ, call, response, now)
        for trail in trails:
            if event is not None and event["recipientAccountId"] == trail.account_id:
                self._delivery(trail, call.region, now).add(event, now)

    def _delivery(self, trail: Any, region: str, now: datetime) -> Delivery:
        """Return what the trail is owed there; one that writes elsewhere than it did begins anew."""
        prefix = f"{trail.s3_key_prefix}/" if trail.s3_key_prefix else ""
        chain = Chain(
            trail.account_id, trail.bucket_name, prefix, region, trail.trail_name, trail.region_name
        )
        found = self._deliveries.get((trail.arn, region))
        if found is None or found.chain != chain or found.trail is not trail:
            found = self._deliveries[trail.arn, region] = Delivery(trail, chain, began=now)
        return found


def _logging(region: str) -> Iterator[Any]:
    """Yield the trails that record calls in the region."""
    for account in list(cloudtrail_backends.values()):
        for backend in list(account.values()):
            for trail in backend.trails.values():
                if trail.status.is_logging and (trail.is_multi_region or trail.region_name == region):
                    yield trail
