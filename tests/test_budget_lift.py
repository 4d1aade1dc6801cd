"""What AWS Budgets has counted and done is told, and taken back once the budget gives no reason for it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.budget_net import held_back, let_start_again, look_at_net, read_net
from fleet.cloud import Cloud
from fleet.ledger import Act
from fleet.project import Project
from fleet.session import Session
from fleet.terraform_events import ProgressEvent
from fleet.up import _let_machines_start
from stacks import naming
from stacks.account import AccountSpec
from stacks.budget_policy import over_budget_arn, over_budget_document
from tests.environment_parts import REGION, make_specs
from tests.iam_helpers import ACCOUNT, acting, allow, make_role, trust
from tests.sandbox_helpers import admin, api, wait_for

ORGANIZATION = "net-tests"
POLICY = over_budget_arn(ORGANIZATION, "aws", ACCOUNT)


@dataclass
class Net:
    """An environment whose head may be stopped, as its base would make it."""

    session: Session

    @property
    def about(self) -> dict[str, str]:
        name = naming.budget_name(self.session.spec.name, REGION)
        return {"AccountId": ACCOUNT, "BudgetName": name}

    def bill(self, usd: float) -> None:
        admin(self.session.cloud, "POST", "budget", {"budget": self.about["BudgetName"], "usd": usd})

    def is_stopped(self) -> bool:
        role = naming.environment_role(self.session.spec.name, naming.ROLE_HEAD, REGION)
        held = api(self.session.cloud, "iam").list_attached_role_policies(RoleName=role)
        return POLICY in [each["PolicyArn"] for each in held["AttachedPolicies"]]

    def declared(self, **budget: Any) -> Session:
        """Return the session of a file that says something else of the budget."""
        _, spec = make_specs(self.session.spec.name, {}, budget={"usd_per_month": 100, **budget})
        return replace(self.session, spec=spec)


def budget(usd: float) -> dict[str, Any]:
    return {"BudgetLimit": {"Amount": str(usd), "Unit": "USD"}, "TimeUnit": "MONTHLY", "BudgetType": "COST"}


@pytest.fixture
def net(sandbox: Cloud, sandbox_home: Path, tmp_path: Path) -> Net:
    """A budget of 100 USD that stops at all of it."""
    name = f"net{uuid.uuid4().hex[:8]}"
    _, spec = make_specs(name, {}, budget={"usd_per_month": 100})
    account = AccountSpec(organization=ORGANIZATION, region=REGION)
    made = Net(Session(Project(root=tmp_path, home=sandbox_home), sandbox, account, spec))
    iam = api(sandbox, "iam")
    if POLICY not in [each["Arn"] for each in iam.list_policies(Scope="Local")["Policies"]]:
        title = naming.account_name(ORGANIZATION, naming.OVER_BUDGET)
        iam.create_policy(PolicyName=title, PolicyDocument=over_budget_document())
    head = naming.environment_role(name, naming.ROLE_HEAD, REGION)
    arn = make_role(sandbox, head)
    acts = make_role(
        sandbox,
        naming.environment_role(name, naming.BUDGET, REGION),
        allow(["iam:AttachRolePolicy", "iam:DetachRolePolicy"], arn),
        trusts=trust({"Service": "budgets.amazonaws.com"}),
    )
    client = api(sandbox, "budgets")
    client.create_budget(AccountId=ACCOUNT, Budget={"BudgetName": made.about["BudgetName"], **budget(100)})
    client.create_budget_action(
        **made.about,
        NotificationType="ACTUAL",
        ActionType="APPLY_IAM_POLICY",
        ActionThreshold={"ActionThresholdValue": 100, "ActionThresholdType": "PERCENTAGE"},
        Definition={"IamActionDefinition": {"PolicyArn": POLICY, "Roles": [head]}},
        ExecutionRoleArn=acts,
        ApprovalModel="AUTOMATIC",
        Subscribers=[{"SubscriptionType": "EMAIL", "Address": "a@example.com"}],
    )
    return made


def test_what_was_counted_and_what_became_of_it_is_told(net: Net) -> None:
    found, notes = look_at_net(net.session)
    assert found is not None and notes == ()
    assert found.lines() == (
        "AWS Budgets: 0.00 USD of 100.00 USD by the bill",
        "at 100 %, by itself: head node and operators may start no machine; it stands by",
    )
    net.bill(100.01)
    found = read_net(net.session)
    assert found is not None
    assert found.lines() == (
        "AWS Budgets: 100.01 USD of 100.00 USD by the bill",
        "at 100 %, by itself: head node and operators may start no machine; it is in force",
    )
    assert found.to_dict()["stops"][0]["status"] == "EXECUTION_SUCCESS"


def test_a_budget_that_was_raised_in_the_file_alone_is_told(net: Net) -> None:
    _, notes = look_at_net(net.declared(usd_per_month=250))
    name = net.session.spec.name
    assert notes == (
        f"AWS Budgets counts against 100.00 USD and not 250.00: `fleetform up {name}` changes that",
    )
    assert look_at_net(net.declared(usd_per_month=0)) == (None, ())


def test_nothing_is_asked_for_where_the_base_does_not_stand_or_may_not_be_looked_at(
    net: Net, sandbox: Cloud
) -> None:
    name = net.session.spec.name
    stranger = acting(sandbox, f"{name}-nobody", allow("sts:GetCallerIdentity"))
    found, (why,) = look_at_net(replace(net.session, cloud=stranger))
    assert found is None and "can't be told" in why and "budgets:ViewBudget" in why
    api(sandbox, "budgets").delete_budget(**net.about)
    assert look_at_net(net.session) == (
        None, (f"AWS Budgets does not count yet: `fleetform up {name}` puts it under the budget",)
    )  # fmt: skip


def test_a_raised_budget_lets_machines_be_started_again_and_one_that_was_not_does_not(net: Net) -> None:
    net.bill(150)
    assert net.is_stopped()
    assert let_start_again(net.session) == ""
    assert net.is_stopped()
    new = {"BudgetName": net.about["BudgetName"], **budget(200)}
    api(net.session.cloud, "budgets").update_budget(AccountId=ACCOUNT, NewBudget=new)
    done = let_start_again(net.declared(usd_per_month=200))
    assert done == "machines may be started again: the bill is not over 100 % of 200.00 USD"
    assert not net.is_stopped()
    net.bill(201)
    wait_for(net.is_stopped)


def test_a_stop_that_a_new_month_has_left_in_force_is_told_and_taken_off(net: Net) -> None:
    net.bill(150)
    assert look_at_net(net.session)[1] == () and held_back(net.session) == "", "there is a reason for it"
    net.bill(3)  # another month: what AWS has counted begins anew, and the action is as it was
    found, (why,) = look_at_net(net.session)
    assert found is not None and [each.status for each in found.outlived] == ["EXECUTION_SUCCESS"]
    said = "no machine may be started, though the bill is not over 100 % of 100.00 USD"
    assert why == f"{said}: `fleetform up {net.session.spec.name}` takes the stop off"
    assert held_back(net.session) == said
    assert let_start_again(net.session) == (
        "machines may be started again: the bill is not over 100 % of 100.00 USD"
    )
    assert not net.is_stopped() and held_back(net.session) == ""
    net.bill(101)
    wait_for(net.is_stopped)


def test_up_takes_a_stop_off_also_where_the_base_is_as_declared(net: Net) -> None:
    net.bill(150)
    net.bill(3)
    act, told = Act(), list[ProgressEvent]()
    _let_machines_start(net.session, told.append, act, rebuilt=False)
    assert not net.is_stopped()
    said = "machines may be started again: the bill is not over 100 % of 100.00 USD"
    assert ([each.text for each in told], act.details) == ([said], {"budget": said})


def test_who_may_not_look_at_aws_budgets_builds_on_what_is_as_declared_and_is_told(
    net: Net, sandbox: Cloud
) -> None:
    allowed = allow(["sts:GetCallerIdentity", "autoscaling:DescribeAutoScalingGroups"])
    stranger = acting(sandbox, f"{net.session.spec.name}-builder", allowed)
    told, session = list[ProgressEvent](), replace(net.session, cloud=stranger)
    _let_machines_start(session, told.append, Act(), rebuilt=False)
    assert held_back(session) == held_back(replace(session, spec=net.declared(usd_per_month=0).spec)) == ""
    assert told[0].text.startswith("whether AWS Budgets keeps machines from being started can't be told: ")
    with pytest.raises(ClientError, match="budgets:ViewBudget"):
        _let_machines_start(session, told.append, Act(), rebuilt=True)


def test_a_stop_that_was_taken_back_and_not_made_ready_again_acts_again(net: Net) -> None:
    net.bill(150)
    client = api(net.session.cloud, "budgets")
    (stop,) = client.describe_budget_actions_for_budget(**net.about)["Actions"]
    client.execute_budget_action(
        **net.about, ActionId=stop["ActionId"], ExecutionType="REVERSE_BUDGET_ACTION"
    )
    wait_for(lambda: not net.is_stopped())
    assert let_start_again(net.session) == ""
    assert not net.is_stopped(), "the bill is over the share: somebody has let it go on"
    net.bill(3)
    assert let_start_again(net.session) == "" and held_back(net.session) == ""
    net.bill(101)
    wait_for(net.is_stopped)


@pytest.mark.parametrize("without", [{"stop_at_percent": 0}, {"usd_per_month": 0}])
def test_a_stop_that_was_taken_out_leaves_nobody_stopped(net: Net, without: dict[str, Any]) -> None:
    net.bill(150)
    api(net.session.cloud, "budgets").delete_budget(**net.about)
    assert net.is_stopped(), "AWS leaves it where it is"
    head = naming.environment_role(net.session.spec.name, naming.ROLE_HEAD, REGION)
    assert held_back(net.declared(**without)) == (
        f"no machine may be started by {head}, though no budget stops that"
    )
    assert head in let_start_again(net.declared(**without))
    assert not net.is_stopped()
    assert let_start_again(net.declared(**without)) == ""
