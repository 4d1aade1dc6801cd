"""The net under an environment's budget as AWS Budgets has it: what it counts, and what it does about it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from fleet import aws
from fleet.errors import ActError
from fleet.listings.things import ask
from fleet.session import Session
from stacks import naming
from stacks.budget_policy import over_budget_arn

_STATES = {
    "STANDBY": "stands by",
    "PENDING": "waits for somebody's approval in AWS Budgets",
    "EXECUTION_IN_PROGRESS": "is being carried out",
    "EXECUTION_SUCCESS": "is in force",
    "EXECUTION_FAILURE": "could not be carried out: machines can still be started",
    "REVERSE_IN_PROGRESS": "is being taken back",
    "REVERSE_SUCCESS": "was taken back, and does not act again before it is reset",
    "REVERSE_FAILURE": "could not be taken back: it is still in force",
    "RESET_IN_PROGRESS": "is being reset",
    "RESET_FAILURE": "could not be reset, and does not act again",
}
"""The states of an action (AWS Budgets' API reference, `Action`) in words."""
_IN_FORCE = ("EXECUTION_SUCCESS", "REVERSE_FAILURE")
_MODELS = {"AUTOMATIC": "by itself", "MANUAL": "when somebody approves it"}
_WAIT_SECONDS, _PAUSE_SECONDS = 60.0, 0.5


@dataclass(frozen=True, kw_only=True)
class Stop:
    """What AWS Budgets does at a share of the budget: nothing is started any more."""

    id: str
    percent: float
    status: str
    """As AWS Budgets has it: `STANDBY`, `PENDING`, `EXECUTION_SUCCESS`, ..."""
    how: str
    """"by itself" or "when somebody approves it"."""

    def __str__(self) -> str:
        state = _STATES.get(self.status, self.status.lower())
        return f"at {self.percent:g} %, {self.how}: head node and operators may start no machine; it {state}"


@dataclass(frozen=True, kw_only=True)
class BudgetNet:
    """An environment's budget in AWS Budgets."""

    limit: float
    """US dollars a month, which AWS counts against: what the file said at the last `fleetform up`."""
    counted: float | None
    """What the bill has come to this month, by the last look of AWS, which takes one a few times a day."""
    stops: tuple[Stop, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def read_net(session: Session) -> BudgetNet | None:
    """Return the environment's budget in AWS Budgets, None where there is none."""
    client, about = session.client("budgets"), _about(session)
    answer = ask(client.describe_budget, **about)
    if answer is None:
        return None
    budget = answer["Budget"]
    spent = budget.get("CalculatedSpend", {}).get("ActualSpend")
    actions = (ask(client.describe_budget_actions_for_budget, **about) or {}).get("Actions", ())
    return BudgetNet(
        limit=float(budget["BudgetLimit"]["Amount"]),
        counted=float(spent["Amount"]) if spent else None,
        stops=tuple(
            Stop(
                id=each["ActionId"],
                percent=each["ActionThreshold"]["ActionThresholdValue"],
                status=each["Status"],
                how=_MODELS.get(each["ApprovalModel"], each["ApprovalModel"]),
            )
            for each in actions
        ),
    )


def look_at_net(session: Session) -> tuple[BudgetNet | None, tuple[str, ...]]:
    """Return the budget in AWS Budgets and what a reader has to know beside, a sentence each.

    Nothing where the environment's file sets none. What may not be looked at is one of the sentences.
    """
    declared, name = session.spec.budget, session.spec.name
    if not declared.is_watched:
        return None, ()
    try:
        net = read_net(session)
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return None, (f"what AWS Budgets has counted can't be told: {str(error).splitlines()[0]}",)
    if net is None:
        return None, (f"AWS Budgets does not count yet: `fleetform up {name}` puts it under the budget",)
    if round(net.limit, 2) != round(declared.usd_per_month, 2):
        text = f"AWS Budgets counts against {net.limit:.2f} USD and not {declared.usd_per_month:.2f}"
        return net, (f"{text}: `fleetform up {name}` changes that",)
    return net, ()


def let_start_again(session: Session) -> str:
    """Take back what AWS Budgets has done, where the declared budget gives no reason for it any more.

    Returns what was done, "" for nothing. For after the base was applied: the budget was raised, the share of
    it, or the stop was taken out, where nobody else takes its policy off the roles.
    """
    if not session.spec.budget.stops:
        freed = _take_off(session)
        return f"may start machines again, as no budget stops them: {', '.join(freed)}" if freed else ""
    net, done = read_net(session), []
    for stop in net.stops if net else ():
        assert net is not None, "it has stops"
        if stop.status in _IN_FORCE and (net.counted or 0.0) <= net.limit * stop.percent / 100:
            _execute(session, stop, "REVERSE_BUDGET_ACTION", "REVERSE_SUCCESS")
            _execute(session, stop, "RESET_BUDGET_ACTION", "STANDBY")
            done.append(f"{stop.percent:g} % of {net.limit:.2f} USD")
    return f"machines may be started again: the bill is not over {', '.join(done)}" if done else ""


def _execute(session: Session, stop: Stop, kind: str, until: str) -> None:
    """Ask for something of an action and wait until it is there. Raises ActError where it is not."""
    client, about = session.client("budgets"), {**_about(session), "ActionId": stop.id}
    client.execute_budget_action(**about, ExecutionType=kind)
    deadline = time.monotonic() + _WAIT_SECONDS
    while (status := client.describe_budget_action(**about)["Action"]["Status"]) != until:
        if status.endswith("FAILURE") or time.monotonic() > deadline:
            raise ActError(f"AWS Budgets does not let machines be started again: its action is {status}")
        time.sleep(_PAUSE_SECONDS)


def _take_off(session: Session) -> list[str]:
    """Take the account's policy off the roles that start machines; return those that carried it."""
    iam, freed = session.client("iam"), []
    partition, account = _account(session)
    policy = over_budget_arn(session.account.organization, partition, account)
    for kind in (naming.ROLE_HEAD, naming.ROLE_OPERATOR):
        role = naming.environment_role(session.spec.name, kind, session.spec.region)
        attached = ask(iam.list_attached_role_policies, RoleName=role) or {}
        if policy in [each["PolicyArn"] for each in attached.get("AttachedPolicies", ())]:
            iam.detach_role_policy(RoleName=role, PolicyArn=policy)
            freed.append(role)
    return freed


def _about(session: Session) -> dict[str, str]:
    spec = session.spec
    return {
        "AccountId": _account(session)[1],
        "BudgetName": naming.budget_name(spec.name, spec.region),
    }


def _account(session: Session) -> tuple[str, str]:
    """Return the partition and the number of the caller's account."""
    caller = session.client("sts").get_caller_identity()
    return caller["Arn"].split(":")[1], caller["Account"]
