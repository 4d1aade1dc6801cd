"""The ledger by number: what is fetched without reading the whole; what was put over it does not count."""

from __future__ import annotations

import datetime
import json
from typing import Any
from uuid import uuid4

import pytest

from fleet import aws, chain
from fleet.cloud import Cloud
from fleet.ledger import PREFIX, Ledger
from stacks.problems import UserError
from tests.sandbox_helpers import REGION

pytestmark = pytest.mark.sandbox


@pytest.fixture
def s3(sandbox: Cloud) -> Any:
    """Return an S3 client of the sandbox."""
    return aws.client(sandbox, "s3", REGION)


@pytest.fixture
def ledger(sandbox: Cloud, s3: Any) -> Ledger:
    """Return a new ledger of five entries, as somebody who knows nothing of it yet opens it."""
    bucket = f"ledger-{uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(1, 6):
        open_ledger(sandbox, bucket).append("test.number", f"target-{number}", "recorded", {})
    return open_ledger(sandbox, bucket)


def open_ledger(sandbox: Cloud, bucket: str) -> Ledger:
    """Open the ledger as a new process would."""
    return Ledger(sandbox, bucket, REGION, "arn:aws:iam::123456789012:user/kim")


def targets(entries: list[dict[str, Any]]) -> list[str]:
    """Return what the entries are about."""
    return [entry["target"] for entry in entries]


def forge(s3: Any, ledger: Ledger, number: int, **changed: object) -> None:
    """Write over an entry with one that is consistent in itself."""
    entry = {**ledger.get(number), **changed}
    entry["hash"] = chain.entry_hash(entry)
    s3.put_object(
        Bucket=ledger.bucket, Key=PREFIX + chain.entry_name(number), Body=json.dumps(entry).encode()
    )


def test_an_entry_is_found_by_its_number(ledger: Ledger) -> None:
    assert ledger.get(3)["target"] == "target-3"


@pytest.mark.parametrize("number", [0, 6])
def test_a_number_that_no_entry_has_is_named(ledger: Ledger, number: int) -> None:
    with pytest.raises(UserError, match=f"no entry number {number}"):
        ledger.get(number)


@pytest.mark.parametrize(
    ("first", "limit", "found"),
    [
        (1, 2, [1, 2]),
        (4, 10, [4, 5]),
        (-3, 4, [1, 2, 3, 4]),
        (6, 10, []),
        (1, 0, []),
    ],
)
def test_a_page_of_entries_is_found_by_its_first_number(
    ledger: Ledger, first: int, limit: int, found: list[int]
) -> None:
    assert [entry["sequence"] for entry in ledger.entries_from(first, limit)] == found


def test_what_is_appended_meanwhile_is_in_the_next_page(ledger: Ledger, sandbox: Cloud) -> None:
    assert len(ledger.entries_from(1, 100)) == 5
    open_ledger(sandbox, ledger.bucket).append("test.number", "target-6", "recorded", {})
    assert targets(ledger.entries_from(6, 100)) == ["target-6"]


@pytest.mark.parametrize("number", [1, 3, 5])
def test_an_entry_that_was_written_over_is_read_as_it_was_first(ledger: Ledger, s3: Any, number: int) -> None:
    forge(s3, ledger, number, target="nobody")
    assert targets(ledger.entries_from(1, 10)) == [f"target-{each}" for each in range(1, 6)]
    assert ledger.get(number)["target"] == f"target-{number}"


def test_two_neighbours_that_were_written_over_so_that_they_link_are_read_as_they_were(
    ledger: Ledger, s3: Any
) -> None:
    forge(s3, ledger, 4, target="nobody")
    newest = json.loads(s3.get_object(Bucket=ledger.bucket, Key=PREFIX + chain.entry_name(4))["Body"].read())
    forge(s3, ledger, 5, target="nobody", prev_hash=newest["hash"])
    assert targets(ledger.entries_from(1, 10)) == [f"target-{each}" for each in range(1, 6)]
    assert not ledger.verify().intact


