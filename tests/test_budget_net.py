"""The net under a budget: what AWS Budgets counts, whom it tells, and what it may do to whose roles."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sandbox.iam.evaluation import Access, Policies, decide
from sandbox.iam.policy import Policy, parse_policy
from sandbox.iam.principals import Principal
from stacks.boundary import boundary_document
from stacks.budget_policy import STARTS, over_budget_arn, over_budget_document
from stacks.environment import load_environment
from stacks.guardrails import check_directory
from stacks.policies import as_iam_reads
from tests.golden_environments import GOLDEN
from tests.iam_helpers import ACCOUNT, trusts
from tests.spec_files import ACCOUNT as ACCOUNT_TEXT
from tests.spec_files import environment_text, write_folder

DENIES = over_budget_arn("golden-co", "aws", ACCOUNT)
ROLE = f"arn:aws:iam::{ACCOUNT}:role"
HEAD, OPERATOR, NODE = (f"{ROLE}/pair-{each}-us-east-1" for each in ("head", "operator", "node"))
ATTACH = ("iam:AttachRolePolicy", "iam:DetachRolePolicy")


def base(name: str) -> dict[str, Any]:
    """Return the resources of the base of a golden environment."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}-base.tf.json").read_text())["resource"]
    return found


def resolved(name: str, text: str) -> str:
    """Return a document with what Terraform alone knows put in its place."""
    known = {
        "data.aws_caller_identity.current.account_id": ACCOUNT,
        "data.aws_partition.current.partition": "aws",
        **{f"aws_iam_role.{role}.name": body["name"] for role, body in base(name)["aws_iam_role"].items()},
    }
    return re.sub(r"\$\{([^}]+)\}", lambda found: known[found.group(1)], text)


def may(policies: Policies, action: str, resource: str, **context: list[str]) -> bool:
    role = Principal(arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s", account=ACCOUNT)
    access = Access(principal=role, action=action, resource=resource, context=context)
    return decide(access, policies).allowed


def acting_role() -> Policy:
    """Return what the role of AWS Budgets of `pair` may do by its own policy."""
    return parse_policy(resolved("pair", base("pair")["aws_iam_role_policy"]["budget"]["policy"]), "budget")


def test_the_bill_is_told_by_the_environments_tag_without_what_hides_it() -> None:
    budget = base("pair")["aws_budgets_budget"]["budget"]
    assert budget["cost_filter"] == [{"name": "TagKeyValue", "values": ["user:fleetform:environment$pair"]}]
    assert budget["cost_types"] == {"include_credit": False, "include_refund": False}
    assert (budget["limit_amount"], budget["limit_unit"], budget["time_unit"]) == (
        "150000.00",
        "USD",
        "MONTHLY",
    )
    assert base("spot")["aws_budgets_budget"]["budget"]["limit_amount"] == "2500.50"


def test_each_share_has_a_mail_to_everybody_named() -> None:
    mails = base("pair")["aws_budgets_budget"]["budget"]["notification"]
    assert [each["threshold"] for each in mails] == [50, 90, 100]
    people = ["research@example.com", "finance@example.com"]
    assert all(each["subscriber_email_addresses"] == people for each in mails)
    assert {each["notification_type"] for each in mails} == {"ACTUAL"}


def test_the_owner_is_told_where_nobody_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, ACCOUNT_TEXT, vision=environment_text())
    spec = load_environment(folder / "vision.toml")
    assert spec.told_of_budget == (spec.owner,)


def test_the_action_denies_on_the_roles_that_start_machines_by_itself_or_by_approval() -> None:
    pair, spot = (base(name)["aws_budgets_budget_action"]["budget"] for name in ("pair", "spot"))
    given = pair["definition"]["iam_action_definition"]
    assert given["roles"] == ["${aws_iam_role.head.name}", "${aws_iam_role.operator.name}"]
    assert resolved("pair", given["policy_arn"]) == DENIES
    assert (pair["approval_model"], spot["approval_model"]) == ("MANUAL", "AUTOMATIC")
    assert pair["action_threshold"]["action_threshold_value"] == 110
    assert spot["action_threshold"]["action_threshold_value"] == 100


