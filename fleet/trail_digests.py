"""Whether CloudTrail's signed digests bear out the trail's files: none changed, missing or added.

As `aws cloudtrail validate-logs` does it, in one pass and from any place that can read the bucket:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fleet import aws
from fleet.chain import Finding
from fleet.refused import READS_RECORD, in_words, refused_to
from fleet.session import AccountSession
from fleet.signatures import is_signed
from fleet.trail_files import (
    DigestFile,
    TrailFile,
    digest_files,
    event_files,
    has_digest_before,
    regions,
    unpack,
)

_AT_ONCE = 8
"""Files that are fetched at the same time."""
_MINUTE = datetime.timedelta(minutes=1)
_DIGEST_DUE = datetime.timedelta(hours=2)
"""Digests come every hour; a file that is so much newer than the last one should have had one."""


@dataclass(frozen=True)
class TrailReport:
    """What the digests say of a period."""

    intact: frozenset[str]
    """Keys of the files that a sound digest lists, with the content that they have."""
    waiting: frozenset[str]
    """Keys of files that are too new for a digest."""
    findings: tuple[Finding, ...]
    reach: Mapping[str, datetime.datetime]
    """How far the digests go, by region."""
    unchecked: tuple[str, ...]
    """Why something was not checked, where it was not."""

    @property
    def sound(self) -> bool:
        """Whether digests bear out files of this time, all of them, and nothing was found."""
        return bool(self.intact) and not self.findings and not self.unchecked


@dataclass
class _Region:
    """One region while it is checked."""

    account: AccountSession
    name: str
    keys: Mapping[str, bytes]
    """CloudTrail's public keys by their fingerprints."""
    files: list[TrailFile]
    intact: set[str] = field(default_factory=set)
    listed: dict[str, str] = field(default_factory=dict)
    """The hash of each file that a sound digest lists."""
    findings: list[Finding] = field(default_factory=list)
    began: datetime.datetime | None = None
    reach: datetime.datetime | None = None
    _holes: list[tuple[datetime.datetime, datetime.datetime]] = field(default_factory=list)
    """Times whose digests are missing: nothing can be said of their files."""
    _before: tuple[DigestFile, bytes, str] | None = None
    """The digest before: its file, content and signature."""

    def check(self, file: DigestFile) -> None:
        """Check one digest, its link to the one before, and the files that it lists."""
        body, signature = self.account.ledger.objects.signed(file.key, file.version)
        try:
            content = unpack(body)
            digest = json.loads(content)
            why = self._wrong(file, content, digest, signature)
        except (ValueError, KeyError, TypeError, AttributeError):
            why = "not a digest: its content is broken or incomplete"
        if why:
            self._find(file.key, "changed", why)
            return
        if not file.is_backfill:
            self._check_link(file, digest)
            self._before = (file, content, signature)
            self.began = self.began or datetime.datetime.fromisoformat(digest["digestStartTime"])
            self.reach = file.ended
        self.listed |= {str(each["s3Object"]): str(each["hashValue"]) for each in digest["logFiles"]}

    def _wrong(self, file: DigestFile, content: bytes, digest: Mapping[str, Any], signature: str) -> str:
        """Return what is wrong with a digest by itself, "" for nothing."""
        bucket, key = digest["digestS3Bucket"], digest["digestS3Object"]
        if (bucket, key) != (self.account.ledger.bucket, file.key):
            return f"it belongs at s3://{bucket}/{key}"
        public = self.keys.get(digest["digestPublicKeyFingerprint"])
        if public is None:
            return "it is signed with a key that is none of CloudTrail's of that time"
        before = digest["previousDigestSignature"] or "null"
        signed = f"{digest['digestEndTime']}\n{bucket}/{key}\n{_sha256(content)}\n{before}"
        if not is_signed(public, signed.encode(), bytes.fromhex(signature)):
            return "its signature is not CloudTrail's"
        return "" if isinstance(digest["logFiles"], list) else "it lists no files"

    def _check_link(self, file: DigestFile, digest: Mapping[str, Any]) -> None:
        before = digest["previousDigestS3Object"]
        if self._before is None:
            self._check_first(file, before)
            return
        last, content, signature = self._before
        linked = (before, digest["previousDigestHashValue"], digest["previousDigestSignature"])
        if linked == (last.key, _sha256(content), signature):
            return
        self._holes.append((last.ended, datetime.datetime.fromisoformat(digest["digestStartTime"])))
        what = (
            "the digests begin anew here: the trail was stopped, or its digests were switched off, before"
            if before is None
            else f"a digest between {last.key.rpartition('/')[2]} and this one is missing"
        )
        self._find(file.key, "missing", what)

    def _check_first(self, file: DigestFile, before: str | None) -> None:
        """Check that the first digest of the period follows on the one that it names."""
        if before is not None and not self.account.ledger.objects.oldest(before):
            self._find(file.key, "missing", f"the digest before it, {before.rpartition('/')[2]}, is missing")
        if before is None and has_digest_before(self.account, self.name, file.key):
            self._find(file.key, "missing", "the digests begin anew here: the trail was stopped before")

    def check_files(self) -> None:
        """Hold every file that is listed against its hash."""
        objects = self.account.ledger.objects
        versions = {file.key: file.version for file in self.files}

        def read(key: str) -> bytes | None:
            version = versions.get(key)
            return objects.get(key, version) if version else objects.first_written(key)

        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            for key, body in zip(self.listed, pool.map(read, self.listed), strict=True):
                self._check_file(key, body)

    def _check_file(self, key: str, body: bytes | None) -> None:
        if body is None:
            self._find(key, "missing", "a signed digest lists it")
            return
        try:
            same = _sha256(unpack(body)) == self.listed[key]
        except ValueError:
            same = False
        if same:
            self.intact.add(key)
        else:
            self._find(key, "changed", "its content does not give the hash in its signed digest")

    def check_rest(self) -> set[str]:
        """Look for files that no digest lists, and return those that are too new for one."""
        waiting = set()
        for file in self.files:
            if file.key in self.listed:
                continue
            if self.reach is None or file.delivered + _MINUTE > self.reach:
                waiting.add(file.key)
                if self.reach is not None and file.delivered - self.reach > _DIGEST_DUE:
                    self._find(file.key, "missing", "there should be a digest of its hour")
            elif self.began is not None and file.delivered >= self.began and not self._is_in_a_hole(file):
                self._find(file.key, "added", "no digest of its time lists it")
        return waiting

    def _is_in_a_hole(self, file: TrailFile) -> bool:
        return any(start - _MINUTE < file.delivered < end for start, end in self._holes)

    def _find(self, key: str, kind: str, what: str) -> None:
        self.findings.append(Finding(name=key, kind=kind, what=what))


