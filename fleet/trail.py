"""The account's trail, read from its own files: who called what, when and from where.

They are read from the locked bucket as they were first written; `fleet/trail_digests.py` says whether
CloudTrail's signed digests bear them out. Event history is not asked: it forgets after 90 days, and it is
nothing that anybody could check afterwards.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fleet.identity import person
from fleet.session import AccountSession
from fleet.trail_files import TrailFile, event_files, regions, unpack

_AT_ONCE = 8
"""Files that are fetched at the same time."""


@dataclass(frozen=True, kw_only=True)
class TrailEvent:
    """One call."""

    id: str
    """CloudTrail's."""
    time: datetime.datetime
    """UTC, to the second."""
    source: str
    """`ssm.amazonaws.com`."""
    name: str
    """`StartSession`."""
    region: str
    who: str
    """ARN of the caller, or the name of the service of AWS's that called."""
    person: str
    """The person that the cloud itself vouches for, "" where there is none."""
    address: str
    """Where the call came from: an IP address, or a service of AWS's."""
    agent: str
    request: Mapping[str, Any]
    """What was asked for, as CloudTrail has it; it hides secrets, and the parameters of commands."""
    answer: Mapping[str, Any]
    """What was answered, or what a service of AWS's told by itself; nothing for a call that only looked."""
    error: str
    """Code of a refusal or failure, "" for a call that went through."""
    file: str
    """Key of the file that holds it."""

    def names(self, *things: str) -> bool:
        """Return whether one of these ids stands anywhere in what was asked or answered, as a whole value."""
        wanted = set(things)
        return any(text in wanted for text in texts_in((self.request, self.answer)))

    def answers(self) -> Iterator[str]:
        """Yield every text of what was answered."""
        return texts_in(self.answer)


def read_trail(
    account: AccountSession, since: datetime.datetime, until: datetime.datetime, *, region: str = ""
) -> Iterator[TrailEvent]:
    """Yield the calls of the period, each once, as their files were delivered; `region` limits it to one.

    A file that is not one of CloudTrail's any more is left out: `verify_trail` names it.
    """
    since = since.replace(microsecond=0)  # CloudTrail has whole seconds
    for each in [region] if region else regions(account):
        seen: set[str] = set()
        for file, record in _records(account, event_files(account, each, since, until)):
            event = _event(file.key, record)
            if event is not None and since <= event.time < until and event.id not in seen:
                seen.add(event.id)  # CloudTrail may deliver an event twice
                yield event


def _records(account: AccountSession, files: list[TrailFile]) -> Iterator[tuple[TrailFile, dict[str, Any]]]:
    def fetch(file: TrailFile) -> list[dict[str, Any]]:
        try:
            content = json.loads(unpack(account.ledger.objects.get(file.key, file.version)))
            return [each for each in content["Records"] if isinstance(each, dict)]
        except (ValueError, KeyError, TypeError):
            return []

    rest = iter(files)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        while some := list(islice(rest, _AT_ONCE * 4)):  # a year's files are not held all at once
            for file, records in zip(some, pool.map(fetch, some), strict=True):
                yield from ((file, each) for each in records)


def _event(file: str, record: Mapping[str, Any]) -> TrailEvent | None:
    """Return the event, None for a record without the fields that every one of CloudTrail's has."""
    try:
        identity = record.get("userIdentity") or {}
        return TrailEvent(
            id=str(record["eventID"]),
            time=datetime.datetime.fromisoformat(record["eventTime"]),
            source=str(record["eventSource"]),
            name=str(record["eventName"]),
            region=str(record["awsRegion"]),
            who=str(identity.get("arn") or identity.get("invokedBy") or identity.get("type") or ""),
            person=_person(identity),
            address=str(record.get("sourceIPAddress") or ""),
            agent=str(record.get("userAgent") or ""),
            request=dict(record.get("requestParameters") or {}),
            answer=dict(record.get("responseElements") or record.get("serviceEventDetails") or {}),
            error=str(record.get("errorCode") or ""),
            file=file,
        )
    except (KeyError, ValueError, TypeError):
        return None


def _person(identity: Mapping[str, Any]) -> str:
    """Return the person behind a call, where one of fleetform's own roles proves them.

    A source identity alone proves nobody: outside of these roles whoever takes one on may choose it.
    """
    who = person(str(identity.get("arn") or ""))
    context = identity.get("sessionContext") or {}
    return who if context.get("sourceIdentity", who) == who else ""


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in a part of a call, however deep; names of fields are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts_in(each)