def test_an_entry_that_was_hidden_by_a_delete_is_still_in_its_page(ledger: Ledger, s3: Any) -> None:
    s3.delete_object(Bucket=ledger.bucket, Key=PREFIX + chain.entry_name(2))
    assert targets(ledger.entries_from(1, 3)) == ["target-1", "target-2", "target-3"]


def test_what_is_no_entry_at_all_is_left_out_and_named_by_verify(ledger: Ledger, s3: Any) -> None:
    key = PREFIX + chain.entry_name(2)
    for version in s3.list_object_versions(Bucket=ledger.bucket, Prefix=key)["Versions"]:
        s3.delete_object(Bucket=ledger.bucket, Key=key, VersionId=version["VersionId"])
    s3.put_object(Bucket=ledger.bucket, Key=key, Body=b"not JSON")
    assert [entry["sequence"] for entry in ledger.entries_from(1, 10)] == [1, 3, 4, 5]
    assert chain.entry_name(2) in {each.name for each in ledger.verify().findings}


def test_the_entries_from_a_time_on_are_found(ledger: Ledger) -> None:
    fourth = datetime.datetime.fromisoformat(ledger.get(4)["time"])
    earlier = {entry["sequence"] for entry in ledger.entries() if entry["time"] < ledger.get(4)["time"]}
    found = [entry["sequence"] for entry in ledger.entries_since(fourth)]
    assert found == [number for number in range(1, 6) if number not in earlier]
    assert list(ledger.entries_since(fourth + datetime.timedelta(days=1))) == []
    assert len(list(ledger.entries_since(fourth - datetime.timedelta(days=1)))) == 5


def test_a_time_leads_to_the_first_entry_of_it_or_to_the_number_after_the_last(ledger: Ledger) -> None:
    moment = datetime.datetime.fromisoformat(ledger.get(3)["time"])
    first = ledger.first_since(moment)
    assert ledger.get(first)["time"] >= ledger.get(3)["time"]
    assert first == 1 or ledger.get(first - 1)["time"] < ledger.get(3)["time"]
    assert ledger.first_since(moment + datetime.timedelta(days=1)) == 6


def test_a_part_is_read_as_it_was_first_written(ledger: Ledger, s3: Any) -> None:
    forge(s3, ledger, 3, target="nobody")
    part = ledger.read(2, 4)
    assert list(part) == [chain.entry_name(number) for number in (2, 3, 4)]
    assert targets([json.loads(data) for data in part.values()]) == ["target-2", "target-3", "target-4"]


def test_the_whole_is_verified_in_slices_that_follow_on_each_other(
    ledger: Ledger, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.ledger_whole._SLICE", 2)
    told: list[tuple[int, int]] = []
    report = ledger.verify(tell=lambda done, total: told.append((done, total)))
    assert report.intact and (report.entries, report.head.partition(":")[0]) == (5, "5")
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert [each.kind for each in ledger.verify(head="6:" + "0" * 64).findings] == ["missing"]
    forge(s3, ledger, 3, target="nobody")
    assert {each.name for each in ledger.verify().findings} == {chain.entry_name(3)}


def test_what_strays_into_the_ledger_s_folder_neither_stops_nor_moves_its_end(
    sandbox: Cloud, ledger: Ledger, s3: Any
) -> None:
    for name in ("000000000003.json.bak", "zzz"):
        s3.put_object(Bucket=ledger.bucket, Key=PREFIX + name, Body=b"{}")
    anew = open_ledger(sandbox, ledger.bucket)
    anew.append("test.number", "target-6", "recorded", {})
    assert targets(anew.entries_from(5, 10)) == ["target-5", "target-6"]


@pytest.mark.parametrize("few", [1, 2, 4, 5, 100])
def test_the_end_is_found_whether_few_or_many_entries_are_new(
    ledger: Ledger, sandbox: Cloud, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("fleet.ledger_reading._FEW", few)
    assert ledger.tail() == (5, ledger.get(5)["hash"])
    open_ledger(sandbox, ledger.bucket).append("test.number", "target-6", "recorded", {})
    assert ledger.tail() == (6, ledger.get(6)["hash"])
