"""What the roles of the stacks may do, as far as it concerns a way in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stacks import naming
from stacks.entry.facts import Facts, Thing, covers, listed, statements

START = "ssm:StartSession"
_HARMLESS = (
    "AmazonSSMManagedInstanceCore",
    "AWSLambdaBasicExecutionRole",
    "SecurityAudit",
    "ViewOnlyAccess",
)
"""AWS's own policies that let nobody enter a machine; of any other this table would not know."""


def deny_list(facts: Facts) -> Thing | None:
    """Return the account's policy of what nobody may do."""
    ending = f"-fleetform-{naming.DENY_ENTRY_POLICY}"
    policies = facts.things("aws_iam_policy", account=True)
    return next((each for each in policies if str(each.body.get("name", "")).endswith(ending)), None)


def denies(facts: Facts, action: str) -> tuple[str, ...]:
    """Return the place of the deny list's statement about that action, () where it has none."""
    policy = deny_list(facts)
    if policy is None:
        return ()
    return tuple(
        policy.at(f"policy[{each['Sid']}]")
        for each in statements(policy.body.get("policy"))
        if each["Effect"] == "Deny" and covers(each, action)
    )


@dataclass(frozen=True)
class Grant:
    """A statement that allows something to a role of the stacks."""

    role: str
    """Stack and address, `account: aws_iam_role.member`."""
    policy: Thing
    statement: Mapping[str, Any]


def grants(facts: Facts, action: str) -> Iterator[Grant]:
    """Yield every statement that allows the action to a role of the stacks.

    Boundaries allow nothing by themselves, and are left out: no attachment names them.
    """
    for inline in facts.everything("aws_iam_role_policy"):
        yield from _of(f"{inline.stack}: {facts.target(inline.body.get('role'))}", inline, action)
    for attachment in facts.everything("aws_iam_role_policy_attachment"):
        if policy := _attached(facts, attachment):
            role = f"{attachment.stack}: {facts.target(attachment.body.get('role'))}"
            yield from _of(role, policy, action)


def _of(role: str, policy: Thing, action: str) -> Iterator[Grant]:
    for each in statements(policy.body.get("policy")):
        if each["Effect"] == "Allow" and covers(each, action):
            yield Grant(role, policy, each)


def _attached(facts: Facts, attachment: Thing) -> Thing | None:
    """Return the policy of ours that an attachment names, by reference or by its ARN; None for another."""
    named = str(attachment.body.get("policy_arn"))
    for policy in facts.everything("aws_iam_policy"):
        if policy.stack == attachment.stack and facts.target(named) == policy.address:
            return policy
        if named.endswith(f":policy/{policy.body.get('name')}"):
            return policy
    return None


def strange_attachments(facts: Facts) -> list[str]:
    """Return the attachments of policies that are neither ours nor known to let nobody in."""
    return [
        each.at("policy_arn")
        for each in facts.everything("aws_iam_role_policy_attachment")
        if not str(each.body.get("policy_arn")).endswith(_HARMLESS) and _attached(facts, each) is None
    ]


def carries_deny_list(facts: Facts, role: str) -> bool:
    """Return whether the deny list is attached to the role (`account: aws_iam_role.member`)."""
    policy = deny_list(facts)
    return policy is not None and any(
        f"{each.stack}: {facts.target(each.body.get('role'))}" == role and _attached(facts, each) == policy
        for each in facts.everything("aws_iam_role_policy_attachment")
    )


def checks_document(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement that allows StartSession asks for a permission on the document as well."""
    conditions = statement.get("Condition", {})
    return any(
        str(listed(conditions.get(operator, {}).get("ssm:SessionDocumentAccessCheck"))) == "['true']"
        for operator in ("Bool", "BoolIfExists")
    )
