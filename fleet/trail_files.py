"""Where the trail's files lie in the locked bucket, and which of them hold a period.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html
"""

from __future__ import annotations

import datetime
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fleet.session import AccountSession
from stacks import naming

LATE = datetime.timedelta(days=1)
"""How long after a call its file is looked for; most come within minutes."""
_MINUTE = datetime.timedelta(minutes=1)
_EVENTS = re.compile(r"/\d+_CloudTrail_([a-z0-9-]+)_(\d{8}T\d{4})Z_\w+\.json\.gz$")
_DIGESTS = re.compile(r"_(\d{8}T\d{6})Z(_backfill)?\.json\.gz$")


@dataclass(frozen=True, order=True)
class TrailFile:
    """One file of events, in the version that was first written."""

    delivered: datetime.datetime
    """To the minute, as its name has it."""
    region: str
    key: str
    version: str


@dataclass(frozen=True, order=True)
class DigestFile:
    """One digest, in the version that was first written."""

    ended: datetime.datetime
    """End of the time that it is about."""
    is_backfill: bool
    """Whether it is one of those that come later, for files that came late."""
    key: str
    version: str


def regions(account: AccountSession) -> list[str]:
    """Return the regions that the trail has written of."""
    prefix, objects = _folder(account, "CloudTrail"), account.ledger.objects
    pages = objects.s3.get_paginator("list_objects_v2").paginate(
        Bucket=objects.name, Prefix=prefix, Delimiter="/"
    )
    found = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])]
    return sorted(each.removeprefix(prefix).rstrip("/") for each in found)


def event_files(
    account: AccountSession, region: str, since: datetime.datetime, until: datetime.datetime
) -> list[TrailFile]:
    """Return the files that may hold calls of the period, by their time of delivery."""
    found = []
    for key, version in _between(account, f"{_folder(account, 'CloudTrail')}{region}/", since, until):
        if named := _EVENTS.search(key):
            delivered = _time(named[2], "%Y%m%dT%H%M")
            if delivered + _MINUTE >= since and delivered <= until + LATE:
                found.append(TrailFile(delivered, named[1], key, version))
    return sorted(found)


def digest_files(
    account: AccountSession, region: str, since: datetime.datetime, until: datetime.datetime
) -> list[DigestFile]:
    """Return the digests of the period and of the day after it, in order."""
    found = []
    for key, version in _between(account, f"{_folder(account, 'CloudTrail-Digest')}{region}/", since, until):
        named = _DIGESTS.search(key)
        if named and (ended := _time(named[1], "%Y%m%dT%H%M%S")) > since:
            found.append(DigestFile(ended, bool(named[2]), key, version))
    return sorted(found)


def has_digest_before(account: AccountSession, region: str, key: str) -> bool:
    """Return whether the region has a digest whose name comes before this one's."""
    objects = account.ledger.objects
    prefix = f"{_folder(account, 'CloudTrail-Digest')}{region}/"
    answer = objects.s3.list_objects_v2(Bucket=objects.name, Prefix=prefix, MaxKeys=1)
    return any(each["Key"] < key for each in answer.get("Contents", []))


def unpack(data: bytes) -> bytes:
    """Return a file's content; raises ValueError for what is not packed as CloudTrail packs it."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise ValueError(str(error)) from error


def _between(
    account: AccountSession, prefix: str, since: datetime.datetime, until: datetime.datetime
) -> Iterator[tuple[str, str]]:
    """Yield the first versions of what lies in the folders of these days, and of the day after."""
    end = until + LATE + datetime.timedelta(days=1)
    between = {"after": f"{prefix}{since:%Y/%m/%d}/", "before": f"{prefix}{end:%Y/%m/%d}/"}
    yield from account.ledger.objects.oldest(prefix, **between).items()


def _folder(account: AccountSession, kind: str) -> str:
    account_id = account.caller.split(":")[4]
    return f"{naming.TRAIL_PREFIX}AWSLogs/{account_id}/{kind}/"


def _time(text: str, form: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, form).replace(tzinfo=datetime.UTC)
