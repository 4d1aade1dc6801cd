"""The digests of a trail's files: each hour's files with their hashes, chained and signed.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

_KEY_BITS = 2048


@dataclass(frozen=True)
class Digest:
    """One digest as it was written."""

    key: str
    """Its object's."""
    content: bytes
    """Uncompressed."""
    signature: str
    """In hex."""


@dataclass(frozen=True)
class Chain:
    """What all digests of one trail in one region have in common."""

    account: str
    bucket: str
    prefix: str
    """Of the trail's files in the bucket, `trail/`."""
    region: str
    trail: str
    home: str
    """The trail's home region."""

    def digest(
        self, began: datetime, ended: datetime, files: Sequence[dict[str, Any]], previous: Digest | None
    ) -> Digest:
        """Return the signed digest of the files that were delivered between the two times."""
        key = (
            f"{self.prefix}AWSLogs/{self.account}/CloudTrail-Digest/{self.region}/{ended:%Y/%m/%d}/"
            f"{self.account}_CloudTrail-Digest_{self.region}_{self.trail}_{self.home}_"
            f"{ended:%Y%m%dT%H%M%SZ}.json.gz"
        )
        times = [file[name] for file in files for name in ("oldestEventTime", "newestEventTime")]
        about = {
            "awsAccountId": self.account,
            "digestStartTime": moment(began),
            "digestEndTime": moment(ended),
            "digestS3Bucket": self.bucket,
            "digestS3Object": key,
            "digestPublicKeyFingerprint": fingerprint(),
            "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": max(times, default=None),
            "oldestEventTime": min(times, default=None),
            "previousDigestS3Bucket": self.bucket if previous else None,
            "previousDigestS3Object": previous.key if previous else None,
            "previousDigestHashValue": sha256(previous.content) if previous else None,
            "previousDigestHashAlgorithm": "SHA-256" if previous else None,
            "previousDigestSignature": previous.signature if previous else None,
            "logFiles": list(files),
        }
        content = json.dumps(about).encode()
        before = previous.signature if previous else "null"
        signed = f"{moment(ended)}\n{self.bucket}/{key}\n{sha256(content)}\n{before}"
        signature = _private_key().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()).hex()
        return Digest(key, content, signature)


def moment(time: datetime) -> str:
    """Return a time as the files have it."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def sha256(content: bytes) -> str:
    """Return the hash in hex."""
    return hashlib.sha256(content).hexdigest()


def public_key() -> bytes:
    """Return the key that the signatures are checked by, as ListPublicKeys answers it: PKCS #1 in DER."""
    return (
        _private_key().public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    )


def fingerprint() -> str:
    """Return what the key is called."""
    return hashlib.md5(public_key(), usedforsecurity=False).hexdigest()


@functools.cache
def _private_key() -> rsa.RSAPrivateKey:
    """Return this embedded cloud's key, made when it is first asked for."""
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
