"""Every role of the six golden environments and their account: bounded, narrow, entered on record alone."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.iam.evaluation import Access, Policies, decide
from sandbox.iam.policy import parse_policy
from sandbox.iam.principals import Principal
from stacks import naming
from stacks.people_roles import SESSION_SECONDS
from tests.golden_environments import NAMES, stack_names, synthesize_all
from tests.iam_helpers import ACCOUNT
from tests.two_teams import synthesize_texts

ORGANIZATION = "golden-co"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/{ORGANIZATION}-fleetform-boundary"
DENY_LIST = f"arn:aws:iam::{ACCOUNT}:policy/{ORGANIZATION}-fleetform-deny-entry"
PEOPLE = ("member", "operator", "auditor", "deployer")
TEAMS = ("member_blue", "member_green")
"""Members of further teams, which one of the environments has."""
RUNS = ("run", "run_blue", "run_green")
"""What the runs of a team are, the first of the own one; nodes take them on."""
SERVICES_OF_THE_ACCOUNT = {"reaper", "reaper_schedules", "trail"}
"""Roles of the account's own functions: its administrator makes them, and no environment's boundary fits."""
BOUNDARIES = {"boundary", "account_boundary"}
"""Policies that grant nothing by themselves."""
UNNARROWED = {
    "autoscaling:Describe*",
    "cloudtrail:DescribeTrails",
    "cloudtrail:LookupEvents",
    "cloudwatch:DescribeAlarms",
    "ec2:Describe*",
    "ec2:GetEbsEncryptionByDefault",
    "ec2:GetSerialConsoleAccessStatus",
    "elasticfilesystem:CreateFileSystem",
    "elasticloadbalancing:Describe*",
    "fsx:Describe*",
    "iam:GenerateCredentialReport",
    "iam:GetAccountAuthorizationDetails",
    "iam:ListInstanceProfiles",
    "iam:ListPolicies",
    "iam:ListRoles",
    "kms:CreateKey",
    "kms:ListAliases",
    "kms:ListKeys",
    "lambda:ListFunctions",
    "logs:DescribeLogGroups",
    "s3:ListAllMyBuckets",
    "secretsmanager:ListSecrets",
    "scheduler:ListScheduleGroups",
    "scheduler:ListSchedules",
    "servicequotas:Get*",
    "servicequotas:List*",
    "sns:GetSubscriptionAttributes",
    "sns:ListSubscriptions",
    "sns:ListTopics",
    "ssm:CancelCommand",
    "ssm:DescribeInstanceInformation",
    "ssm:DescribeParameters",
    "ssm:GetCommandInvocation",
    "ssm:ListCommandInvocations",
    "ssm:ListCommands",
    "ssm:ListDocuments",
    "tag:GetResources",
}
"""Actions for which AWS's service authorization reference knows no resource, or that list all of a kind."""
LOOKS = ("Describe", "Get", "List", "Lookup", "Generate", "View")
"""How reading actions begin: an auditor sees every setting of the account, whoever made it."""
LOOK_ALIKES = (
    "elasticfilesystem:Describe",
    "elasticfilesystem:List",
    "ec2:GetInstanceUefiData",
    "ec2:GetSecurity",
)
"""Reading actions of file systems and images that know resources, and are asked for lists of all."""
_REFERENCE = re.compile(r"(?<!\$)\$\{([^}]+)\}")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all six are synthesized, once."""
    folder = tmp_path_factory.mktemp("cdktf.out")
    synthesize_all(folder)
    return folder


def resources(out: Path, stack: str, kind: str) -> dict[str, dict[str, Any]]:
    content = json.loads((out / "stacks" / stack / "cdk.tf.json").read_text())
    found: dict[str, dict[str, Any]] = content["resource"].get(kind, {})
    return found


def everywhere(out: Path, kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield stack, name and body of every resource of the kind."""
    for stack in stack_names():
        for name, body in resources(out, stack, kind).items():
            yield stack, name, body