@refused_to("read the account's trail", READS_RECORD)
def verify_trail(
    account: AccountSession, since: datetime.datetime, until: datetime.datetime, *, region: str = ""
) -> TrailReport:
    """Check the files of the period, in one region or in all; what can't be read of one is unchecked."""
    intact: set[str] = set()
    waiting: set[str] = set()
    findings: list[Finding] = []
    reach: dict[str, datetime.datetime] = {}
    unchecked: list[str] = []
    for name in [region] if region else regions(account):
        try:
            files = event_files(account, name, since, until)
            checked = _Region(account, name, _public_keys(account, name, since, until), files)
            for digest in digest_files(account, name, since, until):
                checked.check(digest)
            checked.check_files()
            waiting |= checked.check_rest()
        except Exception as error:
            if not aws.is_cloud_error(error):
                raise
            unchecked.append(f"the digests of {name}: {in_words(error)}")
            continue
        intact |= checked.intact
        findings += checked.findings
        if checked.reach is not None:
            reach[name] = checked.reach
    if not (intact or waiting or findings or unchecked):
        unchecked.append("there is no file of the trail's of this time")
    return TrailReport(frozenset(intact), frozenset(waiting), tuple(findings), reach, tuple(unchecked))


def _public_keys(
    account: AccountSession, region: str, since: datetime.datetime, until: datetime.datetime
) -> dict[str, bytes]:
    """Return the keys that CloudTrail signed with in the region at the time."""
    client = aws.client(account.cloud, "cloudtrail", region)
    day = datetime.timedelta(days=1)
    ask: Callable[..., dict[str, Any]] = client.list_public_keys
    found: dict[str, bytes] = {}
    token: dict[str, str] = {}
    while True:
        answer = ask(StartTime=since - day, EndTime=until + day, **token)
        found |= {each["Fingerprint"]: bytes(each["Value"]) for each in answer["PublicKeyList"]}
        if not answer.get("NextToken"):
            return found
        token = {"NextToken": answer["NextToken"]}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
