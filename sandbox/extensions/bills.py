"""What was billed, as Cost Explorer tells it by tag: `POST /_sandbox/bill` puts an amount on a day's bill.

Seam: `CostExplorerBackend.get_cost_and_usage`. An embedded cloud bills nobody, so what it has billed is what
it was told to; moto has such a door too, which `/moto-api` would open along with much else. Days, one tag to
filter by and one to group by: what asks for more is answered by moto, which knows nothing.
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from moto.ce.models import CostExplorerBackend

from sandbox.parts import Parts

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class _Amount:
    """One amount of a day's bill."""

    date: datetime.date
    tags: Mapping[str, str]
    usd: Decimal
    estimated: bool


def install(parts: Parts) -> None:
    """Answer with what was billed."""
    asked, bill = CostExplorerBackend.get_cost_and_usage, list[_Amount]()

    @functools.wraps(asked)
    def told(self: Any, body: str) -> dict[str, Any]:
        request = json.loads(body)
        if not _is_known(request):
            answer: dict[str, Any] = asked(self, body)
            return answer
        return {"ResultsByTime": list(_days(bill, request)), "DimensionValueAttributes": []}

    def put(body: bytes) -> list[dict[str, object]]:
        each = json.loads(body)
        date = datetime.date.fromisoformat(each["date"])
        bill.append(_Amount(date, dict(each["tags"]), Decimal(each["usd"]), bool(each.get("estimated"))))
        return _shown(bill)

    def clear(_: bytes) -> list[dict[str, object]]:
        bill.clear()
        return []

    CostExplorerBackend.get_cost_and_usage = told
    parts.pages["POST", "bill"] = put
    parts.pages["GET", "bill"] = lambda _: _shown(bill)
    parts.pages["DELETE", "bill"] = clear


def _shown(bill: list[_Amount]) -> list[dict[str, object]]:
    return [
        {
            "date": each.date.isoformat(),
            "tags": dict(each.tags),
            "usd": str(each.usd),
            "estimated": each.estimated,
        }
        for each in bill
    ]


def _is_known(request: Mapping[str, Any]) -> bool:
    """Return whether it is asked for days, of a tag, by a tag."""
    by = request.get("GroupBy") or []
    of_a_tag = set(request.get("Filter") or {"Tags": {}}) == {"Tags"}
    return request.get("Granularity") == "DAILY" and of_a_tag and [each["Type"] for each in by] == ["TAG"]


def _days(bill: list[_Amount], request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the days of the period; the last one is not in it."""
    period, (metric, *_) = request["TimePeriod"], request["Metrics"]
    day, end = (datetime.date.fromisoformat(period[name]) for name in ("Start", "End"))
    wanted, key = (request.get("Filter") or {}).get("Tags"), request["GroupBy"][0]["Key"]
    while day < end:
        there = [
            each
            for each in bill
            if each.date == day and (not wanted or each.tags.get(wanted["Key"]) in wanted["Values"])
        ]
        sums: dict[str, Decimal] = {}
        for each in there:
            group = f"{key}${each.tags.get(key, '')}"
            sums[group] = sums.get(group, Decimal(0)) + each.usd
        yield {
            "TimePeriod": {"Start": day.isoformat(), "End": (day + _DAY).isoformat()},
            "Total": {},
            "Groups": [
                {"Keys": [group], "Metrics": {metric: {"Amount": str(usd), "Unit": "USD"}}}
                for group, usd in sorted(sums.items())
            ],
            "Estimated": any(each.estimated for each in there),
        }
        day += _DAY
