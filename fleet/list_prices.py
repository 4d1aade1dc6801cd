"""The list prices that a budget reckons with: AWS's own where they are known, else the dated catalogue's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fleet.costs.price_list import price_list
from fleet.costs.prices import Prices
from fleet.job import LaunchRequest
from fleet.session import Session


def list_prices(session: Session, types: Iterable[str], *, ask: bool = False) -> Prices:
    """Return the prices of the instance types: those that AWS gave this project, asked for anew with `ask`.

    Without, nothing is waited for: a submit takes what a look at the budget, or at the costs, has fetched.
    """
    region = session.spec.region
    return Prices(region, price_list(session.project, session.cloud, region, types, ask=ask))


def at_list_price(session: Session, request: LaunchRequest, *, ask: bool = False) -> LaunchRequest:
    """Return the request with that price of its nodes, by which it is held against the budget."""
    known = list_prices(session, [request.instance_type], ask=ask).of_type(request.instance_type)
    return replace(request, price_usd_per_hour=None if known is None else float(known))
