"""What the tests of permissions share: roles with a few statements, and clients that act as them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from fleet.cloud import Cloud
from sandbox.iam.evaluation import Access, Policies, decide
from sandbox.iam.policy import Policy
from sandbox.iam.principals import Principal
from tests.sandbox_helpers import REGION, api

ACCOUNT = "123456789012"
"""The account of the embedded cloud."""
_SESSION = Session()


def document(*statements: dict[str, Any]) -> str:
    """Return a policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | list[str], resources: str | list[str] = "*", **condition: Any) -> dict[str, Any]:
    """Return a statement; `condition` is one operator with its keys: `StringEquals={...}`."""
    statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | ({"Condition": condition} if condition else {})


def trust(principal: Any = None, actions: Any = "sts:AssumeRole", **condition: Any) -> dict[str, Any]:
    """Return a statement of a trust policy, by default one that trusts the account."""
    named = principal or {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    statement = {"Effect": "Allow", "Action": actions, "Principal": named}
    return statement | ({"Condition": condition} if condition else {})


def trusts(role: Policy, service: str, *, arn: str, account: str = ACCOUNT) -> bool:
    """Return whether a trust policy lets the service take its role on, acting for the thing with that ARN."""
    access = Access(
        principal=Principal(arn="", account="", service=service),
        action="sts:AssumeRole",
        resource="role",
        context={"aws:sourceaccount": [account], "aws:sourcearn": [arn]},
        resource_policy=role,
        only_resource_policy=True,
    )
    return decide(access, Policies()).allowed


def make_role(
    cloud: Cloud, name: str, *statements: dict[str, Any], trusts: dict[str, Any] | None = None, **more: Any
) -> str:
    """Make a role with these permissions and return its ARN."""
    iam = api(cloud, "iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trusts or trust()), **more)
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="given", PolicyDocument=document(*statements))
    return str(role["Role"]["Arn"])


def assume(cloud: Cloud, role_arn: str, session: str = "ann", **more: Any) -> Cloud:
    """Return the cloud as a session of the role sees it."""
    answer = api(cloud, "sts").assume_role(RoleArn=role_arn, RoleSessionName=session, **more)
    return with_keys(cloud, answer["Credentials"])


def with_keys(cloud: Cloud, credentials: dict[str, str]) -> Cloud:
    """Return the cloud as the holder of the keys sees it."""
    keys = {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials.get("SessionToken", ""),
    }
    return replace(cloud, variables={**cloud.variables, **keys})


def acting(cloud: Cloud, name: str, *statements: dict[str, Any], **more: Any) -> Cloud:
    """Return the cloud as a session of a new role with these permissions sees it."""
    return assume(cloud, make_role(cloud, name, *statements, **more))


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Return the error code and the message of a call that must be refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def service(cloud: Cloud, name: str) -> Any:
    """Return a client that tries once; all share what botocore has read of the services' models."""
    keys = cloud.variables
    return _SESSION.create_client(
        name,
        REGION,
        endpoint_url=cloud.endpoint,
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=keys["AWS_SESSION_TOKEN"] or None,
        config=Config(retries={"mode": "standard", "max_attempts": 1}, connect_timeout=5),
    )
