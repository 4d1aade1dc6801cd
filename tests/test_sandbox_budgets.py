"""Budgets of the embedded cloud act as AWS's do: by their own role, on the roles that their action names."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from fleet.cloud import Cloud
from tests.iam_helpers import ACCOUNT, allow, assume, document, make_role, refusal, trust
from tests.sandbox_helpers import admin, api, wait_for

DENY = {"Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*"}
START = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1}
BUDGETS = {"Service": "budgets.amazonaws.com"}


@dataclass
class Net:
    """A budget with an action on one role that may start machines."""

    cloud: Cloud
    name: str
    action: str
    starter: str

    @property
    def about(self) -> dict[str, str]:
        return {"AccountId": ACCOUNT, "BudgetName": self.name, "ActionId": self.action}

    @property
    def status(self) -> str:
        found = api(self.cloud, "budgets").describe_budget_action(**self.about)
        return str(found["Action"]["Status"])

    def bill(self, usd: float) -> None:
        admin(self.cloud, "POST", "budget", {"budget": self.name, "usd": usd})

    def execute(self, kind: str) -> None:
        api(self.cloud, "budgets").execute_budget_action(**self.about, ExecutionType=kind)

    def may_start(self) -> bool:
        """Return whether a new session of the role is refused no machine."""
        ec2 = api(assume(self.cloud, self.starter), "ec2")
        code, _ = refusal(ec2.run_instances, **START, DryRun=True)
        assert code in ("DryRunOperation", "UnauthorizedOperation")
        return code == "DryRunOperation"


def net(
    cloud: Cloud, model: str = "AUTOMATIC", trusts: Any = BUDGETS, may: str = "iam:*tachRolePolicy"
) -> Net:
    """Make a budget of 100 USD whose action denies at 80 percent."""
    name = f"net-{uuid.uuid4().hex[:8]}"
    starter = make_role(cloud, f"{name}-starter", allow("ec2:*"))
    acting = make_role(cloud, f"{name}-acting", allow(may, starter), trusts=trust(trusts))
    denies = api(cloud, "iam").create_policy(PolicyName=name, PolicyDocument=document(DENY))
    client = api(cloud, "budgets")
    client.create_budget(
        AccountId=ACCOUNT,
        Budget={
            "BudgetName": name,
            "BudgetLimit": {"Amount": "100", "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        },
        ResourceTags=[{"Key": "whose", "Value": "ours"}],
    )
    made = client.create_budget_action(
        AccountId=ACCOUNT,
        BudgetName=name,
        NotificationType="ACTUAL",
        ActionType="APPLY_IAM_POLICY",
        ActionThreshold={"ActionThresholdValue": 80, "ActionThresholdType": "PERCENTAGE"},
        Definition={
            "IamActionDefinition": {"PolicyArn": denies["Policy"]["Arn"], "Roles": [f"{name}-starter"]}
        },
        ExecutionRoleArn=acting,
        ApprovalModel=model,
        Subscribers=[{"SubscriptionType": "EMAIL", "Address": "a@example.com"}],
    )
    return Net(cloud, name, made["ActionId"], starter)


def test_a_bill_past_the_share_attaches_the_policy_and_a_launch_is_refused(sandbox: Cloud) -> None:
    made = net(sandbox)
    made.bill(79)
    assert made.status == "STANDBY"
    assert made.may_start()
    made.bill(81)
    assert made.status == "EXECUTION_SUCCESS"
    assert not made.may_start()
    (told,) = (
        each
        for each in api(sandbox, "budgets").describe_budgets(AccountId=ACCOUNT)["Budgets"]
        if each["BudgetName"] == made.name
    )
    assert told["CalculatedSpend"]["ActualSpend"] == {"Amount": "81", "Unit": "USD"}


def test_what_asks_for_approval_waits_for_it_and_can_be_taken_back(sandbox: Cloud) -> None:
    made = net(sandbox, model="MANUAL")
    made.bill(500)
    assert made.status == "PENDING"
    assert made.may_start()
    made.execute("APPROVE_BUDGET_ACTION")
    wait_for(lambda: made.status == "EXECUTION_SUCCESS")
    assert not made.may_start()
    made.execute("REVERSE_BUDGET_ACTION")
    wait_for(lambda: made.status == "REVERSE_SUCCESS")
    assert made.may_start()
    made.execute("RESET_BUDGET_ACTION")
    assert made.status == "STANDBY"
    code, _ = refusal(made.execute, kind="REVERSE_BUDGET_ACTION")
    assert code == "ResourceLockedException"


@pytest.mark.parametrize(
    "wrong", [{"trusts": {"Service": "ec2.amazonaws.com"}}, {"may": "iam:GetRole"}], ids=["trust", "rights"]
)
def test_an_action_whose_role_may_not_act_fails_and_nothing_is_attached(
    sandbox: Cloud, wrong: dict[str, Any]
) -> None:
    made = net(sandbox, **wrong)
    made.bill(100)
    assert made.status == "EXECUTION_FAILURE"
    assert made.may_start()


def test_a_budget_takes_its_actions_along_and_what_they_attached_stays(sandbox: Cloud) -> None:
    made, client = net(sandbox), api(sandbox, "budgets")
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/{made.name}"
    tags = client.list_tags_for_resource(ResourceARN=arn)["ResourceTags"]
    assert tags == [{"Key": "whose", "Value": "ours"}]
    made.bill(100)
    client.delete_budget(AccountId=ACCOUNT, BudgetName=made.name)
    code, _ = refusal(client.describe_budget_action, **made.about)
    assert code == "NotFoundException"
    assert not made.may_start()
