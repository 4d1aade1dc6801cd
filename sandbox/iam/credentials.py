"""Credentials of a role for the sandbox's own parts: what a service gets that acts with the role.

`credentials_for_role` is what Lambda, EventBridge Scheduler and EC2 do in the cloud: they assume the role as
a service principal, which the role's trust policy must allow.
"""

from __future__ import annotations

from sandbox.iam.decisions import DECISIONS
from sandbox.iam.evaluation import Access, Policies, decide
from sandbox.iam.policy import PolicyError
from sandbox.iam.principals import Principal
from sandbox.iam.sessions import SESSIONS, role_of
from sandbox.iam.stores import policy_of

SESSION_SECONDS = 3600
"""How long the credentials last that a service makes, as STS's default has it."""


class RoleRefusedError(Exception):
    """The role does not exist, or its trust policy does not let the service assume it."""


def credentials_for_role(
    role_arn: str,
    session_name: str,
    service: str,
    *,
    source_arn: str = "",
    duration_s: int = SESSION_SECONDS,
) -> tuple[str, str, str]:
    """Return access key, secret key and session token of a new session of the role.

    `service` is the service that acts (`lambda`, `scheduler`, `ec2`, or its principal in full), `source_arn`
    what it acts for, where it says so (aws:SourceArn). Every call that is made with the keys is authorised as
    the role. Raises RoleRefusedError.
    """
    principal = service if "." in service else f"{service}.amazonaws.com"
    role = role_of(role_arn)
    if role is None:
        raise RoleRefusedError(f"there is no role {role_arn}")
    try:
        access = Access(
            principal=Principal(arn="", account="", service=principal),
            action="sts:AssumeRole",
            resource=role_arn,
            context={
                "aws:sourceaccount": [role.account_id],
                "aws:principalisawsservice": ["true"],
                **({"aws:sourcearn": [source_arn]} if source_arn else {}),
            },
            resource_policy=policy_of(role_arn),
            only_resource_policy=True,
        )
        decision = decide(access, Policies())
        DECISIONS.keep(access, decision)
    except PolicyError as error:
        raise RoleRefusedError(str(error)) from error
    if not decision.allowed:
        raise RoleRefusedError(f"{principal} may not assume {role_arn}, {decision.reason}")
    session = SESSIONS.begin(role, session_name, duration_s, service=principal)
    return session.access_key, session.secret, session.token
