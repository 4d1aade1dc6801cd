"""What a head node may start and end, and a node may not: its policies, evaluated with the boundary's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandbox.iam.evaluation import Access, Policies, decide
from sandbox.iam.policy import parse_policy
from sandbox.iam.principals import Principal
from sandbox.iam.requests import ApiRequest
from sandbox.iam.tables import needs_of
from stacks import naming
from tests.golden_environments import GOLDEN
from tests.iam_helpers import ACCOUNT
from tests.test_roles import plain

EC2 = f"arn:aws:ec2:us-east-1:{ACCOUNT}"
NODE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/pair-node-us-east-1"
TO_EC2 = {"iam:PassedToService": "ec2.amazonaws.com"}
BUCKET = "arn:aws:s3:::golden-co-pair-artifacts-us-east-1"
KEY = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:fleetform/pair/munge-AbCdEf"


def tags(where: str, environment: str = "pair", role: str = "", **more: str) -> dict[str, str]:
    """Return the condition keys of a thing's tags, or of those that a call gives."""
    found = {naming.TAG_ENVIRONMENT: environment, **({naming.TAG_ROLE: role} if role else {}), **more}
    return {f"aws:{where}Tag/{key}": value for key, value in found.items()}


def policies(role: str) -> Policies:
    """Return the policies of a machine's role in the golden environment, and its boundary."""
    base = json.loads(Path(GOLDEN / "pair-base.tf.json").read_text())["resource"]["aws_iam_role_policy"]
    account = json.loads(Path(GOLDEN / "account.tf.json").read_text())["resource"]["aws_iam_policy"]
    text = str(base[role]["policy"]).replace("${aws_s3_bucket.artifacts.arn}", BUCKET)
    return Policies(
        identity=(parse_policy(plain(text), role),),
        boundary=(parse_policy(plain(account["boundary"]["policy"]), "boundary"),),
    )


def may(role: str, action: str, resource: str, keys: Mapping[str, str | list[str]]) -> bool:
    """Return whether a machine of that role may do it to the resource, with these condition keys."""
    own = f"arn:aws:iam::{ACCOUNT}:role/pair-{role}-us-east-1"
    principal = Principal(
        arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/pair-{role}/i-1", account=ACCOUNT, role_arn=own
    )
    given = {f"aws:PrincipalTag/{naming.TAG_ENVIRONMENT}": "pair", **keys}
    context = {key.lower(): [value] if isinstance(value, str) else value for key, value in given.items()}
    access = Access(principal=principal, action=action, resource=resource, context=context)
    return decide(access, policies(role)).allowed


OURS, OTHERS = tags("Resource"), tags("Resource", "speech")
OUR_NODE = tags("Resource", role="node")
NEW_NODE = tags("Request", role="node")
IMAGE = "arn:aws:ec2:us-east-1::image/ami-1"
FROM_TEMPLATE = {"ec2:LaunchTemplate": f"{EC2}:launch-template/lt-1", "ec2:IsLaunchTemplateResource": "true"}
OVERRIDDEN = {**FROM_TEMPLATE, "ec2:IsLaunchTemplateResource": "false"}
LAUNCHES: list[tuple[str, str, Mapping[str, str | list[str]], bool]] = [
    ("ec2:CreateFleet", f"{EC2}:fleet/*", tags("Request"), True),
    ("ec2:CreateFleet", f"{EC2}:fleet/*", {}, False),
    ("ec2:CreateFleet", f"{EC2}:launch-template/lt-1", OURS, True),
    ("ec2:CreateFleet", f"{EC2}:launch-template/lt-1", OTHERS, False),
    ("ec2:CreateFleet", f"{EC2}:launch-template/lt-1", {}, False),
    ("ec2:CreateFleet", f"{EC2}:instance/*", NEW_NODE, True),
    ("ec2:CreateFleet", f"{EC2}:instance/*", {}, False),
    ("ec2:CreateFleet", IMAGE, {}, True),
    ("ec2:RunInstances", f"{EC2}:instance/*", {**NEW_NODE, **FROM_TEMPLATE}, True),
    ("ec2:RunInstances", f"{EC2}:instance/*", NEW_NODE, False),
    *(
        ("ec2:RunInstances", f"{EC2}:{kind}/*", keys, bool(keys))
        for kind in ("subnet", "volume", "network-interface", "capacity-reservation")
        for keys in (OVERRIDDEN, {})
    ),
    ("ec2:RunInstances", IMAGE, FROM_TEMPLATE, True),
    ("ec2:RunInstances", IMAGE, OVERRIDDEN, False),
    ("ec2:RunInstances", IMAGE, {}, False),
    ("ec2:RunInstances", f"{EC2}:instance/*", {**tags("Request", role="head"), **FROM_TEMPLATE}, False),
    ("ec2:RunInstances", f"{EC2}:instance/*", {**tags("Request", "speech", "node"), **FROM_TEMPLATE}, False),
    ("ec2:RunInstances", f"{EC2}:instance/*", {**FROM_TEMPLATE}, False),
    ("ec2:RunInstances", f"{EC2}:security-group/sg-1", OURS, True),
    ("ec2:RunInstances", f"{EC2}:security-group/sg-1", {}, False),
    ("ec2:RunInstances", f"{EC2}:key-pair/mine", OURS, False),
    ("ec2:CreateTags", f"{EC2}:instance/*", {**NEW_NODE, "ec2:CreateAction": "CreateFleet"}, True),
    ("ec2:CreateTags", f"{EC2}:instance/*", {**NEW_NODE, "ec2:CreateAction": "CreateVpc"}, False),
    ("iam:PassRole", NODE_ROLE, TO_EC2, True),
    ("iam:PassRole", NODE_ROLE.replace("-node-", "-head-"), TO_EC2, False),
    ("iam:PassRole", NODE_ROLE.replace("pair", "speech"), TO_EC2, False),
    ("iam:PassRole", NODE_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}, False),
]
ACTS: list[tuple[str, str, Mapping[str, str | list[str]], bool]] = [
    ("ec2:TerminateInstances", f"{EC2}:instance/i-1", OUR_NODE, True),
    ("ec2:TerminateInstances", f"{EC2}:instance/i-1", tags("Resource", role="head"), False),
    ("ec2:TerminateInstances", f"{EC2}:instance/i-1", tags("Resource", "speech", "node"), False),
    ("ec2:TerminateInstances", f"{EC2}:instance/i-1", {}, False),
    ("ec2:CreateTags", f"{EC2}:instance/i-1", {**OUR_NODE, "aws:TagKeys": ["fleetform:node"]}, True),
    ("ec2:CreateTags", f"{EC2}:instance/i-1", {**OUR_NODE, "aws:TagKeys": ["fleetform:environment"]}, False),
    ("ec2:CreateTags", f"{EC2}:instance/i-1", {**OTHERS, "aws:TagKeys": ["fleetform:node"]}, False),
    ("ec2:AttachVolume", f"{EC2}:volume/vol-1", OURS, True),
    ("ec2:AttachVolume", f"{EC2}:volume/vol-1", OTHERS, False),
    ("ec2:AttachVolume", f"{EC2}:volume/vol-1", {}, False),
    ("ec2:AttachVolume", f"{EC2}:instance/i-1", tags("Resource", role="head"), True),
    ("ec2:AttachVolume", f"{EC2}:instance/i-1", OUR_NODE, False),
    ("ec2:CreateSnapshot", f"{EC2}:volume/vol-1", OURS, False),
    ("secretsmanager:PutSecretValue", KEY, {}, True),
    ("secretsmanager:GetSecretValue", KEY.replace("pair", "speech"), {}, False),
    ("secretsmanager:GetSecretValue", KEY.replace("munge", "other"), {}, False),
]


