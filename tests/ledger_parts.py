"""Parts of ledgers for tests: chains of any length, somebody who signs checkpoints, copies in a folder."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fleet import chain, checkpoints, ledger_copy
from fleet.checkpoint_check import check
from fleet.checkpoints import Checkpoint
from fleet.ledger_index import LedgerIndex, index_file
from fleet.ledger_tables import Wanted
from fleet.session import AccountSession

BEGAN = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)


def entry_after(before: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
    """Return the entry that follows, a minute after the first of November for each number."""
    number = before["sequence"] + 1 if before else 1
    content = {
        "id": f"{number:032x}", "time": (BEGAN + number * MINUTE).isoformat(timespec="milliseconds"),
        "event": "environment.up", "actor": {"identity": "arn:kim", "person": "kim"}, "target": "vision",
        "outcome": "succeeded", "details": {}, **more,
    }  # fmt: skip
    return chain.sealed(content, number, before["hash"] if before else chain.GENESIS)


def make_entries(count: int, **more: Any) -> list[dict[str, Any]]:
    """Return a sound chain of that many entries."""
    made: list[dict[str, Any]] = []
    for _ in range(count):
        made.append(entry_after(made[-1] if made else None, **more))
    return made


@dataclass
class LedgerInMemory:
    """A chain in memory, read as `fleet.ledger_reading` reads the bucket's; counts what is fetched."""

    chain: list[dict[str, Any]] = field(default_factory=list)
    fetched: int = 0

    def add(self, **more: Any) -> None:
        """Append an entry."""
        self.chain.append(entry_after(self.chain[-1] if self.chain else None, **more))

    def tail(self) -> tuple[int, str]:
        """Return the last entry's number and hash."""
        return (self.chain[-1]["sequence"], self.chain[-1]["hash"]) if self.chain else (0, chain.GENESIS)

    def entries_from(self, sequence: int, limit: int) -> list[dict[str, Any]]:
        """Return up to `limit` entries from that number on."""
        found = [each for each in self.chain if sequence <= each["sequence"] < sequence + limit]
        self.fetched += len(found)
        return found

    def entries_of(self, digests: Mapping[int, str]) -> dict[int, dict[str, Any]]:
        """Return the entries of these numbers."""
        found = {each["sequence"]: each for each in self.chain if each["sequence"] in digests}
        self.fetched += len(found)
        return found


def runs_on(session: AccountSession, machine: str) -> list[str]:
    """Return the runs whose end names the machine, as `fleetform audit log --server` finds them."""
    file = index_file(session.project, session.cloud.name, session.ledger.bucket)
    found = LedgerIndex(file, session.ledger).find(Wanted(instance=machine, event="run.ended"))
    return [entry["target"] for entry in found]


class Signer:
    """Who holds a key for checkpoints."""

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public(self) -> bytes:
        """The public key as KMS answers it."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.DER, form)

    def sign(self, said: Checkpoint) -> bytes:
        """Return the checkpoint's file."""
        return said.to_file(self._key.sign(said.signed_bytes(), padding.PKCS1v15(), hashes.SHA256()))

    def checkpoints(self, entries: list[dict[str, Any]], numbers: Iterable[int]) -> dict[str, bytes]:
        """Return signed checkpoints of the entries of these numbers, each naming the one before it."""
        files: dict[str, bytes] = {}
        before = ""
        for number in numbers:
            said = Checkpoint(
                head=chain.format_head(number, entries[number - 1]["hash"]),
                time=(BEGAN + number * MINUTE).isoformat(timespec="seconds"),
                previous=before,
                key_sha256=checkpoints.fingerprint(self.public),
            )
            file = self.sign(said)
            files[chain.entry_name(number)] = file
            before = f"{number}:{checkpoints.fingerprint(file)}"
        return files


def files_of(entries: Iterable[Mapping[str, Any]]) -> dict[str, bytes]:
    """Return entries as the files that they are in the bucket."""
    return {
        chain.entry_name(each["sequence"]): json.dumps(each, indent=2, ensure_ascii=False).encode()
        for each in entries
    }


def write_copy(
    folder: Path, files: Mapping[str, bytes], signed: Mapping[str, bytes], key: bytes | None
) -> Path:
    """Write a copy as `Ledger.export` does, and return its folder."""
    for part in ("ledger", "checkpoints", "fleet"):
        (folder / part).mkdir(parents=True)
    report = check(signed, key).add_to(chain.verify(files))
    for name, data in (
        *((f"ledger/{name}", data) for name, data in files.items()),
        *ledger_copy.checkpoint_files(signed, key),
        *ledger_copy.verifier(),
        ledger_copy.about_copy("a-bucket", report),
    ):
        (folder / name).write_bytes(data)
    return folder
