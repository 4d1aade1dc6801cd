"""The receipt: lifetimes from the ledger, costs, the verdict, and a page that anybody can read."""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from fleet.receipt import Receipt, StackReceipt, duration, find_births, usd, write_receipt
from fleet.sweep import NotLooked
from fleet.sweepers.things import Thing
from fleet.terraform_state import StateResource

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def entry(event: str, outcome: str, hour: int, target: str = "vision", **details: Any) -> dict[str, Any]:
    """Return a ledger entry of that hour."""
    time = NOON.replace(hour=hour).isoformat()
    return {"event": event, "outcome": outcome, "time": time, "target": target, "details": details}


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


def built(*stacks: str) -> dict[str, Any]:
    """Return the details of an `up` that built these stacks."""
    return {"stacks": {stack: {} for stack in stacks}}


def test_a_stack_lives_from_the_first_up_after_it_was_last_destroyed() -> None:
    births = find_births(
        [
            entry("environment.up", "started", 1),
            entry("environment.up", "succeeded", 2, **built("vision-base", "vision-fleet")),
            entry("environment.down", "started", 3),
            entry("environment.down", "succeeded", 4, destroyed=["vision-fleet"]),
            entry("environment.up", "started", 5, target="speech"),
            entry("environment.up", "started", 6),
            entry("environment.up", "succeeded", 7, **built("vision-base", "vision-fleet")),
        ],
        "vision",
    )
    assert {stack: born.hour for stack, born in births.items()} == {"vision-base": 1, "vision-fleet": 6}


def test_an_up_that_failed_or_was_killed_may_have_made_something_of_every_stack() -> None:
    failed = [entry("environment.up", "started", 1), entry("environment.up", "failed", 2)]
    killed = [entry("environment.up", "started", 3)]
    assert {born.hour for born in find_births(failed, "vision").values()} == {1}
    assert {born.hour for born in find_births(killed, "vision").values()} == {3}


def test_an_up_that_was_refused_made_nothing() -> None:
    refused = [entry("environment.up", "started", 1), entry("environment.up", "refused", 1)]
    later = [
        entry("environment.up", "started", 5),
        entry("environment.up", "succeeded", 6, **built("vision-base")),
    ]
    assert {born.hour for born in find_births([*refused, *later], "vision").values()} == {5}


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


def test_a_receipt_is_never_written_over(tmp_path: Path) -> None:
    write_receipt(receipt(), tmp_path / "one")
    with pytest.raises(FileExistsError):
        write_receipt(receipt(), tmp_path / "one")


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
