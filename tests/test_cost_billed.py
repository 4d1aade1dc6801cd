"""What was billed is what Cost Explorer says by the environment's tag, exact, and never made up."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from fleet import aws
from fleet.cloud import Cloud
from fleet.costs.amounts import cents
from fleet.costs.billed import read_billed
from tests.iam_helpers import acting, allow
from tests.sandbox_helpers import admin

SINCE = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
UNTIL = SINCE + datetime.timedelta(days=2)


def day(number: int, *, estimated: bool = False, **usd: str) -> dict[str, Any]:
    """Return one day of Cost Explorer's answer."""
    date = SINCE.date() + datetime.timedelta(days=number)
    return {
        "TimePeriod": {"Start": f"{date}", "End": f"{date + datetime.timedelta(days=1)}"},
        "Total": {},
        "Groups": [
            {
                "Keys": [f"fleetform:environment${name}"],
                "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}},
            }
            for name, amount in usd.items()
        ],
        "Estimated": estimated,
    }


class CostExplorer:
    """Cost Explorer, a page at a time."""

    def __init__(self, *pages: list[dict[str, Any]]) -> None:
        self.pages, self.asked = list(pages), list[dict[str, Any]]()

    def get_cost_and_usage(self, **request: Any) -> dict[str, Any]:
        self.asked.append(dict(request))
        page = self.pages[len(self.asked) - 1]
        more = {"NextPageToken": "more"} if len(self.asked) < len(self.pages) else {}
        return {"ResultsByTime": page, **more}


@pytest.fixture
def explorer(monkeypatch: pytest.MonkeyPatch) -> Iterator[CostExplorer]:
    found = CostExplorer(
        [day(0, vision="10.0049999999", speech="1.1")],
        [day(1, estimated=True, vision="0.0000000001", speech="0")],
    )
    monkeypatch.setattr(aws, "client", lambda *_, **__: found)
    yield found


def test_all_pages_are_added_up_exactly_by_environment_and_day(explorer: CostExplorer) -> None:
    billed = read_billed(Cloud("aws"), ["vision", "speech"], SINCE, UNTIL)
    assert cents(billed.of_environment("vision")) == Decimal("10.01"), "half a cent, from both days"
    assert cents(billed.of_day("2026-11-01")) == Decimal("11.10")
    assert cents(billed.total) == Decimal("11.11")
    assert billed.estimated and not billed.why_none
    assert [each.get("NextPageToken") for each in explorer.asked] == [None, "more"]


def test_the_days_that_the_period_touches_are_asked_for(explorer: CostExplorer) -> None:
    read_billed(Cloud("aws"), ["vision"], SINCE, UNTIL)
    (first, _) = explorer.asked
    assert first["TimePeriod"] == {"Start": "2026-11-01", "End": "2026-11-03"}, "the end is not included"
    assert first["Filter"] == {"Tags": {"Key": "fleetform:environment", "Values": ["vision"]}}
    explorer.asked.clear()
    read_billed(Cloud("aws"), ["vision"], SINCE, UNTIL + datetime.timedelta(hours=1))
    assert explorer.asked[0]["TimePeriod"]["End"] == "2026-11-04"


@pytest.mark.sandbox
def test_the_embedded_cloud_bills_what_it_was_told_to(sandbox: Cloud) -> None:
    for name, date, usd in (
        ("billed", "2026-11-01", "1.005"),
        ("billed", "2026-11-03", "9"),
        ("other", "2026-11-01", "7"),
    ):
        told = {"date": date, "tags": {"fleetform:environment": name}, "usd": usd, "estimated": True}
        admin(sandbox, "POST", "bill", told)
    billed = read_billed(sandbox, ["billed", "nothing"], SINCE, UNTIL)
    assert {key: str(cents(usd)) for key, usd in billed.usd.items()} == {("billed", "2026-11-01"): "1.01"}
    assert billed.estimated and billed.why_none == ""


@pytest.mark.sandbox
def test_a_cloud_that_has_billed_nothing_says_so(sandbox: Cloud) -> None:
    billed = read_billed(sandbox, ["nothing"], SINCE, UNTIL)
    assert billed.total == 0 and "is it activated as a cost allocation tag" in billed.why_none


@pytest.mark.sandbox
def test_who_may_not_see_the_bill_is_told(sandbox: Cloud) -> None:
    clerk = acting(sandbox, "clerk-without-bills", allow("s3:ListAllMyBuckets"))
    billed = read_billed(clerk, ["vision"], SINCE, UNTIL)
    assert billed.total == 0 and "AccessDenied" in billed.why_none
