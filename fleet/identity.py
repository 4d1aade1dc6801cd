"""Who acts: this machine's user, as the operating system knows them, and the person behind a role."""

from __future__ import annotations

import os
import pwd
import re
import socket

from stacks import naming

_ASSUMED = re.compile(r"arn:[a-z-]+:sts::[0-9]{12}:assumed-role/([^/]+)/([^/]+)")
_OF_ENVIRONMENT = re.compile(
    rf"[a-z0-9-]+-({naming.ROLE_MEMBER}(-[a-z][a-z0-9-]*)?|{naming.ROLE_OPERATOR})-[a-z]{{2}}(-[a-z]+)+-[0-9]"
)
_OF_ACCOUNT = re.compile(rf"[a-z0-9-]+-fleetform-({naming.ROLE_AUDITOR}|{naming.ROLE_DEPLOYER})")


def os_user() -> str:
    """Return the login name, or the number of a user that this machine has no name for (in a container)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def os_identity() -> str:
    """Return user@host, as Terraform writes it into a lock."""
    return f"{os_user()}@{socket.gethostname()}"


def people_role(caller: str) -> str:
    """Return the name of the role of people that the caller acts in, "" for anybody else."""
    found = _ASSUMED.fullmatch(caller)
    if found is None:
        return ""
    role = found[1]
    return role if _OF_ENVIRONMENT.fullmatch(role) or _OF_ACCOUNT.fullmatch(role) else ""


def person(caller: str) -> str:
    """Return the person behind the caller's ARN, "" where it does not prove one.

    STS does not tell a session's source identity. But fleetform's roles of people can only be taken on where
    the session's name is the source identity (stacks/people_roles.py), so there the name tells. In any other
    role whoever takes it on names the session as they like.
    """
    found = _ASSUMED.fullmatch(caller)
    return found[2] if found and people_role(caller) else ""
