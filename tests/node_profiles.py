"""The machines' instance profiles as the stacks declare them, made over the API: nothing more than they have.

The roles come from the golden base stack, so that every test that runs a job on emulated nodes also shows
that the declared rights are enough.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from fleet.account_policies import ensure_policies
from fleet.cloud import Cloud
from stacks import naming
from stacks.account import AccountSpec
from stacks.boundary import boundary_arn
from stacks.environment import EnvironmentSpec
from stacks.place import Place
from stacks.policies import as_iam_reads, policy
from stacks.roles import Storage, environment_boundary
from stacks.run_roles import run_statements
from tests.golden_synth import GOLDEN
from tests.iam_helpers import ACCOUNT, document, trust
from tests.sandbox_helpers import REGION, api

ROLES = ("head", "node")
_ENVIRONMENT = "vision"
"""The golden environment."""
_REFERENCE = re.compile(r"\$\{([^}]+)\}")


def make_profiles(cloud: Cloud, environment: str, buckets: Mapping[str, str]) -> dict[str, str]:
    """Make the profiles of an environment and return their names by role.

    `buckets` are the names of its buckets by the stack's names of them (`artifacts`, `datasets`).
    """
    resources: dict[str, Any] = json.loads((GOLDEN / "vision-base.tf.json").read_text())["resource"]
    values = {
        "data.aws_partition.current.partition": "aws",
        "data.aws_caller_identity.current.account_id": ACCOUNT,
        "aws_kms_key.main.arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/none",
        **{f"aws_s3_bucket.{name}.arn": f"arn:aws:s3:::{bucket}" for name, bucket in buckets.items()},
    }

    def text(value: str) -> str:
        filled = _REFERENCE.sub(lambda found: values[found.group(1)], value)
        return re.sub(rf"\b{_ENVIRONMENT}\b", environment, filled)

    iam = api(cloud, "iam")
    # The boundary of an account whose buckets these are: `run-tests-<environment>-artifacts-us-east-1`.
    organization = buckets["artifacts"].split(f"-{environment}-")[0]
    ensure_policies(cloud, AccountSpec(organization=organization, region=REGION))
    boundary = boundary_arn(organization, "aws", ACCOUNT)
    found = {}
    for name in ROLES:
        role = resources["aws_iam_role"][name]
        values[f"aws_iam_role.{name}.id"] = values[f"aws_iam_role.{name}.name"] = text(role["name"])
        assert role["permissions_boundary"].endswith(":policy/golden-org-fleetform-boundary")
        iam.create_role(
            RoleName=text(role["name"]),
            AssumeRolePolicyDocument=text(role["assume_role_policy"]),
            PermissionsBoundary=boundary,
            Tags=[{"Key": naming.TAG_ENVIRONMENT, "Value": environment}],
        )
        profile = resources["aws_iam_instance_profile"][name]
        found[name] = text(profile["name"])
        iam.create_instance_profile(InstanceProfileName=found[name])
        iam.add_role_to_instance_profile(InstanceProfileName=found[name], RoleName=text(profile["role"]))
    for inline in resources["aws_iam_role_policy"].values():
        if inline["role"].split(".")[1] in ROLES:
            iam.put_role_policy(
                RoleName=text(inline["role"]),
                PolicyName=inline["name"],
                PolicyDocument=text(inline["policy"]),
            )
    for attachment in resources["aws_iam_role_policy_attachment"].values():
        if attachment["role"].split(".")[1] in ROLES:
            iam.attach_role_policy(
                RoleName=text(attachment["role"]), PolicyArn=text(attachment["policy_arn"])
            )
    return found


def make_run_roles(
    cloud: Cloud, account: AccountSpec, spec: EnvironmentSpec, buckets: Mapping[str, str]
) -> None:
    """Make the roles of all teams' runs, which the nodes take on for them; see make_profiles."""
    storage = Storage(
        bucket_arn=f"arn:aws:s3:::{buckets['artifacts']}",
        datasets_arn=f"arn:aws:s3:::{buckets['datasets']}",
        key_arn=f"arn:aws:kms:{spec.region}:{ACCOUNT}:key/none",
    )
    iam, place = api(cloud, "iam"), Place(partition="aws", region=spec.region, account_id=ACCOUNT)
    nodes = naming.environment_role(spec.name, naming.ROLE_NODE, spec.region)
    for team in ("", *spec.further_teams):
        name = naming.run_role(spec.name, team, spec.region)
        iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=document(trust({"AWS": f"arn:aws:iam::{ACCOUNT}:role/{nodes}"})),
            PermissionsBoundary=environment_boundary(account, place),
            Tags=[{"Key": naming.TAG_ENVIRONMENT, "Value": spec.name}],
        )
        iam.put_role_policy(
            RoleName=name, PolicyName="fleetform",
            PolicyDocument=as_iam_reads(policy(*run_statements(spec, storage, team))),
        )  # fmt: skip
