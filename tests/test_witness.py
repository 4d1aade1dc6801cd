"""The ledger's witness in the embedded cloud: it signs what it has verified, and nothing else counts."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from fleet import chain, checkpoints
from fleet.checkpoints import read_checkpoint
from fleet.cloud import Cloud
from fleet.evidence_archive import Archive
from fleet.evidence_ledger import add_ledger
from fleet.ledger import PREFIX, Ledger
from reaper import witness
from reaper.aws import Aws
from reaper.record import Record
from reaper.witness import Witness
from stacks import naming
from tests.sandbox_helpers import REGION, api

pytestmark = pytest.mark.sandbox
NOW = datetime.datetime(2026, 12, 1, 12, 0, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
KIM = "arn:aws:iam::123456789012:user/kim"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign each fifth entry."""
    monkeypatch.setattr(checkpoints, "EVERY", 5)


@pytest.fixture(scope="module")
def key(sandbox: Cloud) -> str:
    """A key as the account's stack makes it; making one takes long."""
    kms = api(sandbox, "kms")
    made = kms.create_key(KeySpec="RSA_3072", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    alias = f"alias/witness-{uuid4().hex[:8]}"
    kms.create_alias(AliasName=alias, TargetKeyId=made)
    return alias


@dataclass
class Account:
    """A ledger, its witness, and whoever tampers with them."""

    cloud: Cloud
    aws: Aws
    bucket: str
    key: str

    @property
    def ledger(self) -> Ledger:
        """The ledger as a new process opens it."""
        return Ledger(self.cloud, self.bucket, REGION, KIM, key=self.key)

    def write(self, count: int) -> None:
        """Append so many entries."""
        ledger = self.ledger
        for _ in range(count):
            ledger.append("environment.up", "vision", "recorded", {})

    def look(self, now: datetime.datetime = NOW) -> list[str]:
        """Let the witness look, and return what failed."""
        record = Record(self.aws, self.bucket, "arn:reaper", "reaper", now)
        return Witness(self.aws, record, self.key, now).sign()

    def signed(self) -> list[int]:
        """Return the numbers of the entries that are signed."""
        return [int(name[:12]) for name in self.ledger.signed_part(1, 10**9).files]

    def put(self, key: str, data: bytes) -> None:
        """Write over an object."""
        api(self.cloud, "s3").put_object(Bucket=self.bucket, Key=key, Body=data)

    def found(self) -> list[tuple[str, str]]:
        """Return the place and kind of what the verification finds."""
        return [(each.name, each.kind) for each in self.ledger.verify().findings]


@pytest.fixture
def account(sandbox: Cloud, key: str, monkeypatch: pytest.MonkeyPatch) -> Account:
    """A new locked bucket."""
    for variable, value in sandbox.variables.items():
        monkeypatch.setenv(variable, value)
    bucket = f"witness-{uuid4().hex[:12]}"
    api(sandbox, "s3").create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    return Account(sandbox, Aws(REGION), bucket, key)


def name(number: int) -> str:
    return checkpoints.FOLDER + chain.entry_name(number)


def test_it_signs_every_so_many_entries_and_the_end_and_the_ledger_is_held_against_that(
    account: Account,
) -> None:
    account.write(12)
    assert account.look() == []
    assert account.signed() == [5, 10, 12]
    report = account.ledger.verify()
    assert (report.intact, report.remarks, report.checkpoints) == (True, (), 3)
    last = account.ledger.signed_part(12, 12).files[chain.entry_name(12)]
    assert report.checkpoint == f"12:{checkpoints.fingerprint(last)}"
    assert report.signed_at == NOW.isoformat()


def test_where_nothing_is_recorded_nothing_is_signed(account: Account) -> None:
    assert account.look() == []
    assert account.signed() == []
    assert account.ledger.verify().checkpoint == ""


def test_it_goes_on_from_its_last_checkpoint_and_signs_the_end_once_an_hour(account: Account) -> None:
    account.write(2)
    assert (account.look(), account.signed()) == ([], [2])
    account.write(1)
    assert (account.look(NOW + HOUR / 6), account.signed()) == ([], [2])
    account.write(3)
    assert (account.look(NOW + HOUR / 3), account.signed()) == ([], [2, 5])
    assert (account.look(NOW + 2 * HOUR), account.signed()) == ([], [2, 5, 6])
    assert (account.look(NOW + 4 * HOUR), account.signed()) == ([], [2, 5, 6])
    assert account.ledger.verify().intact


def test_what_it_has_no_time_for_is_for_its_next_look(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.write(12)
    monkeypatch.setattr(witness, "_BATCH", 6)
    monkeypatch.setattr(witness, "SECONDS", 0.0)
    assert (account.look(), account.signed()) == ([], [5, 6])
    assert (account.look(NOW + HOUR), account.signed()) == ([], [5, 6, 10, 12])


def test_two_looks_at_once_sign_each_entry_once(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.write(5)
    read, looks = Witness._read, [NOW]

    def slow(self: Witness, numbers: Sequence[int]) -> list[bytes]:
        if looks:
            assert account.look(looks.pop()) == []
        return read(self, numbers)

    monkeypatch.setattr(Witness, "_read", slow)
    assert account.look(NOW + HOUR) == []
    assert account.signed() == [5]
    assert account.ledger.verify().intact


def test_a_past_that_was_written_over_is_not_signed_and_told_at_every_look(account: Account) -> None:
    account.write(4)
    account.look()
    account.write(3)
    forged = {**account.ledger.get(6), "target": "nobody"}
    account.put(
        PREFIX + chain.entry_name(6), json.dumps({**forged, "hash": chain.entry_hash(forged)}).encode()
    )
    for hours in (1, 2):
        (failure,) = account.look(NOW + hours * HOUR)
        assert failure.startswith("the ledger is not sound: 000000000007.json: changed: it is not linked")
    assert account.signed() == [4, 5]


def test_an_entry_that_is_signed_and_was_written_over_is_told(account: Account) -> None:
    account.write(5)
    account.look()
    forged = {**account.ledger.get(5), "target": "nobody"}
    account.put(
        PREFIX + chain.entry_name(5), json.dumps({**forged, "hash": chain.entry_hash(forged)}).encode()
    )
    account.write(1)
    (failure,) = account.look(NOW + HOUR)
    assert "000000000005.json: changed: it is not the one that the checkpoint of" in failure


def test_a_checkpoint_that_somebody_else_made_is_told(account: Account) -> None:
    account.write(3)
    account.look()
    said, signature = read_checkpoint(account.ledger.signed_part(3, 3).files[chain.entry_name(3)])
    account.write(2)
    account.put(name(5), said.to_file(signature))
    (failure,) = account.look(NOW + HOUR)
    assert failure.startswith("the ledger is not sound: checkpoints/000000000005.json: added: it says that")
    assert (name(5), "added") in account.found()


TAMPERING: dict[str, tuple[Callable[[Account], None], tuple[str, str]]] = {
    "a checkpoint is written over": (
        lambda account: account.put(name(5), b"{}"),
        (name(5), "changed"),
    ),
    "a checkpoint is hidden": (
        lambda account: api(account.cloud, "s3").delete_object(Bucket=account.bucket, Key=name(5)),
        (name(5), "missing"),
    ),
    "an entry is written over": (
        lambda account: account.put(PREFIX + chain.entry_name(3), b"{}"),
        (chain.entry_name(3), "changed"),
    ),
    "an entry is hidden": (
        lambda account: api(account.cloud, "s3").delete_object(
            Bucket=account.bucket, Key=PREFIX + chain.entry_name(3)
        ),
        (chain.entry_name(3), "missing"),
    ),
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_what_is_put_over_it_is_found_and_the_original_still_holds(account: Account, kind: str) -> None:
    tamper, found = TAMPERING[kind]
    account.write(6)
    account.look()
    tamper(account)
    assert account.found() == [found]
    assert account.ledger.verify().checkpoints == 2


def test_a_truncated_ledger_is_told_by_its_checkpoint(account: Account) -> None:
    account.write(6)
    account.look()
    key, s3 = PREFIX + chain.entry_name(6), api(account.cloud, "s3")
    for version in s3.list_object_versions(Bucket=account.bucket, Prefix=key)["Versions"]:
        s3.delete_object(Bucket=account.bucket, Key=key, VersionId=version["VersionId"])
    assert account.found() == [(chain.entry_name(6), "missing")]
    (failure,) = account.look(NOW + HOUR)
    assert "there is no entry 6, which is signed" in failure


def test_without_the_key_the_verification_says_what_it_did_not_check(account: Account) -> None:
    account.write(2)
    account.look()
    report = Ledger(account.cloud, account.bucket, REGION, KIM, key="alias/none").verify()
    assert report.intact
    assert [each.kind for each in report.remarks] == ["unchecked"]


def test_an_export_and_a_pack_bring_checkpoints_and_key_along(account: Account, tmp_path: Path) -> None:
    account.write(7)
    account.look()
    assert account.ledger.export(tmp_path / "export").checkpoints == 2
    program = [sys.executable, "-I", "-S", "chain.py", "."]
    answer = subprocess.run(program, cwd=tmp_path / "export", capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
    assert "last checkpoint 7:" in answer.stdout and "unchecked" not in answer.stdout
    with Archive(tmp_path / "pack.zip", "pack") as archive:
        begin = datetime.datetime.fromisoformat(account.ledger.get(1)["time"])
        part = add_ledger(account.ledger, archive, (begin, begin + HOUR), (), str, lambda said: None)
        archive.finish()
    assert part.report.intact and part.report.checkpoint.startswith("7:")
    unpacked = [sys.executable, "-m", "zipfile", "-e", "pack.zip", "."]
    subprocess.run(unpacked, cwd=tmp_path, check=True)
    answer = subprocess.run(program, cwd=tmp_path / "pack", capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
    assert "of 2 that the chain was held against" in answer.stdout


def test_the_reapers_folder_is_the_one_that_the_stacks_name() -> None:
    assert checkpoints.FOLDER == naming.CHECKPOINTS_PREFIX
