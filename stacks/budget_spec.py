"""BudgetSpec: what an environment may cost in a month, as the table `[budget]` of its file says it."""

from __future__ import annotations

from typing import Annotated

from stacks.fields import Spec, setting


class BudgetSpec(Spec):
    """What the environment may cost. Nothing in the cloud is made of it: runs are held against it."""

    usd_per_month: Annotated[
        float,
        setting(
            "Most that it may cost in a calendar month (UTC), at list price: a run that might cost more than "
            "is left of it is refused; 0 for no limit",
            unit="USD per month",
            change="free",
            why="it holds from the next run on, without `fleetform up`",
            ge=0,
            allow_inf_nan=False,
        ),
    ] = 0