def plain(text: str) -> str:
    """Return a text of the stacks as IAM gets it, with what Terraform fills in cut down to something."""
    known = {
        "data.aws_partition.current.partition": "aws",
        "data.aws_caller_identity.current.account_id": ACCOUNT,
    }
    return _REFERENCE.sub(lambda found: known.get(found[1], "filled-in"), text).replace("$${", "${")


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def granted(out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every statement that a role of ours is allowed something by, with its place."""
    for kind in ("aws_iam_role_policy", "aws_iam_policy"):
        for stack, name, body in everywhere(out, kind):
            if kind == "aws_iam_policy" and name in BOUNDARIES:
                continue
            for each in json.loads(plain(body["policy"]))["Statement"]:
                if each["Effect"] == "Allow":
                    yield f"{stack}: {kind}.{name}[{each['Sid']}]", each


def test_every_role_has_a_boundary_but_the_accounts_own_services(out: Path) -> None:
    seen = set()
    for stack, name, body in everywhere(out, "aws_iam_role"):
        boundary = plain(body.get("permissions_boundary", ""))
        if stack == naming.ACCOUNT_STACK:
            assert bool(boundary) is (name not in SERVICES_OF_THE_ACCOUNT), name
            assert boundary != BOUNDARY
        else:
            assert boundary == BOUNDARY, f"{stack}: {name}"
        seen.add(name)
    services = {"budget", "flow_logs", "lease", *SERVICES_OF_THE_ACCOUNT}
    assert seen == {"head", "node", *RUNS, *PEOPLE, *TEAMS, *services}


def test_no_statement_allows_every_action_or_everything_of_a_service(out: Path) -> None:
    for where, each in granted(out):
        assert "NotAction" not in each and "NotResource" not in each, where
        for action in as_list(each["Action"]):
            assert re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+\*?", action), f"{where}: {action}"


def test_no_resource_is_open_where_the_action_knows_one(out: Path) -> None:
    for where, each in granted(out):
        if "*" not in as_list(each["Resource"]):
            continue
        for action in as_list(each["Action"]):
            if ".auditor_see" in where:
                assert action.partition(":")[2].startswith(LOOKS), f"{where}: {action}"
            elif action == "elasticfilesystem:TagResource":
                assert "aws:RequestTag/fleetform:environment" in json.dumps(each["Condition"])
            else:
                covered = [known for known in UNNARROWED if fnmatch.fnmatchcase(action, known)]
                assert covered or action.startswith(LOOK_ALIKES), f"{where}: {action} on *"


def test_every_statement_about_sessions_asks_for_the_document_too(out: Path) -> None:
    """All policies of all stacks are walked, boundaries too, whoever they belong to."""
    found = 0
    for kind in ("aws_iam_role_policy", "aws_iam_policy"):
        for stack, name, body in everywhere(out, kind):
            for each in json.loads(plain(body["policy"]))["Statement"]:
                actions = as_list(each.get("Action", "*"))
                if each["Effect"] != "Allow" or not any(
                    fnmatch.fnmatchcase("ssm:StartSession", action) for action in actions
                ):
                    continue
                condition = each["Condition"]["BoolIfExists"]
                assert condition == {"ssm:SessionDocumentAccessCheck": "true"}, f"{stack}: {name}"
                found += 1
    assert found == 1 + 4 * len(NAMES), "the boundary, and document and machines for two roles each"


def test_each_role_of_people_carries_the_deny_list_and_no_machine_does(out: Path) -> None:
    carrying = {
        (stack, _REFERENCE.sub(r"\1", body["role"]).split(".")[1])
        for stack, _, body in everywhere(out, "aws_iam_role_policy_attachment")
        if plain(body["policy_arn"]) == DENY_LIST
    }
    people = {
        (stack, name) for stack, name, _ in everywhere(out, "aws_iam_role") if name in (*PEOPLE, *TEAMS)
    }
    assert carrying == people
    assert len(people) == 2 + 2 * len(NAMES) + len(TEAMS)


def test_people_take_on_a_role_only_in_a_persons_name_and_for_a_while(out: Path) -> None:
    for stack, name, body in everywhere(out, "aws_iam_role"):
        if name not in (*PEOPLE, *TEAMS):
            (trusts,) = json.loads(body["assume_role_policy"])["Statement"]
            kind, who = next(iter(trusts["Principal"].items()))
            assert (kind == "AWS") is (name in RUNS), f"{stack}: {name}"
            assert kind != "AWS" or who == "${aws_iam_role.node.arn}", f"{stack}: {name}"
            continue
        assume, source = json.loads(plain(body["assume_role_policy"]))["Statement"]
        assert assume["Action"] == "sts:AssumeRole" and source["Action"] == "sts:SetSourceIdentity"
        assert assume["Condition"] == {
            "Null": {"sts:SourceIdentity": "false"},
            "StringEquals": {"sts:RoleSessionName": "${sts:SourceIdentity}"},
        }
        assert source["Condition"] == {"Null": {"sts:SourceIdentity": "false"}}
        assert body["max_session_duration"] == SESSION_SECONDS[name.split("_")[0]] <= 8 * 3600


def test_there_are_no_roles_of_people_where_nobody_is_trusted_with_them(tmp_path: Path) -> None:
    stacks = synthesize_texts(tmp_path, 'organization = "acme-ai"\nregion = "us-east-1"\n')
    names = {
        name
        for stack in stacks.iterdir()
        for name in json.loads((stack / "cdk.tf.json").read_text())["resource"].get("aws_iam_role", {})
    }
    assert names & set(PEOPLE) == set()
    assert {"head", "node"} <= names


def test_what_people_may_do_to_machines_goes_by_environment_and_team(out: Path) -> None:
    tags = {f"{key}/fleetform:environment" for key in ("aws:ResourceTag", "ssm:resourceTag")}
    narrowed = 0
    for where, each in granted(out):
        if not re.search(r"_role_policy\.(member|operator)", where):
            continue
        resources_of = as_list(each["Resource"])
        if any(":instance/*" in arn or "autoScalingGroup:*" in arn for arn in resources_of):
            equal = each["Condition"]["StringEquals"]
            (key,) = tags & set(equal)
            assert equal[key.replace("environment", "team")], where
            assert equal[key] == where.split("-base")[0], where
            narrowed += 1
    assert narrowed == len(NAMES) * (2 * 2 + 2) + len(TEAMS)


def test_policies_are_within_iams_quotas_with_the_longest_names(tmp_path: Path) -> None:
    account = (
        f'organization = "{"o" * 17}"\nregion = "ap-southeast-3"\n'
        f'[people]\ntrusted = ["arn:aws:iam::{ACCOUNT}:role/{"r" * 60}"]\n'
    )
    stacks = synthesize_texts(tmp_path, account, name="e" * 20, region="ap-southeast-3")
    inside: dict[str, int] = {}
    for stack in stacks.iterdir():
        found = json.loads((stack / "cdk.tf.json").read_text())["resource"]
        for name, body in found.get("aws_iam_policy", {}).items():
            assert len(plain(body["policy"])) < 6144, f"{name}: a managed policy's characters"
        for body in found.get("aws_iam_role_policy", {}).values():
            role = f"{stack.name}: {body['role']}"
            inside[role] = inside.get(role, 0) + len(plain(body["policy"]))
        for body in found.get("aws_iam_role", {}).values():
            assert len(body["name"]) <= 64
            assert len(plain(body["assume_role_policy"])) < 2048, "a trust policy's characters"
    assert inside and max(inside.values()) < 10240, "what stands in a role, together"


# ------------------------------------------------------------------------------------------ the deployer


def deployer(out: Path) -> Policies:
    """Return the deployer's policies and its boundary."""
    found = resources(out, naming.ACCOUNT_STACK, "aws_iam_policy")
    own = [body for name, body in found.items() if name.startswith("deployer_")]
    return Policies(
        identity=tuple(parse_policy(plain(each["policy"]), each["name"]) for each in own),
        boundary=(parse_policy(plain(found["account_boundary"]["policy"]), "boundary"),),
    )


def may(policies: Policies, action: str, resource: str, keys: Mapping[str, str]) -> bool:
    principal = Principal(
        arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/ann",
        account=ACCOUNT,
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/deployer",
    )
    context = {key.lower(): [value] for key, value in keys.items()}
    access = Access(principal=principal, action=action, resource=resource, context=context)
    return decide(access, policies).allowed


ROLE = f"arn:aws:iam::{ACCOUNT}:role/vision-node-us-east-1"
DISK = f"arn:aws:ec2:us-east-1:{ACCOUNT}:volume/vol-1"
TAGGED = {"aws:RequestTag/fleetform:environment": "vision"}
OWN = {"aws:ResourceTag/fleetform:environment": "vision"}
BOUNDED = {"iam:PermissionsBoundary": BOUNDARY}


@pytest.mark.parametrize(
    ("action", "resource", "keys", "allowed"),
    [
        ("iam:CreateRole", ROLE, {**TAGGED, **BOUNDED}, True),
        ("iam:CreateRole", ROLE, TAGGED, False),
        ("iam:CreateRole", ROLE, {**TAGGED, "iam:PermissionsBoundary": f"{BOUNDARY}-account"}, False),
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {**TAGGED, **BOUNDED}, False),
        ("iam:CreateRole", ROLE, BOUNDED, False),
        ("iam:PutRolePolicy", ROLE, {**OWN, **BOUNDED}, True),
        ("iam:PutRolePolicy", ROLE, OWN, False),
        ("iam:PutRolePolicy", ROLE, BOUNDED, False),
        ("iam:AttachRolePolicy", ROLE, {**OWN, **BOUNDED, "iam:PolicyARN": DENY_LIST}, True),
        (
            "iam:AttachRolePolicy",
            ROLE,
            {**OWN, **BOUNDED, "iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"},
            False,
        ),
        ("iam:DeleteRolePermissionsBoundary", ROLE, {**OWN, **BOUNDED}, False),
        ("iam:CreatePolicyVersion", BOUNDARY, {}, False),
        ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/eve", {}, False),
        ("ec2:CreateTags", DISK, {**TAGGED, "ec2:CreateAction": "CreateVolume"}, True),
        ("ec2:CreateTags", DISK, TAGGED, False),
        ("ec2:CreateTags", "arn:aws:ec2:us-east-1::snapshot/snap-1", TAGGED, False),
        ("iam:PassRole", ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}, True),
        ("iam:PassRole", ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}, False),
        ("ec2:CreateVpc", f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/*", TAGGED, True),
        ("ec2:CreateVpc", f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/*", {}, False),
        ("ec2:DeleteVpc", f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/vpc-1", OWN, True),
        ("ec2:DeleteVpc", f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/vpc-1", {}, False),
        (
            "kms:PutKeyPolicy",
            f"arn:aws:kms:us-east-1:{ACCOUNT}:key/audit",
            {"aws:ResourceTag/fleetform:environment": "account"},
            False,
        ),
        (
            "s3:PutObject",
            f"arn:aws:s3:::{ORGANIZATION}-fleetform-state-us-east-1/account/terraform.tfstate",
            {},
            False,
        ),
        (
            "s3:PutObject",
            f"arn:aws:s3:::{ORGANIZATION}-fleetform-state-us-east-1/spot-base/terraform.tfstate",
            {},
            True,
        ),
        ("ssm:StartSession", f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1", OWN, False),
        ("ssm:SendCommand", f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1", OWN, False),
        (
            "s3:GetObject",
            f"arn:aws:s3:::{ORGANIZATION}-spot-artifacts-us-east-1/runs/r/model/model.safetensors",
            {},
            False,
        ),
    ],
)
def test_the_deployer_makes_what_is_an_environments_and_reaches_no_further(
    out: Path, action: str, resource: str, keys: dict[str, str], allowed: bool
) -> None:
    assert may(deployer(out), action, resource, keys) is allowed


def test_the_auditor_changes_nothing_and_puts_what_they_take_on_record(out: Path) -> None:
    adds = {"Null": {"s3:if-none-match": "false"}}
    assert [
        each["Condition"] for where, each in granted(out) if ".auditor" in where and "Put" in str(each)
    ] == [adds]
    for where, each in granted(out):
        if ".auditor" in where and each.get("Condition") != adds:
            for action in as_list(each["Action"]):
                name = action.partition(":")[2]
                assert name.startswith((*LOOKS, "Filter", "StartQuery", "Decrypt")), f"{where}: {action}"


def test_a_key_admits_the_account_but_for_other_environments(out: Path) -> None:
    for stack, _, body in everywhere(out, "aws_kms_key"):
        if stack != naming.ACCOUNT_STACK:
            account = json.loads(plain(body["policy"]))["Statement"][0]
            environment = stack.removesuffix("-base")
            assert account["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
            assert account["Condition"] == {
                "StringEqualsIfExists": {
                    "aws:PrincipalTag/fleetform:environment": [environment, naming.ACCOUNT_STACK]
                }
            }
