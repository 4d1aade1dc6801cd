"""What the runs of a team may do in the cloud under Slurm: their role's policies, within the boundary."""

from __future__ import annotations

import json
import re

import pytest

from sandbox.iam.evaluation import Access, Policies, decide
from sandbox.iam.policy import parse_policy
from sandbox.iam.principals import Principal
from stacks import naming
from tests.golden_environments import GOLDEN
from tests.iam_helpers import ACCOUNT
from tests.test_roles import plain

ARTIFACTS = "arn:aws:s3:::golden-co-pair-artifacts-us-east-1"
DATASETS = ARTIFACTS.replace("artifacts", "datasets")
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/pair"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:fleetform/pair/munge-AbCdEf"
TEAMS = ("", "blue", "green")
IDS = {"": "20261122-120000-abcde", "blue": "blue-20261122-1", "green": "green-20261122-1"}
PAIRS = [(team, other) for team in TEAMS for other in TEAMS if team != other]


def resource(team: str) -> str:
    """Return the name in the stack of the role of a team's runs."""
    return f"run_{team}" if team else "run"


def role_arn(team: str, environment: str = "pair") -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{naming.run_role(environment, team, 'us-east-1')}"


def policies(name: str) -> Policies:
    """Return the policies of a role in the golden environment that teams share, and its boundary."""
    base = json.loads((GOLDEN / "pair-base.tf.json").read_text())["resource"]["aws_iam_role_policy"]
    account = json.loads((GOLDEN / "account.tf.json").read_text())["resource"]["aws_iam_policy"]
    text = str(base[name]["policy"])
    for reference, arn in (
        ("aws_s3_bucket.artifacts", ARTIFACTS),
        ("aws_s3_bucket.datasets", DATASETS),
        ("aws_kms_key.main", KEY),
    ):
        text = text.replace(f"${{{reference}.arn}}", arn)
    return Policies(
        identity=(parse_policy(plain(text), name),),
        boundary=(parse_policy(plain(account["boundary"]["policy"]), "boundary"),),
    )


def may(name: str, action: str, thing: str, **keys: str) -> bool:
    """Return whether a session of the role may do it to the resource; condition keys with `_` for `:`."""
    principal = Principal(
        arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/session", account=ACCOUNT, role_arn=role_arn("")
    )
    given = {f"aws:PrincipalTag/{naming.TAG_ENVIRONMENT}": "pair"}
    given |= {key.replace("_", ":", 1): value for key, value in keys.items()}
    context = {key.lower(): [value] for key, value in given.items()}
    access = Access(principal=principal, action=action, resource=thing, context=context)
    return decide(access, policies(name)).allowed


OBJECTS = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
)


@pytest.mark.parametrize("team", TEAMS)
def test_a_run_may_all_that_it_takes_with_its_own_teams_runs(team: str) -> None:
    for action in OBJECTS:
        assert may(resource(team), action, f"{ARTIFACTS}/runs/{IDS[team]}/checkpoints/step-1/x"), action
    assert may(resource(team), "s3:ListBucket", ARTIFACTS, s3_prefix=f"runs/{IDS[team]}/")
    for thing in (f"{ARTIFACTS}/packages/wheels/x.whl", f"{ARTIFACTS}/node/storage.json", f"{DATASETS}/a/b"):
        assert may(resource(team), "s3:GetObject", thing), thing
    assert may(resource(team), "s3:ListBucket", ARTIFACTS, s3_prefix="packages/wheels/")
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        assert may(resource(team), action, KEY, kms_ViaService="s3.us-east-1.amazonaws.com"), action


