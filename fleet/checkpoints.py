"""Signed checkpoints of the ledger: what one says, what of it is signed, and its place beside the ledger.

`checkpoints/<12-digit number>.json` in the locked bucket says that the entry of that number had that hash
when the account's reaper had verified the chain up to it (reaper/witness.py), and names the checkpoint before
it by its digest. It is signed by a key of KMS's that only the reaper may sign with, so whoever can write to
the ledger, or to a copy of it, cannot sign another past. Standard library alone: this travels with the reaper
and with every export.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet import chain

FORMAT = "fleetform-checkpoint/1"
FOLDER = "checkpoints/"
"""In the locked bucket, and in a copy."""
KEY_FILE = "checkpoint-key.der"
"""The public key in a copy: SubjectPublicKeyInfo in DER (RFC 5280, 4.1), as KMS's GetPublicKey answers it."""
ALGORITHM = "RSASSA_PKCS1_V1_5_SHA_256"
"""As KMS calls it; what a verifier can compute with the standard library alone."""
EVERY = 1000
"""There is one at each multiple of this number, and one at the end whenever the reaper looks."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What one checkpoint says."""

    head: str
    """`SEQUENCE:HASH` of the entry."""
    time: str
    """When it was signed, in UTC, by the cloud's clock."""
    previous: str
    """`SEQUENCE:SHA256` of the file of the checkpoint before it, "" for the first."""
    key_sha256: str
    """SHA-256 of the public key, in hex."""

    @property
    def sequence(self) -> int:
        """The entry's number."""
        return int(self.head.partition(":")[0])

    @property
    def mark(self) -> chain.Mark:
        """What it says of the entry."""
        return chain.Mark(self.head.partition(":")[2], self.time)

    def signed_bytes(self) -> bytes:
        """Return what the signature is over: the canonical JSON of all but the signature itself."""
        return chain.canonical({"format": FORMAT, "algorithm": ALGORITHM, **vars(self)})

    def to_file(self, signature: bytes) -> bytes:
        """Return the file of the checkpoint with its signature."""
        said = {"format": FORMAT, "algorithm": ALGORITHM, **vars(self)}
        said["signature"] = base64.b64encode(signature).decode()
        return json.dumps(said, indent=2).encode()


def is_multiple(sequence: int) -> bool:
    """Return whether an entry of that number gets a checkpoint wherever the chain goes on."""
    return sequence % EVERY == 0


def fingerprint(key: bytes) -> str:
    """Return the SHA-256 of a public key or of a checkpoint's file, in hex."""
    return hashlib.sha256(key).hexdigest()


def read_checkpoint(data: bytes) -> tuple[Checkpoint, bytes]:
    """Return what a file says, and its signature; raises ValueError for what is no checkpoint."""
    said = json.loads(data)
    if not isinstance(said, Mapping) or (said.get("format"), said.get("algorithm")) != (FORMAT, ALGORITHM):
        raise ValueError(f"not a checkpoint of the form {FORMAT}")
    fields: dict[str, Any] = {name: said.get(name) for name in ("head", "time", "previous", "key_sha256")}
    if set(said) != {*fields, "format", "algorithm", "signature"}:
        raise ValueError("not the fields of a checkpoint")
    if not all(isinstance(value, str) for value in (*fields.values(), said["signature"])):
        raise ValueError("a checkpoint's fields are texts")
    chain.parse_head(fields["head"])
    return Checkpoint(**fields), base64.b64decode(said["signature"], validate=True)
