"""AWS Budgets with actions that really act: `POST /_sandbox/budget` says what a budget's bill has come to.

Seams: methods on `BudgetsResponse`, which moto finds by the action's name, and `Budget.to_dict`, which lacks
what was spent. moto has no actions, subscribers, tags or updates; drop those that it has. What passes the
threshold of an action is carried out at once (in the cloud within hours), with the action's own role: its
trust policy must admit the service, its rights count, and a refusal is EXECUTION_FAILURE. Of the actions'
types only APPLY_IAM_POLICY is there.
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_Operations_AWS_Budgets.html
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import Budget, budgets_backends
from moto.budgets.responses import BudgetsResponse
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.exceptions import JsonRESTError

from sandbox.budget_actions import Actor, BudgetAction
from sandbox.parts import Parts, store

_SPENT = "fleetform_spent"
_NEXT = {
    "APPROVE_BUDGET_ACTION": ("PENDING",),
    "RETRY_BUDGET_ACTION": ("EXECUTION_FAILURE", "REVERSE_FAILURE"),
    "REVERSE_BUDGET_ACTION": ("EXECUTION_SUCCESS", "REVERSE_FAILURE"),
    "RESET_BUDGET_ACTION": ("REVERSE_SUCCESS",),
}
"""What may be asked of an action, and in which states."""


def install(parts: Parts) -> None:
    """Give Budgets what it lacks, and the page."""
    actor = Actor(parts)
    for answer in (
        update_budget,
        describe_subscribers_for_notification,
        create_budget_action,
        update_budget_action,
        delete_budget_action,
        describe_budget_action,
        describe_budget_actions_for_budget,
        list_tags_for_resource,
        tag_resource,
        untag_resource,
    ):
        setattr(BudgetsResponse, answer.__name__, answer)
    BudgetsResponse.execute_budget_action = _executed_by(actor)
    for name in ("create_budget", "delete_budget"):
        setattr(BudgetsResponse, name, _with_more(getattr(BudgetsResponse, name)))
    Budget.to_dict = _with_spent(Budget.to_dict)
    parts.pages["POST", "budget"] = lambda body: _spend(actor, json.loads(body))


def _asked(request: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = json.loads(request.body)
    return wanted


def _actions(request: Any) -> dict[str, BudgetAction]:
    return store(request.backend, "budget_actions")


def _tags(request: Any) -> dict[str, dict[str, str]]:
    return store(request.backend, "budget_tags")


def _take_tags(wanted: dict[str, Any]) -> dict[str, str]:
    """Take the tags out of a request and return them as a mapping; there need be none."""
    return {each["Key"]: each["Value"] for each in wanted.pop("ResourceTags", None) or ()}


def _with_more(known: Callable[[Any], str]) -> Callable[[Any], str]:
    """Let a budget have tags from its creation on, and take its actions along at its end."""

    @functools.wraps(known)
    def answer(request: Any) -> str:
        wanted, said = _asked(request), known(request)
        name = wanted.get("BudgetName") or wanted["Budget"]["BudgetName"]
        arn = f"arn:aws:budgets::{wanted['AccountId']}:budget/{name}"
        if known.__name__ == "create_budget":
            _tags(request)[arn] = _take_tags(wanted)
            return said
        actions = _actions(request)
        for each in [action for action in actions.values() if action.fields["BudgetName"] == name]:
            del actions[each.id]
        _tags(request).pop(arn, None)
        return said

    return answer


def _with_spent(known: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    @functools.wraps(known)
    def to_dict(budget: Any) -> dict[str, Any]:
        told = known(budget)
        spent = {"Amount": str(budget.__dict__.get(_SPENT, "0")), "Unit": "USD"}
        # A forecast takes weeks of bills, so there is none.
        return {**told, "CalculatedSpend": {"ActualSpend": spent}}

    return to_dict


def update_budget(request: Any) -> str:
    """UpdateBudget: the budget as it is given, what was spent of it stays."""
    new = _asked(request)["NewBudget"]
    known = _budget(request, new["BudgetName"])
    known.budget = {**new, "TimePeriod": new.get("TimePeriod") or known.budget["TimePeriod"]}
    return "{}"


def describe_subscribers_for_notification(request: Any) -> str:
    """DescribeSubscribersForNotification; a notification is known by what it compares."""
    wanted, compared = _asked(request), ("NotificationType", "ComparisonOperator", "Threshold")
    for each in _budget(request, wanted["BudgetName"]).notifications:
        if all(each.details.get(name) == wanted["Notification"].get(name) for name in compared):
            return json.dumps({"Subscribers": each.subscribers})
    raise NotFoundException("the notification doesn't exist")


def create_budget_action(request: Any) -> str:
    """CreateBudgetAction: it stands by until the bill passes its threshold."""
    wanted = _asked(request)
    _budget(request, wanted["BudgetName"])
    if wanted["ActionType"] != "APPLY_IAM_POLICY":
        raise JsonRESTError("InvalidParameterException", f"no actions of type {wanted['ActionType']} here")
    tags = _take_tags(wanted)
    action = BudgetAction(str(uuid.uuid4()), wanted.pop("AccountId"), wanted)
    _actions(request)[action.id] = action
    _tags(request)[action.arn] = tags
    return _named(action)


def update_budget_action(request: Any) -> str:
    """UpdateBudgetAction: the fields that are given; one that has acted stays as it is."""
    wanted, action = _asked(request), _action(request)
    old, keys = action.to_dict(), ("AccountId", "BudgetName", "ActionId")
    action.fields = {**action.fields, **{key: value for key, value in wanted.items() if key not in keys}}
    return json.dumps(
        {
            "AccountId": action.account, "BudgetName": wanted["BudgetName"],
            "OldAction": old, "NewAction": action.to_dict(),
        }
    )  # fmt: skip


def delete_budget_action(request: Any) -> str:
    """DeleteBudgetAction: what it has attached stays attached."""
    action = _action(request)
    del _actions(request)[action.id]
    _tags(request).pop(action.arn, None)
    return _whole(action)


def describe_budget_action(request: Any) -> str:
    """DescribeBudgetAction."""
    return _whole(_action(request))


def describe_budget_actions_for_budget(request: Any) -> str:
    """DescribeBudgetActionsForBudget."""
    name = _asked(request)["BudgetName"]
    _budget(request, name)
    found = [each.to_dict() for each in _actions(request).values() if each.fields["BudgetName"] == name]
    return json.dumps({"Actions": found})


def list_tags_for_resource(request: Any) -> str:
    """ListTagsForResource, of a budget or an action."""
    found = _tags(request).get(_asked(request)["ResourceARN"], {})
    return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in found.items()]})


def tag_resource(request: Any) -> str:
    """TagResource."""
    wanted = _asked(request)
    _tags(request).setdefault(wanted["ResourceARN"], {}).update(_take_tags(wanted))
    return "{}"


def untag_resource(request: Any) -> str:
    """UntagResource."""
    wanted = _asked(request)
    for key in wanted["ResourceTagKeys"]:
        _tags(request).get(wanted["ResourceARN"], {}).pop(key, None)
    return "{}"


def _executed_by(actor: Actor) -> Callable[[Any], str]:
    def execute_budget_action(request: Any) -> str:
        """ExecuteBudgetAction: approve, try again, take back, or stand by once more."""
        kind, action = _asked(request)["ExecutionType"], _action(request)
        if action.status not in _NEXT.get(kind, ()):
            raise JsonRESTError("ResourceLockedException", f"{kind} is not for an action in {action.status}")
        if kind == "RESET_BUDGET_ACTION":
            action.status = "STANDBY"
        else:
            back = kind.startswith("REVERSE") or action.status == "REVERSE_FAILURE"
            actor.begin(action, back=back)
        return json.dumps({**json.loads(_named(action)), "ExecutionType": kind})

    return execute_budget_action


def _spend(actor: Actor, said: Mapping[str, Any]) -> dict[str, object]:
    """Say what the bill has come to; what passes an action's threshold is carried out, or waits for approval.

    `budget` is its name, `usd` the amount. Answers the actions as they are then.
    """
    backend = budgets_backends[DEFAULT_ACCOUNT_ID]["aws"]
    with actor.turn:
        budget = backend.budgets[backend.account_id][said["budget"]]
        setattr(budget, _SPENT, said["usd"])
        known = store(backend, "budget_actions").values()
        of_it = [each for each in known if each.fields["BudgetName"] == said["budget"]]
        limit = float(budget.budget["BudgetLimit"]["Amount"])
    actor.bill(of_it, float(said["usd"]), limit)
    return {"budget": said["budget"], "actions": [each.to_dict() for each in of_it]}


def _budget(request: Any, name: str) -> Any:
    found = request.backend.budgets[_asked(request)["AccountId"]].get(name)
    if found is None:
        raise NotFoundException(f"Unable to get budget: {name} - the budget doesn't exist.")
    return found


def _action(request: Any) -> BudgetAction:
    wanted = _asked(request)
    found = _actions(request).get(wanted["ActionId"])
    if found is None or found.fields["BudgetName"] != wanted["BudgetName"]:
        raise NotFoundException(f"Unable to get action: {wanted['ActionId']} - the action doesn't exist.")
    return found


def _named(action: BudgetAction) -> str:
    return json.dumps(
        {"AccountId": action.account, "BudgetName": action.fields["BudgetName"], "ActionId": action.id}
    )


def _whole(action: BudgetAction) -> str:
    name = action.fields["BudgetName"]
    return json.dumps({"AccountId": action.account, "BudgetName": name, "Action": action.to_dict()})