@pytest.mark.parametrize(("action", "resource", "keys", "allowed"), [*LAUNCHES, *ACTS])
def test_a_head_starts_and_ends_nodes_of_its_own_environment_alone(
    action: str, resource: str, keys: Mapping[str, str | list[str]], allowed: bool
) -> None:
    assert may("head", action, resource, keys) is allowed


@pytest.mark.parametrize(("action", "resource", "keys", "allowed"), [*LAUNCHES, *ACTS])
def test_a_node_does_nothing_of_that(
    action: str, resource: str, keys: Mapping[str, str | list[str]], allowed: bool
) -> None:
    assert not may("node", action, resource, keys)


def test_all_that_an_order_of_nodes_needs_is_allowed_and_without_a_template_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = {"ImageId": "ami-0123456789abcdef0", "SecurityGroupIds": ["sg-0123456789abcdef0"]}
    version = SimpleNamespace(data=data)
    template = SimpleNamespace(id="lt-1", name="gpu", get_version=lambda number: version)
    monkeypatch.setattr(
        "sandbox.iam.services.ec2.template_of", lambda request, given: template if given else None
    )
    given = {naming.TAG_ENVIRONMENT: "pair", naming.TAG_ROLE: naming.ROLE_NODE}
    listed = [{"Key": key, "Value": value} for key, value in given.items()]
    tagged = [{"ResourceType": kind, "Tags": listed} for kind in ("fleet", "instance")]
    order = {"LaunchTemplateConfigs": [{"LaunchTemplateSpecification": {"LaunchTemplateName": "gpu"}}]}
    for action, params, allowed in (("CreateFleet", order, True), ("RunInstances", data, False)):
        request = ApiRequest(
            service="ec2",
            action=action,
            region="us-east-1",
            account=ACCOUNT,
            params={**params, "TagSpecifications": tagged},
        )
        needs = needs_of(request)
        found = [
            may("head", need.action, need.resource, {**NEW_NODE, **OURS, **as_lists(need.keys)})
            for need in needs
        ]
        assert len(needs) > 5 and all(found) is allowed, list(zip(needs, found, strict=True))


def as_lists(keys: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {key: list(values) for key, values in keys.items()}


def test_a_node_reads_the_key_and_tells_how_it_is_and_nothing_more() -> None:
    assert may("node", "secretsmanager:GetSecretValue", KEY, {})
    for role, key, allowed in (
        ("node", "cluster/stats/gpu-1.json", True),
        ("node", "cluster/queue.json", False),
        ("node", "cluster/slurm.conf", False),
        ("head", "cluster/queue.json", True),
        ("head", "cluster/nodes.json", True),
        ("head", "cluster/slurm.conf", False),
        ("head", "packages/slurm/x.deb", False),
    ):
        assert may(role, "s3:PutObject", f"{BUCKET}/{key}", {}) is allowed, (role, key)
