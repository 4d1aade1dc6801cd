"""Acting in a person's name: the console takes on the role that an act needs, with the person as identity.

So an act that somebody asked the console for has their rights and not the console's, and the trail has every
call of it under their name (docs/roles.md). Where the account trusts nobody with roles of people there are
none; the console then acts as itself, and the ledger alone says who asked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from fleet import aws
from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.lent_credentials import Keys, lend
from fleet.policy import Verb
from fleet.session import AccountSession, Session
from stacks import naming

ROLE_OF: Mapping[Verb, str] = {
    "environment.see": naming.ROLE_MEMBER,
    "run.see": naming.ROLE_MEMBER,
    "run.submit": naming.ROLE_MEMBER,
    "run.stop": naming.ROLE_MEMBER,
    "run.resume": naming.ROLE_MEMBER,
    "data.upload": naming.ROLE_MEMBER,
    "model.try": naming.ROLE_MEMBER,
    "model.take": naming.ROLE_MEMBER,
    "environment.up": naming.ROLE_DEPLOYER,
    "environment.down": naming.ROLE_DEPLOYER,
    "account.sweep": naming.ROLE_DEPLOYER,
    "lease.extend": naming.ROLE_DEPLOYER,
    "record.read": naming.ROLE_AUDITOR,
    "record.verify": naming.ROLE_AUDITOR,
    "record.export": naming.ROLE_AUDITOR,
}
"""The role of the cloud that each act needs; what is not here is the console's own affair."""
_ARN = re.compile(r"arn:([a-z-]+):(?:sts|iam)::([0-9]{12}):.*")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_.@-]")
_READABLE, _DIGITS = 40, 10
Opened = TypeVar("Opened", bound=AccountSession)
_SECONDS = 3600
"""How long a session may last whose role was taken on from another role (IAM user guide, "Role chaining")."""


def source_identity(who: Mapping[str, str]) -> str:
    """Return the person as STS can have them: something to read, and a digest of issuer and subject.

    `who` has `name`, `issuer` and `subject`. Two people never have the same one, whatever they are called.
    """
    known = hashlib.sha256(f"{who['issuer']}\n{who['subject']}".encode()).hexdigest()[:_DIGITS]
    readable = _NOT_ALLOWED.sub("", who["name"]) or _NOT_ALLOWED.sub("", who["subject"]) or "person"
    return f"{readable[:_READABLE]}-{known}"


def as_person(session: Opened, verb: Verb) -> Opened:
    """Return the session in the name of who asked (`session.asked_by`), with the rights of the act.

    The session of a role taken on from another lasts an hour, IAM's limit, so it is taken on again as
    long as this process lives: for our own calls, and what is started with the cloud's variables. The same
    session is returned where nobody asked through the console, or the account trusts nobody with roles of
    people. Raises ActError where the cloud does not let the console take on the role.
    """
    who = session.asked_by
    if who is None or not session.account.people.trusted:
        return session
    identity, role = source_identity(who), _role_arn(session, ROLE_OF[verb])
    sts = aws.client(session.cloud, "sts", session.account.region)
    variables = {**session.cloud.variables, **lend(lambda: _take_on(sts, identity, role))}
    return replace(session, cloud=Cloud(session.cloud.name, variables))


def _take_on(sts: Any, identity: str, role: str) -> Keys:
    """Take the role on in the person's name; raises ActError where the cloud does not let us."""
    try:
        answer = sts.assume_role(
            RoleArn=role, RoleSessionName=identity, SourceIdentity=identity, DurationSeconds=_SECONDS
        )
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        why = f"the cloud does not let the console act for {identity} as {role} ({error})"
        raise ActError(why) from error
    keys = answer["Credentials"]
    return Keys(
        access_key_id=keys["AccessKeyId"],
        secret_access_key=keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
        expires=keys["Expiration"],
    )


def _role_arn(session: AccountSession, kind: str) -> str:
    """Return the role of people of that kind: the environment's, or the account's."""
    found = _ARN.fullmatch(session.caller)
    assert found is not None, f"{session.caller} is no caller's ARN"
    partition, account_id = found.groups()
    if kind in (naming.ROLE_AUDITOR, naming.ROLE_DEPLOYER):
        name = naming.account_name(session.account.organization, kind)
    else:
        assert isinstance(session, Session), f"{kind} is a role of an environment"
        name = naming.environment_role(session.spec.name, kind, session.spec.region)
    return f"arn:{partition}:iam::{account_id}:role/{name}"
