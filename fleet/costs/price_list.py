"""List prices of machines from AWS itself, kept with their date: the Price List API, which costs nothing.

https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from fleet import aws
from fleet.cloud import Cloud
from fleet.project import Project

_FORMAT = "fleetform-price-list/1"
_ENDPOINT = "us-east-1"
"""One of the few regions that serve the API, for the prices of all (its reference, "Endpoints")."""
_KEPT = datetime.timedelta(days=7)
"""For how long it is not asked again."""
_FILTERS = {
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "tenancy": "Shared",
    "capacitystatus": "Used",
}
"""What makes of a type's many prices the one on demand; `licenseModel` follows from these."""


@dataclass(frozen=True)
class PriceList:
    """What AWS says that machines cost."""

    region: str
    date: datetime.date
    """When it was asked."""
    usd_per_hour: Mapping[str, str]
    """By instance type, as AWS writes it."""


def price_list(
    project: Project, cloud: Cloud, region: str, types: Iterable[str], *, ask: bool = True
) -> PriceList | None:
    """Return AWS's prices of the types: those kept this week, else asked for anew; None where there are none.

    With `ask` false only what is kept counts. An older list goes before none.
    """
    file = project.home / "prices" / f"{cloud.name}-{region}.json"
    kept, wanted = _read(file, region), sorted(set(types))
    today = datetime.datetime.now(datetime.UTC).date()
    if not ask or (kept and today - kept.date < _KEPT and set(wanted) <= set(kept.usd_per_hour)):
        return kept
    try:
        client = aws.client(cloud, "pricing", _ENDPOINT, attempts=2)
        found = {each: usd for each in wanted if (usd := _asked(client, region, each))}
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return kept
    if not found:
        return kept
    listed = PriceList(region, today, found)
    _write(file, listed)
    return listed


def _asked(client: Any, region: str, instance_type: str) -> str:
    """Return the price of one type, "" where there is none or more than one."""
    wanted = {**_FILTERS, "instanceType": instance_type, "regionCode": region}
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    pages = client.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=filters)
    prices = {price for page in pages for text in page["PriceList"] for price in _prices(json.loads(text))}
    return prices.pop() if len(prices) == 1 else ""


def _prices(product: Mapping[str, Any]) -> Iterator[str]:
    """Yield the prices of an hour on demand that a product has."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            usd = str(dimension.get("pricePerUnit", {}).get("USD", ""))
            if dimension.get("unit") == "Hrs" and _is_amount(usd):
                yield usd


def _is_amount(text: str) -> bool:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return False
    return amount.is_finite() and amount > 0


def _read(file: Path, region: str) -> PriceList | None:
    """Return what is kept, None where there is nothing or it is broken."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if (kept["format"], kept["region"]) != (_FORMAT, region):
            return None
        usd = {str(name): str(each) for name, each in kept["usd_per_hour"].items() if _is_amount(str(each))}
        return PriceList(region, datetime.date.fromisoformat(kept["date"]), usd)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(file: Path, listed: PriceList) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    told = {
        "format": _FORMAT, "region": listed.region, "date": listed.date.isoformat(),
        "usd_per_hour": dict(listed.usd_per_hour),
    }  # fmt: skip
    part.write_text(json.dumps(told, indent=2), encoding="utf-8")
    part.replace(file)
