"""The receipt: costs, the verdict, and a page that anybody can read."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from fleet.listings.things import NotLooked, Thing
from fleet.receipt import Receipt, StackReceipt, duration, receipt_page, substance, usd, write_receipt
from fleet.terraform_state import StateResource

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def receipt(**changes: Any) -> Receipt:
    """Return the receipt of a fleet that stood for two hours, with some fields changed."""
    fleet = StackReceipt(
        stack="vision-fleet",
        fate="destroyed",
        resources=(StateResource(address="aws_instance.head", kind="aws_instance", id="i-1"),),
        created=NOON,
        ended=NOON + datetime.timedelta(hours=2),
        usd_per_hour=1.5,
    )
    fields: dict[str, Any] = {
        "environment": "vision",
        "cloud": "sandbox",
        "region": "us-east-1",
        "actor": "arn:kim",
        "began": NOON,
        "ended": NOON,
        "anyway": "",
        "overridden": (),
        "stacks": (fleet,),
        "machines": (),
        "left": (),
        "kept": (),
        "ending": (),
        "not_looked": (),
    }
    return Receipt(**(fields | changes))


def test_the_cost_is_the_hourly_price_for_all_of_its_life() -> None:
    (stack,) = receipt().stacks
    assert (stack.hours, stack.usd) == (2.0, 3.0)


def test_nothing_left_is_proven_only_where_every_service_was_looked_at() -> None:
    leftover = Thing(kind="EBS volume", id="vol-1", usd_per_hour=0.5)
    unseen = NotLooked(title="FSx file systems", why="AccessDenied")
    assert receipt().proven and receipt().verdict == "nothing is left"
    assert not receipt(not_looked=(unseen,)).proven
    assert receipt(not_looked=(unseen,)).verdict.endswith("not every service could be looked at")
    assert receipt(left=(leftover,)).verdict == "1 thing is left, at 0.50 USD an hour"
    assert receipt(left=(leftover, leftover)).verdict == "2 things are left, at 1.00 USD an hour"


def test_the_files_hold_everything_and_the_digest_is_of_the_data(tmp_path: Path) -> None:
    leftover = Thing(kind="EBS volume", id="vol-1", name="<b>bold</b>", usd_per_hour=None)
    digest = write_receipt(receipt(left=(leftover,), overridden=("a run was active",)), tmp_path / "receipt")
    data = (tmp_path / "receipt/receipt.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest
    written = json.loads(data)
    assert written["left"][0]["id"] == "vol-1" and written["stacks"][0]["usd_estimated"] == 3.0
    assert written["stacks"][0]["resources"][0]["id"] == "i-1"
    page = (tmp_path / "receipt/receipt.html").read_text()
    assert digest in page and "vol-1" in page and "a run was active" in page and "by use" in page
    assert "<b>bold" not in page and "<script" not in page and "src=" not in page and "href=" not in page


def test_every_column_of_the_page_has_a_name_and_amounts_stand_to_the_right(tmp_path: Path) -> None:
    disk = Thing(kind="EBS volume", id="vol-1", usd_per_hour=0.011, note="100 GiB")
    unseen = NotLooked(title="FSx file systems", why="AccessDenied")
    found = receipt(left=(disk,), kept=(disk,), ending=(disk,), machines=(disk,), not_looked=(unseen,))
    for section in receipt_page(found, "0" * 64).sections:
        assert all(section.headers) and {len(row) for row in section.rows} == {len(section.headers)}
        amounts = {column for row in section.rows for column, cell in enumerate(row) if cell.endswith("USD")}
        assert amounts <= set(section.amounts)
    write_receipt(found, tmp_path / "receipt")
    page = (tmp_path / "receipt/receipt.html").read_text()
    assert page.count('<td data-label="an hour" class="amount">0.0110 USD</td>') == 4
    assert ".amount { text-align: right; white-space: nowrap;" in page


def test_a_receipt_of_the_same_substance_is_left_as_it_is_whenever_it_was_looked_again(
    tmp_path: Path,
) -> None:
    digest = write_receipt(receipt(), tmp_path / "one")
    before = {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()}
    later = NOON + datetime.timedelta(days=3)
    (stack,) = receipt().stacks
    again = receipt(ended=later, stacks=(dataclasses.replace(stack, ended=later),))
    assert write_receipt(again, tmp_path / "one") == digest
    assert {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()} == before


def test_a_receipt_of_another_substance_leaves_the_one_before_under_its_digest(tmp_path: Path) -> None:
    leftover = Thing(kind="EBS volume", id="vol-1", usd_per_hour=0.5)
    first = write_receipt(receipt(left=(leftover,)), tmp_path / "one")
    second = write_receipt(receipt(), tmp_path / "one")
    kept = (tmp_path / "one" / f"receipt-{first[:12]}.json").read_bytes()
    assert hashlib.sha256(kept).hexdigest() == first != second
    assert hashlib.sha256((tmp_path / "one/receipt.json").read_bytes()).hexdigest() == second
    assert second in (tmp_path / "one/receipt.html").read_text()


def test_half_a_receipt_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/receipt.json").write_text("{")
    digest = write_receipt(receipt(), tmp_path / "one")
    assert hashlib.sha256((tmp_path / "one/receipt.json").read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(
    "change",
    [
        {"anyway": "over"},
        {"left": (Thing(kind="EBS volume", id="vol-1"),)},
        {"machines": (Thing(kind="EBS volume", id="vol-1", usd_per_hour=1.0),)},
        {"not_looked": (NotLooked(title="FSx", why="no"),)},
        {"stacks": ()},
    ],
)
def test_the_substance_is_everything_but_times(change: dict[str, Any]) -> None:
    def of(found: Receipt) -> Any:
        return substance(json.loads(json.dumps(found.to_dict(), default=str)))

    assert of(receipt(**change)) != of(receipt())
    assert of(receipt(began=NOON - datetime.timedelta(hours=1))) == of(receipt())


@pytest.mark.parametrize(
    ("hours", "text"), [(None, ""), (0.05, "3.0 min"), (1.0, "1.0 h"), (25.26, "25.3 h")]
)
def test_a_length_of_time_is_written_for_a_person(hours: float | None, text: str) -> None:
    assert duration(hours) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(None, "by use"), (0.0, "0.00 USD"), (0.0014, "0.0014 USD"), (12.345, "12.35 USD")]
)
def test_small_amounts_keep_their_digits(amount: float | None, text: str) -> None:
    assert usd(amount) == text
