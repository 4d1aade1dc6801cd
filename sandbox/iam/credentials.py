"""Credentials of a role for the sandbox's own parts: what a service gets that acts with the role.

`credentials_for_role` is what Lambda, EventBridge Scheduler and EC2 do in the cloud: they assume the role as
a service principal, which the role's trust policy must allow.
"""

from __future__ import annotations

from sandbox.iam.sessions import SESSIONS, role_of

SESSION_SECONDS = 3600
"""How long the credentials last that a service makes, as STS's default has it."""


class RoleRefusedError(Exception):
    """The role does not exist, or its trust policy does not let the service assume it."""


def credentials_for_role(
    role_arn: str, session_name: str, service: str, *, duration_s: int = SESSION_SECONDS
) -> tuple[str, str, str]:
    """Return access key, secret key and session token of a new session of the role.

    `service` is the service that acts (`lambda`, `scheduler`, `ec2`, or its principal in full). Every call
    that is made with the keys is authorised as the role. Raises RoleRefusedError.
    """
    principal = service if "." in service else f"{service}.amazonaws.com"
    role = role_of(role_arn)
    if role is None:
        raise RoleRefusedError(f"there is no role {role_arn}")
    session = SESSIONS.begin(role, session_name, duration_s, service=principal)
    return session.access_key, session.secret, session.token