@pytest.mark.parametrize("action", ATTACH)
def test_the_acting_role_may_put_that_one_policy_on_those_roles_and_nothing_else(action: str) -> None:
    boundary = as_iam_reads(boundary_document("golden-co", "aws", ACCOUNT))
    policies = Policies(identity=(acting_role(),), boundary=(parse_policy(boundary, "boundary"),))
    that, other = (
        {"iam:policyarn": [DENIES]},
        {"iam:policyarn": ["arn:aws:iam::aws:policy/AdministratorAccess"]},
    )
    assert may(policies, action, HEAD, **that)
    assert may(policies, action, OPERATOR, **that)
    assert not may(policies, action, NODE, **that)
    assert not may(policies, action, HEAD.replace("pair", "spot"), **that)
    assert not may(policies, action, HEAD, **other)
    assert not may(policies, "iam:PutRolePolicy", HEAD)


@pytest.mark.parametrize("action", ATTACH)
def test_the_boundary_lets_no_role_attach_any_other_policy(action: str) -> None:
    everything = parse_policy(
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}', "all"
    )
    boundary = as_iam_reads(boundary_document("golden-co", "aws", ACCOUNT))
    policies = Policies(identity=(everything,), boundary=(parse_policy(boundary, "boundary"),))
    assert may(policies, action, HEAD, **{"iam:policyarn": [DENIES]})
    assert not may(policies, action, NODE, **{"iam:policyarn": [DENIES]})
    assert not may(policies, action, HEAD, **{"iam:policyarn": [f"{DENIES}-not"]})


def test_only_aws_budgets_takes_on_the_acting_role_and_only_for_this_account() -> None:
    trust = parse_policy(
        resolved("pair", base("pair")["aws_iam_role"]["budget"]["assume_role_policy"]), "trust"
    )

    own = f"arn:aws:budgets::{ACCOUNT}:budget/fleetform-budget-pair-us-east-1"
    other = "210987654321"
    assert trusts(trust, "budgets.amazonaws.com", arn=own)
    assert not trusts(trust, "budgets.amazonaws.com", arn=own.replace(ACCOUNT, other), account=other)
    assert not trusts(trust, "ec2.amazonaws.com", arn=own)


def test_who_carries_the_policy_starts_nothing_and_can_still_end_machines() -> None:
    everything = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    texts = (everything, over_budget_document())
    policies = Policies(identity=tuple(parse_policy(each, "p") for each in texts))
    assert not [action for action in STARTS if may(policies, action, "*")]
    for action in (
        "ec2:TerminateInstances",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "s3:PutObject",
    ):
        assert may(policies, action, "*")


def test_no_budget_leaves_nothing_of_it_in_the_stack() -> None:
    made = base("onebox")
    assert not [kind for kind in made if kind.startswith("aws_budgets")]
    assert "budget" not in made["aws_iam_role"]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("[budget]\nstop_at_percent = 90\nmail_at_percent = []\n", ["mail_at_percent", "stop_at_percent"]),
        ('[budget]\nusd_per_month = 9e9\nstop_at_percent = 0\nstop_by = "approval"\n', ["stop_by"]),
        ("[budget]\nusd_per_month = 9e9\nstop_at_percent = 90\n", []),
    ],
)
def test_a_setting_that_does_nothing_is_told(tmp_path: Path, text: str, paths: list[str]) -> None:
    folder = write_folder(tmp_path, ACCOUNT_TEXT, vision=f"{environment_text()}\n{text}")
    errors, warnings = check_directory(folder)
    assert errors == []
    assert [each.path for each in warnings if each.path.startswith("budget.")] == [
        f"budget.{path}" for path in paths
    ]


def test_more_addresses_than_aws_budgets_takes_are_refused(tmp_path: Path) -> None:
    mails = ", ".join(f'"p{number}@example.com"' for number in range(11))
    text = f"{environment_text()}\n[alerts]\nemails = [{mails}]\n[budget]\nusd_per_month = 9e9\n"
    (problem,) = check_directory(write_folder(tmp_path, ACCOUNT_TEXT, vision=text))[0]
    assert (problem.path, "10 addresses" in problem.what) == ("alerts.emails", True)
