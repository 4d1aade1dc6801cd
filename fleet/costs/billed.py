"""What AWS has billed for environments, by day, as Cost Explorer tells it by their tag.

https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html: days are UTC,
the last one is not included, amounts are text. Each answer costs a cent, and the tag has to be one by which
the organization's payer allocates costs; figures come up to a day late, and are estimates until the bill is
made.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fleet import aws
from fleet.cloud import Cloud
from fleet.costs.amounts import exact
from stacks import naming

_ENDPOINT = "us-east-1"
"""Where Cost Explorer is, for all regions."""
_METRIC = "UnblendedCost"
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Billed:
    """What was billed."""

    usd: Mapping[tuple[str, str], Fraction]
    """By environment and day; what is not there was not billed, or not yet."""
    estimated: bool
    """Whether some of it is not final."""
    why_none: str
    """Why there is nothing, "" where there is something."""

    def of_environment(self, environment: str) -> Fraction:
        """Return what an environment was billed with."""
        return sum((usd for (each, _), usd in self.usd.items() if each == environment), Fraction(0))

    def of_day(self, day: str) -> Fraction:
        """Return what was billed for a day."""
        return sum((usd for (_, each), usd in self.usd.items() if each == day), Fraction(0))

    @property
    def total(self) -> Fraction:
        """All of it."""
        return sum(self.usd.values(), Fraction(0))


def read_billed(
    cloud: Cloud, environments: Collection[str], since: datetime.datetime, until: datetime.datetime
) -> Billed:
    """Ask what the environments were billed with on the days that the period touches."""
    period = {"Start": f"{since:%Y-%m-%d}", "End": f"{until - _MOMENT + _DAY:%Y-%m-%d}"}
    client = aws.client(cloud, "ce", _ENDPOINT, attempts=2)
    try:
        return _billed(list(_results(client, period, environments)))
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return Billed(usd={}, estimated=False, why_none=f"Cost Explorer did not tell: {error}")


_MOMENT = datetime.timedelta(microseconds=1)
"""A period that ends at midnight does not touch the day that begins then."""


def _results(
    client: Any, period: Mapping[str, str], environments: Collection[str]
) -> Iterator[Mapping[str, Any]]:
    """Yield Cost Explorer's days; boto3 has no paginator for it."""
    asked: dict[str, Any] = {
        "TimePeriod": period,
        "Granularity": "DAILY",
        "Metrics": [_METRIC],
        "Filter": {"Tags": {"Key": naming.TAG_ENVIRONMENT, "Values": sorted(environments)}},
        "GroupBy": [{"Type": "TAG", "Key": naming.TAG_ENVIRONMENT}],
    }
    while True:
        answer = client.get_cost_and_usage(**asked)
        yield from answer.get("ResultsByTime", ())
        if not answer.get("NextPageToken"):
            return
        asked["NextPageToken"] = answer["NextPageToken"]


def _billed(days: list[Mapping[str, Any]]) -> Billed:
    usd: dict[tuple[str, str], Fraction] = {}
    for day in days:
        for group in day.get("Groups", ()):
            name = str(group["Keys"][0]).partition("$")[2]  # `fleetform:environment$vision`
            key = (name, str(day["TimePeriod"]["Start"]))
            amount = exact(group["Metrics"][_METRIC]["Amount"])
            if amount:
                usd[key] = usd.get(key, Fraction(0)) + amount
    tag = naming.TAG_ENVIRONMENT
    nothing = f"Cost Explorer has nothing under the tag {tag}: is it activated as a cost allocation tag?"
    return Billed(
        usd=usd,
        estimated=any(day.get("Estimated") for day in days),
        why_none="" if usd else nothing,
    )