@pytest.mark.parametrize(("team", "other"), PAIRS)
def test_a_run_neither_reads_nor_writes_nor_lists_another_teams(team: str, other: str) -> None:
    for action in OBJECTS:
        assert not may(resource(team), action, f"{ARTIFACTS}/runs/{IDS[other]}/run.json"), action
    for prefix in (f"runs/{IDS[other]}/", "runs/", "runs", ""):
        assert not may(resource(team), "s3:ListBucket", ARTIFACTS, s3_prefix=prefix), prefix


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize(
    ("action", "thing"),
    [
        ("s3:ListBucket", ARTIFACTS),
        ("s3:GetObject", f"{ARTIFACTS}/cluster/cluster.json"),
        ("s3:PutObject", f"{ARTIFACTS}/cluster/queue.json"),
        ("s3:PutObject", f"{ARTIFACTS}/cluster/stats/gpu-1.json"),
        ("s3:PutObject", f"{ARTIFACTS}/packages/wheels/x.whl"),
        ("s3:PutObject", f"{ARTIFACTS}/node/storage.json"),
        ("s3:GetObject", f"{ARTIFACTS}/node/0/bundle.tar.gz"),
        ("s3:GetObject", f"{ARTIFACTS}/runs/.speedup/0.json"),
        ("s3:PutObject", f"{DATASETS}/a/b"),
        ("s3:GetObjectVersion", f"{ARTIFACTS}/runs/{IDS['']}/run.json"),
        ("secretsmanager:GetSecretValue", SECRET),
        ("kms:Decrypt", KEY),
        ("ec2:DescribeInstances", "*"),
        ("ec2:CreateFleet", f"arn:aws:ec2:us-east-1:{ACCOUNT}:fleet/*"),
        ("ec2:TerminateInstances", f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1"),
        ("ec2:CreateTags", f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1"),
        ("ssm:GetParameter", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/fleetform/pair/outputs"),
        ("ssm:SendCommand", f"arn:aws:ssm:us-east-1:{ACCOUNT}:document/pair-run-job"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/pair-node-us-east-1"),
        ("sts:AssumeRole", role_arn("")),
        ("sts:AssumeRole", role_arn("green")),
    ],
)
def test_a_run_reaches_nothing_of_the_clusters_or_the_clouds(team: str, action: str, thing: str) -> None:
    assert not may(resource(team), action, thing, **{"aws_ResourceTag/fleetform:environment": "pair"})


def test_the_nodes_take_on_the_roles_of_their_own_environments_runs_and_no_others() -> None:
    for arn, allowed in (
        *((role_arn(team), True) for team in TEAMS),
        (role_arn("", "speech"), False),
        (role_arn("blue", "speech"), False),
        (f"arn:aws:iam::{ACCOUNT}:role/pair-head-us-east-1", False),
        (f"arn:aws:iam::{ACCOUNT}:role/pair-member-blue-us-east-1", False),
        (f"arn:aws:iam::{ACCOUNT}:role/pair-operator-us-east-1", False),
    ):
        assert may("node", "sts:AssumeRole", arn) is allowed, arn
        assert not may("head", "sts:AssumeRole", arn), arn
    tagged = {f"aws_ResourceTag/{naming.TAG_ENVIRONMENT}": "speech"}
    assert not may("node", "sts:AssumeRole", role_arn("blue"), **tagged), "by the boundary"


def test_the_nodes_alone_are_trusted_with_the_roles_and_these_are_bounded() -> None:
    roles = json.loads((GOLDEN / "pair-base.tf.json").read_text())["resource"]["aws_iam_role"]
    for team in TEAMS:
        role = roles[resource(team)]
        (trusts,) = json.loads(role["assume_role_policy"])["Statement"]
        assert (
            trusts["Principal"] == {"AWS": "${aws_iam_role.node.arn}"}
            and trusts["Action"] == "sts:AssumeRole"
        )
        assert re.fullmatch(r".*:policy/golden-co-fleetform-boundary", role["permissions_boundary"])
        assert role["name"] == role_arn(team).rpartition("/")[2]


def test_the_machines_are_told_of_each_teams_role() -> None:
    objects = json.loads((GOLDEN / "pair-fleet.tf.json").read_text())["resource"]["aws_s3_object"]
    told = json.loads(objects["cluster_cluster"]["content"])["teams"]
    names = {name: team["run_role"] for name, team in told.items()}
    assert names == {
        "research": "pair-run-us-east-1",
        "blue": "pair-run-blue-us-east-1",
        "green": "pair-run-green-us-east-1",
    }
