"""BudgetSpec: what an environment may cost in a month, as the table `[budget]` of its file says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from stacks.fields import Spec, setting
from stacks.setting_forms import each_once, listed

MOST_PERCENT = 1000
"""Beyond ten times the budget nothing is left to keep."""
_WITH_UP = "what AWS Budgets does changes with the next `fleetform up`"


class BudgetSpec(Spec):
    """What the environment may cost: runs are held against it, and AWS Budgets counts the bill under it."""

    usd_per_month: Annotated[
        float,
        setting(
            "Most that it may cost in a calendar month (UTC), at list price: a run that might cost more than "
            "is left of it is refused; 0 for no limit",
            unit="USD per month",
            change="free",
            why="it holds from the next run on, and for AWS Budgets with the next `fleetform up`",
            ge=0,
            allow_inf_nan=False,
        ),
    ] = 0
    mail_at_percent: Annotated[
        tuple[Annotated[int, Field(ge=1, le=MOST_PERCENT)], ...],
        BeforeValidator(listed),
        AfterValidator(each_once),
        setting(
            "Shares of the budget at which AWS Budgets, by the bill, sends a mail to `alerts.emails`, or to "
            "the owner where there are none",
            unit="%",
            change="free",
            why=_WITH_UP,
            form="whole numbers of percent, such as `[80, 100]`",
            max_length=10,
        ),
    ] = (80, 100)
    stop_at_percent: Annotated[
        int,
        setting(
            "Share of the budget from which on, by the bill, head node and operators may start no machine: "
            "AWS Budgets attaches the account's policy that denies it; 0 for never",
            unit="%",
            change="free",
            why=_WITH_UP,
            ge=0,
            le=MOST_PERCENT,
        ),
    ] = 100
    stop_by: Annotated[
        Literal["automatic", "approval"],
        setting(
            "Whether that happens by itself, or waits for somebody to approve it in AWS Budgets",
            unit="",
            change="free",
            why=_WITH_UP,
        ),
    ] = "automatic"

    @property
    def is_watched(self) -> bool:
        """Whether AWS Budgets counts the bill."""
        return self.usd_per_month > 0

    @property
    def stops(self) -> bool:
        """Whether AWS Budgets has something to do at a share of it."""
        return self.is_watched and self.stop_at_percent > 0
