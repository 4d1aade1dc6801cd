"""The account stack for tests: synthesized from a file's text, its policies with references resolved."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.iam.evaluation import Access, Policies, decide
from sandbox.iam.policy import Policy, parse_policy
from sandbox.iam.principals import Principal
from stacks import naming
from stacks.account import load_account
from stacks.account_stack import fill_account_stack
from stacks.aws.generated.provider import SOURCE, VERSION
from stacks.cdk import App, Backend, Provider
from stacks.tags import account_tags
from tests.spec_files import write_folder

OWNER, REGION = "123456789012", "us-east-1"
TRAIL = f"arn:aws:cloudtrail:{REGION}:{OWNER}:trail/acme-ai-fleetform-trail"
BUCKET = "acme-ai-fleetform-ledger-us-east-1"
KEY = f"arn:aws:kms:{REGION}:{OWNER}:key/audit"
SIGNING_KEY = f"arn:aws:kms:{REGION}:{OWNER}:key/ledger"
DOCUMENT = f"arn:aws:ssm:{REGION}:{OWNER}:document/acme-ai-fleetform-session"
MEMBER = Principal(
    arn=f"arn:aws:sts::{OWNER}:assumed-role/member/ann",
    account=OWNER,
    role_arn=f"arn:aws:iam::{OWNER}:role/member",
)
ADMINISTRATOR = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
)
"""What the account's administrators have."""


def synthesized(text: str = "") -> dict[str, Any]:
    """Return the account stack of an account whose file goes on with this text."""
    with tempfile.TemporaryDirectory() as root:
        file = f'organization = "acme-ai"\nregion = "{REGION}"\n{text}'
        account = load_account(write_folder(Path(root), file))
        app = App(Path(root) / "out")
        bucket = naming.state_bucket(account.organization, account.region)
        stack = app.stack(
            naming.ACCOUNT_STACK,
            Backend(bucket=bucket, key=naming.state_key(naming.ACCOUNT_STACK), region=account.region),
            Provider(
                source=SOURCE, version=VERSION, region=account.region, default_tags=account_tags(account)
            ),
        )
        fill_account_stack(stack, account)
        app.synth()
        content: dict[str, Any] = json.loads((stack.folder / "cdk.tf.json").read_text())
        return content


def resolved(text: str) -> str:
    """Return a policy with the stack's references replaced by what AWS would give."""
    known = {
        "data.aws_partition.current.partition": "aws",
        "data.aws_caller_identity.current.account_id": OWNER,
        "aws_kms_key.audit.arn": KEY,
        "aws_kms_key.ledger.arn": SIGNING_KEY,
        **{
            f"aws_s3_bucket.{name}.arn": f"arn:aws:s3:::acme-ai-fleetform-{name}-{REGION}"
            for name in ("state", "ledger", "logs")
        },
        "aws_sns_topic.alerts.arn": f"arn:aws:sns:{REGION}:{OWNER}:acme-ai-fleetform-alerts",
    }
    return re.sub(r"\$\{([^}]+)\}", lambda found: known[found[1]], text)


def policy_of(stack: dict[str, Any], kind: str, name: str) -> Policy:
    """Return the policy of one resource of the stack."""
    return parse_policy(resolved(stack["resource"][kind][name]["policy"]), f"{kind}.{name}")


def may(
    principal: Principal,
    action: str,
    resource: str,
    context: Mapping[str, str] | None = None,
    *,
    resource_policy: Policy | None = None,
    also: Policy | None = None,
    only_resource_policy: bool = False,
) -> bool:
    """Return whether an administrator (or a service) may, with these policies and condition keys."""
    identity = (parse_policy(ADMINISTRATOR, "administrator"), *((also,) if also else ()))
    keys = {key.lower(): [value] for key, value in (context or {}).items()}
    access = Access(
        principal=principal,
        action=action,
        resource=resource,
        context=keys,
        resource_policy=resource_policy,
        resource_account=OWNER,
        only_resource_policy=only_resource_policy,
    )
    return decide(access, Policies(identity=() if principal.service else identity)).allowed
