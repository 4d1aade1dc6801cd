"""The net under an environment's budget as AWS Budgets has it: what it counts, and what it does about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
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
_IN_FORCE, _DISARMED = ("EXECUTION_SUCCESS", "REVERSE_FAILURE"), "REVERSE_SUCCESS"
_HOW = {"AUTOMATIC": "by itself", "MANUAL": "when somebody approves it"}
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

    @property
    def outlived(self) -> tuple[Stop, ...]:
        """The stops that are in force though the bill is not over their share, or not any more.

        The budget was raised, or another month has begun: docs/budget.md says what is known of that.
        """
        return tuple(each for each in self.stops if each.status in _IN_FORCE and not self._is_over(each))

    @property
    def disarmed(self) -> tuple[Stop, ...]:
        """The stops that were taken back and act no more, though the bill is not over their share."""
        return tuple(each for each in self.stops if each.status == _DISARMED and not self._is_over(each))

    def _is_over(self, stop: Stop) -> bool:
        return (self.counted or 0.0) > self.limit * stop.percent / 100

    def lines(self) -> tuple[str, ...]:
        """Return what was counted of the bill, and what is done at which share, a line each."""
        counted = "nothing yet" if self.counted is None else f"{self.counted:.2f} USD"
        return (
            f"AWS Budgets: {counted} of {self.limit:.2f} USD by the bill",
            *(str(each) for each in self.stops),
        )

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
                how=_HOW.get(each["ApprovalModel"], each["ApprovalModel"]),
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
    return net, tuple(_to_know(session, net))


def _to_know(session: Session, net: BudgetNet) -> Iterator[str]:
    """Yield what `fleetform up` would change about a budget in AWS Budgets."""
    declared, name = session.spec.budget, session.spec.name
    if round(net.limit, 2) != round(declared.usd_per_month, 2):
        yield (
            f"AWS Budgets counts against {net.limit:.2f} USD and not {declared.usd_per_month:.2f}: "
            f"`fleetform up {name}` changes that"
        )
    for stop in net.outlived:
        yield f"{_outlived(net, stop)}: `fleetform up {name}` takes the stop off"


def _outlived(net: BudgetNet, stop: Stop) -> str:
    return f"no machine may be started, though the bill is not over {_share(net, stop)}"


def _share(net: BudgetNet, stop: Stop) -> str:
    return f"{stop.percent:g} % of {net.limit:.2f} USD"


def held_back(session: Session) -> str:
    """Return what keeps machines from being started though the declared budget does not, "" for nothing.

    Nothing for who may not look, too: `look_at_net` says that.
    """
    try:
        if session.spec.budget.stops:
            net = read_net(session)
            return "; ".join(_outlived(net, each) for each in net.outlived) if net else ""
        names = ", ".join(_carrying(session))
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return ""
    return f"no machine may be started by {names}, though no budget stops that" if names else ""


def let_start_again(session: Session) -> str:
    """Take back what AWS Budgets has done, where the declared budget gives no reason for it any more.

    Returns what was done, "" for nothing. For after the base was applied, or found as declared: the budget
    was raised, or the share of it, another month has begun, or the stop was taken out, where nobody else
    takes its policy off the roles. A stop that was taken back, as by one of us who was killed, is made ready
    again.
    """
    if not session.spec.budget.stops:
        freed = _take_off(session)
        return f"may start machines again, as no budget stops them: {', '.join(freed)}" if freed else ""
    net = read_net(session)
    if net is None:
        return ""
    for stop in net.outlived:
        _execute(session, stop, "REVERSE_BUDGET_ACTION", _DISARMED)
    for stop in (*net.outlived, *net.disarmed):
        _execute(session, stop, "RESET_BUDGET_ACTION", "STANDBY")
    done = [_share(net, each) for each in net.outlived]
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
    carrying, policy = _carrying(session), _policy(session)
    for role in carrying:
        session.client("iam").detach_role_policy(RoleName=role, PolicyArn=policy)
    return carrying


def _carrying(session: Session) -> list[str]:
    """Return the roles that start machines and carry the account's policy that denies it."""
    iam, policy, found = session.client("iam"), _policy(session), []
    for kind in (naming.ROLE_HEAD, naming.ROLE_OPERATOR):
        role = naming.environment_role(session.spec.name, kind, session.spec.region)
        attached = ask(iam.list_attached_role_policies, RoleName=role) or {}
        if policy in [each["PolicyArn"] for each in attached.get("AttachedPolicies", ())]:
            found.append(role)
    return found


def _policy(session: Session) -> str:
    partition, account = aws.caller_account(session.client("sts"))
    return over_budget_arn(session.account.organization, partition, account)


def _about(session: Session) -> dict[str, str]:
    spec = session.spec
    return {
        "AccountId": aws.caller_account(session.client("sts"))[1],
        "BudgetName": naming.budget_name(spec.name, spec.region),
    }
