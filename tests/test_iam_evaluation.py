"""The policy evaluator of the embedded cloud, held against the rules that the IAM user guide documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.iam.conditions import ConditionError, parse_condition
from sandbox.iam.evaluation import Access, Decision, Policies, decide
from sandbox.iam.patterns import arn_matches, fill, matches
from sandbox.iam.policy import Policy, PolicyError, parse_policy
from sandbox.iam.principals import Principal

ACCOUNT, OTHER = "111111111111", "222222222222"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/member"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/member/ann"
BUCKET = "arn:aws:s3:::data"
OBJECT = f"{BUCKET}/runs/1/log"
MEMBER = Principal(arn=SESSION, account=ACCOUNT, role_arn=ROLE)
ANN = Principal(arn=f"arn:aws:iam::{ACCOUNT}:user/ann", account=ACCOUNT)
ROOT = Principal(arn=f"arn:aws:iam::{ACCOUNT}:root", account=ACCOUNT, is_root=True)
NOBODY = Principal(arn="", account="")
LAMBDA = Principal(arn="", account="", service="lambda.amazonaws.com")


def policy(*statements: dict[str, Any], version: str = "2012-10-17", name: str = "p") -> Policy:
    return parse_policy(json.dumps({"Version": version, "Statement": list(statements)}), name)


def allow(action: Any = "s3:GetObject", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "s3:GetObject", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


ALLOW, DENY = policy(allow()), policy(deny())
NOTHING = policy(allow("ec2:StartInstances"))


def ask(policies: Policies, **more: Any) -> Decision:
    """Decide over MEMBER's s3:GetObject of OBJECT, unless something else is given."""
    given = {"principal": MEMBER, "action": "s3:GetObject", "resource": OBJECT, **more}
    return decide(Access(**given), policies)


@pytest.mark.parametrize(
    ("policies", "reason"),
    [
        (Policies(), "because no identity-based policy allows the s3:GetObject action"),
        (Policies(identity=(NOTHING,)), "because no identity-based policy allows the s3:GetObject action"),
        (Policies(identity=(ALLOW, DENY)), "with an explicit deny in an identity-based policy"),
        (
            Policies(identity=(ALLOW,), boundary=(NOTHING,)),
            "because no permissions boundary allows the s3:GetObject action",
        ),
        (
            Policies(identity=(ALLOW,), boundary=()),
            "because no permissions boundary allows the s3:GetObject action",
        ),
        (
            Policies(identity=(ALLOW,), boundary=(ALLOW, DENY)),
            "with an explicit deny in a permissions boundary",
        ),
        (Policies(boundary=(ALLOW,)), "because no identity-based policy allows the s3:GetObject action"),
        (
            Policies(identity=(ALLOW,), session=(NOTHING,)),
            "because no session policy allows the s3:GetObject action",
        ),
        (Policies(identity=(ALLOW,), session=(ALLOW, DENY)), "with an explicit deny in a session policy"),
        (Policies(session=(ALLOW,)), "because no identity-based policy allows the s3:GetObject action"),
    ],
)
def test_what_any_kind_of_policy_withholds_is_refused_for_that_reason(
    policies: Policies, reason: str
) -> None:
    decision = ask(policies)
    assert (decision.allowed, decision.reason) == (False, reason)


@pytest.mark.parametrize(
    "policies",
    [
        Policies(identity=(NOTHING, ALLOW)),
        Policies(identity=(ALLOW,), boundary=(ALLOW,)),
        Policies(identity=(ALLOW,), boundary=(ALLOW,), session=(ALLOW,)),
        Policies(identity=(ALLOW,), session=(NOTHING, ALLOW)),
    ],
)
def test_what_every_kind_of_policy_allows_is_allowed(policies: Policies) -> None:
    assert ask(policies).allowed


def test_the_statement_that_decided_is_named() -> None:
    named = policy(allow("ec2:*"), allow(Sid="Read"), name="reader")
    assert ask(Policies(identity=(named,))).statement == "reader: Read"
    assert ask(Policies(identity=(policy(allow("ec2:*"), allow()),))).statement == "p: statement 2"
    assert ask(Policies(identity=(ALLOW, policy(deny(), name="no")))).statement == "no: statement 1"


def principal(name: Any, **more: Any) -> Policy:
    return policy(allow(Principal=name, **more))


BY_ACCOUNT = principal({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
BY_NUMBER = principal({"AWS": ACCOUNT})
BY_ROLE = principal({"AWS": ROLE})
BY_SESSION = principal({"AWS": ["arn:aws:iam::111111111111:user/x", SESSION]})
BY_USER = principal({"AWS": ANN.arn})
EVERYBODY = principal("*")


@pytest.mark.parametrize(
    ("resource_policy", "policies", "allowed"),
    [
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html
        (BY_ACCOUNT, Policies(), False),
        (BY_NUMBER, Policies(), False),
        (BY_ACCOUNT, Policies(identity=(ALLOW,)), True),
        (BY_ROLE, Policies(), True),
        (BY_ROLE, Policies(boundary=(NOTHING,)), False),
        (BY_ROLE, Policies(boundary=(ALLOW,)), True),
        (BY_ROLE, Policies(session=(NOTHING,)), False),
        (BY_ROLE, Policies(session=(ALLOW,)), True),
        (BY_SESSION, Policies(boundary=(NOTHING,), session=(NOTHING,)), True),
        (BY_SESSION, Policies(boundary=(DENY,)), False),
        (EVERYBODY, Policies(boundary=(NOTHING,), session=(NOTHING,)), True),
        (EVERYBODY, Policies(identity=(DENY,)), False),
        (principal({"AWS": f"arn:aws:iam::{OTHER}:root"}), Policies(), False),
        (principal({"AWS": "*"}), Policies(), True),
        (principal({"Service": "lambda.amazonaws.com"}), Policies(), False),
        (
            principal({"AWS": "arn:aws:iam::111111111111:role/member"}),
            Policies(),
            False,
        ),  # its path is missing
    ],
)
def test_a_grant_by_the_resources_policy_is_limited_by_how_it_names_the_principal(
    resource_policy: Policy, policies: Policies, allowed: bool
) -> None:
    assert ask(policies, resource_policy=resource_policy).allowed is allowed


def test_a_user_who_is_named_by_the_resource_is_not_limited_by_a_boundary() -> None:
    assert ask(Policies(boundary=(NOTHING,)), principal=ANN, resource_policy=BY_USER).allowed


@pytest.mark.parametrize("who", [MEMBER, ANN, LAMBDA, NOBODY])
def test_a_deny_of_the_resources_policy_beats_every_grant(who: Principal) -> None:
    refusing = policy(allow(Principal="*"), deny(Principal="*"))
    decision = ask(Policies(identity=(ALLOW,)), principal=who, resource_policy=refusing)
    assert (decision.allowed, decision.reason) == (False, "with an explicit deny in a resource-based policy")


def test_a_deny_of_the_account_denies_everybody_in_it() -> None:
    refusing = policy(deny(Principal={"AWS": ACCOUNT}))
    assert not ask(Policies(identity=(ALLOW,)), resource_policy=refusing).allowed


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        ([f"arn:aws:iam::{ACCOUNT}:root", ROLE, SESSION], True),
        ([ACCOUNT, ROLE, SESSION], True),
        ([ROLE, SESSION], False),
        ([ROLE], False),
        ([f"arn:aws:iam::{ACCOUNT}:root"], False),
    ],
)
def test_not_principal_spares_a_session_only_with_its_role_and_account(
    names: list[str], allowed: bool
) -> None:
    refusing = policy(deny(NotPrincipal={"AWS": names}))
    assert ask(Policies(identity=(ALLOW,)), resource_policy=refusing).allowed is allowed


@pytest.mark.parametrize(
    ("element", "allowed"),
    [
        ({"Service": "lambda.amazonaws.com"}, True),
        ({"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}, True),
        ({"Service": "ec2.amazonaws.com"}, False),
        ({"AWS": "*"}, False),
        ({"AWS": ACCOUNT}, False),
    ],
)
def test_a_service_is_named_as_a_service(element: Any, allowed: bool) -> None:
    assert ask(Policies(), principal=LAMBDA, resource_policy=principal(element)).allowed is allowed


def test_who_is_not_signed_gets_what_everybody_gets() -> None:
    assert ask(Policies(), principal=NOBODY, resource_policy=EVERYBODY).allowed
    assert not ask(Policies(), principal=NOBODY, resource_policy=BY_ACCOUNT).allowed
    assert not ask(Policies(), principal=NOBODY).allowed


def test_another_account_needs_both_the_resource_and_its_own_policies() -> None:
    named = principal({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    theirs = {"resource_account": OTHER}
    assert not ask(Policies(identity=(ALLOW,)), **theirs).allowed
    assert not ask(Policies(), resource_policy=named, **theirs).allowed
    assert not ask(Policies(), resource_policy=EVERYBODY, **theirs).allowed
    assert ask(Policies(identity=(ALLOW,)), resource_policy=named, **theirs).allowed


KEY = {"action": "kms:Decrypt", "resource": "arn:aws:kms:us-east-1:1:key/k", "only_resource_policy": True}
USE = policy(allow("kms:Decrypt"))


@pytest.mark.parametrize(
    ("key_policy", "policies", "allowed"),
    [
        (None, Policies(identity=(USE,)), False),
        (policy(allow("kms:*", Principal={"AWS": ACCOUNT})), Policies(identity=(USE,)), True),
        (policy(allow("kms:*", Principal={"AWS": ACCOUNT})), Policies(), False),
        (policy(allow("kms:Describe*", Principal={"AWS": ACCOUNT})), Policies(identity=(USE,)), False),
        (policy(allow("kms:*", Principal={"AWS": ROLE})), Policies(), True),
        (policy(allow("kms:*", Principal={"AWS": ANN.arn})), Policies(identity=(USE,)), False),
    ],
)
def test_a_key_is_used_by_whom_its_policy_names_or_hands_to_the_account(
    key_policy: Policy | None, policies: Policies, allowed: bool
) -> None:
    assert ask(policies, resource_policy=key_policy, **KEY).allowed is allowed


def test_the_root_user_is_held_back_only_by_who_a_role_trusts_and_by_a_resources_deny() -> None:
    trust = {"action": "sts:AssumeRole", "resource": ROLE, "only_resource_policy": True, "principal": ROOT}
    trusting = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}})
    assert ask(Policies(), principal=ROOT).allowed
    assert ask(Policies(), resource_policy=trusting, **trust).allowed
    other = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ANN.arn}})
    assert not ask(Policies(), resource_policy=other, **trust).allowed
    assert not ask(Policies(), principal=ROOT, resource_policy=policy(deny(Principal="*"))).allowed


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:*", "*", True),
        ("*", "*", True),
        ("S3:getobject", "*", True),  # actions are compared without case
        ("s3:Get*", "*", True),
        ("s3:Get?bject", "*", True),
        ("s3:GetObjec", "*", False),
        ("s3:Put*", "*", False),
        (["s3:PutObject", "s3:GetObject"], "*", True),
        ("s3:GetObject", BUCKET, False),
        ("s3:GetObject", f"{BUCKET}/*", True),
        ("s3:GetObject", f"{BUCKET}/runs/?/log", True),
        ("s3:GetObject", f"{BUCKET}/runs/??/log", False),
        ("s3:GetObject", f"{BUCKET}/Runs/*", False),  # resources are compared with case
        ("s3:GetObject", [f"{BUCKET}/models/*", f"{BUCKET}/runs/*"], True),
        ("s3:GetObject", "arn:*:s3:::data/*", True),
        ("s3:GetObject", "arn:aws:*/*", False),  # no wildcard reaches over the parts of an ARN
    ],
)
def test_wildcards_in_actions_and_resources(action: Any, resource: Any, allowed: bool) -> None:
    assert ask(Policies(identity=(policy(allow(action, resource)),))).allowed is allowed


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, True),
        ({"Effect": "Allow", "NotAction": ["iam:*", "s3:Get*"], "Resource": "*"}, False),
        ({"Effect": "Allow", "Action": "s3:*", "NotResource": f"{BUCKET}/runs/*"}, False),
        ({"Effect": "Allow", "Action": "s3:*", "NotResource": [f"{BUCKET}/models/*"]}, True),
    ],
)
def test_not_action_and_not_resource(statement: dict[str, Any], allowed: bool) -> None:
    assert ask(Policies(identity=(policy(statement),))).allowed is allowed


CONTEXT = {
    "aws:principaltag/team": ["vision"],
    "aws:principaltag/star": ["*"],
    "aws:username": ["ann"],
    "aws:sourceidentity": ["ann@example.com"],
    "aws:tagkeys": ["team", "owner"],
    "aws:currenttime": ["2026-06-01T12:00:00Z"],
    "aws:epochtime": ["1780315200"],
    "aws:securetransport": ["true"],
    "aws:sourceip": ["10.1.2.3"],
    "aws:principalarn": [ROLE],
    "s3:max-keys": ["10"],
    "empty": [],
}


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("${aws:PrincipalTag/team}-*", "vision-data", True),
        ("${aws:PrincipalTag/team}-*", "speech-data", False),
        ("${AWS:principaltag/TEAM}", "vision", True),
        ("${aws:PrincipalTag/none}", "", False),
        ("${aws:PrincipalTag/none, 'public'}", "public", True),
        ("${aws:PrincipalTag/team, 'public'}", "public", False),
        ("${aws:PrincipalTag/star}", "anything", False),  # a wildcard in a value stands for itself
        ("${aws:PrincipalTag/star}", "*", True),
        ("${aws:TagKeys}", "team", False),  # has several values
        ("a${*}", "a*", True),
        ("a${*}", "ab", False),
        ("a${?}${$}", "a?$", True),
        ("*", "line\nbreak", True),
        ("a.c", "abc", False),
    ],
)
def test_policy_variables(pattern: str, value: str, fits: bool) -> None:
    assert matches(pattern, value, CONTEXT) is fits


def test_a_text_is_filled_in_or_is_none() -> None:
    assert fill("${aws:username}/${aws:SourceIdentity}", CONTEXT) == "ann/ann@example.com"
    assert fill("${aws:PrincipalTag/none}/x", CONTEXT) is None
    assert fill("plain", {}) == "plain"


def test_a_variable_with_colons_does_not_cut_an_arn() -> None:
    assert arn_matches("arn:aws:s3:::${aws:PrincipalTag/team}/*", "arn:aws:s3:::vision/a:b", CONTEXT)


@pytest.mark.parametrize(("version", "allowed"), [("2012-10-17", True), ("2008-10-17", False)])
def test_only_the_newer_language_has_variables(version: str, allowed: bool) -> None:
    mine = policy(allow(resource=f"{BUCKET}/${{aws:username}}/*"), version=version)
    asked = {"resource": f"{BUCKET}/ann/x", "context": CONTEXT}
    assert ask(Policies(identity=(mine,)), **asked).allowed is allowed


def holds(operator: str, key: str, values: Any) -> bool:
    return parse_condition(operator, key, values).holds(CONTEXT)


@pytest.mark.parametrize(
    ("operator", "key", "values", "expected"),
    [
        ("StringEquals", "aws:PrincipalTag/team", "vision", True),
        ("StringEquals", "aws:PrincipalTag/team", ["speech", "vision"], True),
        ("StringEquals", "aws:PrincipalTag/team", "Vision", False),
        ("StringEquals", "aws:PrincipalTag/team", "vis*", False),
        ("StringEquals", "aws:SourceIdentity", "${aws:username}@example.com", True),
        ("StringEqualsIgnoreCase", "aws:PrincipalTag/team", "VISION", True),
        ("StringLike", "aws:PrincipalTag/team", "vis*", True),
        ("StringLike", "aws:PrincipalTag/team", "VIS*", False),
        ("StringNotEquals", "aws:PrincipalTag/team", "speech", True),
        ("StringNotEquals", "aws:PrincipalTag/team", ["speech", "vision"], False),
        ("StringNotLike", "aws:PrincipalTag/team", ["s*", "v*"], False),
        ("StringNotEqualsIgnoreCase", "aws:PrincipalTag/team", "VISION", False),
        # a key that is absent
        ("StringEquals", "aws:PrincipalTag/none", "x", False),
        ("StringLike", "aws:PrincipalTag/none", "*", False),
        ("StringNotEquals", "aws:PrincipalTag/none", "x", True),
        ("StringEqualsIfExists", "aws:PrincipalTag/none", "x", True),
        ("StringEqualsIfExists", "aws:PrincipalTag/team", "x", False),
        ("StringEquals", "empty", "", False),
        ("Null", "aws:PrincipalTag/none", "true", True),
        ("Null", "aws:PrincipalTag/none", "false", False),
        ("Null", "aws:PrincipalTag/team", True, False),
        ("Null", "aws:PrincipalTag/team", False, True),
        # keys with several values
        ("ForAllValues:StringEquals", "aws:TagKeys", ["team", "owner", "more"], True),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["team"], False),
        ("ForAllValues:StringEquals", "aws:PrincipalTag/none", ["team"], True),
        ("ForAllValues:StringEquals", "empty", ["team"], True),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ["team"], True),
        ("ForAnyValue:StringLike", "aws:TagKeys", ["x*", "own*"], True),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ["other"], False),
        ("ForAnyValue:StringEquals", "aws:PrincipalTag/none", ["team"], False),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", ["other"], True),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", ["team"], False),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", ["team"], True),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", ["team", "owner"], False),
        ("ForAllValues:StringLikeIfExists", "aws:TagKeys", ["*"], True),
        # numbers
        ("NumericEquals", "s3:max-keys", "10.0", True),
        ("NumericNotEquals", "s3:max-keys", 11, True),
        ("NumericLessThan", "s3:max-keys", 10, False),
        ("NumericLessThanEquals", "s3:max-keys", 10, True),
        ("NumericGreaterThan", "s3:max-keys", "9", True),
        ("NumericGreaterThanEquals", "s3:max-keys", "11", False),
        ("NumericEquals", "aws:username", "1", False),
        # dates
        ("DateGreaterThan", "aws:CurrentTime", "2026-01-01T00:00:00Z", True),
        ("DateLessThan", "aws:CurrentTime", "2026-01-01", False),
        ("DateEquals", "aws:CurrentTime", "1780315200", True),
        ("DateLessThanEquals", "aws:EpochTime", "2026-06-01T12:00:00Z", True),
        ("DateNotEquals", "aws:CurrentTime", "2026-06-01T12:00:01Z", True),
        ("DateGreaterThanEquals", "aws:CurrentTime", "no date", False),
        # the rest
        ("Bool", "aws:SecureTransport", "true", True),
        ("Bool", "aws:SecureTransport", False, False),
        ("Bool", "aws:MultiFactorAuthPresent", "false", False),
        ("BoolIfExists", "aws:MultiFactorAuthPresent", "true", True),
        ("BinaryEquals", "aws:username", "ann", True),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/8", True),
        ("IpAddress", "aws:SourceIp", ["192.168.0.0/16", "10.1.2.3"], True),
        ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", False),
        ("NotIpAddress", "aws:SourceIp", "192.168.0.0/16", True),
        ("IpAddress", "aws:SourceIp", "no network", False),
        ("ArnEquals", "aws:PrincipalArn", f"arn:aws:iam::{ACCOUNT}:role/*", True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/team/member", True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:*:role/team/member", False),
        ("ArnNotEquals", "aws:PrincipalArn", ROLE, False),
        ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*", True),
    ],
)
def test_condition_operators(operator: str, key: str, values: Any, expected: bool) -> None:
    assert holds(operator, key, values) is expected


def test_all_operators_and_all_keys_of_a_statement_must_hold() -> None:
    both = {"StringEquals": {"aws:username": "ann", "aws:PrincipalTag/team": "vision"}}
    one = {"StringEquals": {"aws:username": "ann", "aws:PrincipalTag/team": "speech"}}
    mixed = {**both, "Bool": {"aws:SecureTransport": "false"}}
    for condition, allowed in ((both, True), (one, False), (mixed, False)):
        mine = policy(allow(Condition=condition))
        assert ask(Policies(identity=(mine,)), context=CONTEXT).allowed is allowed


def test_a_deny_with_a_negated_operator_also_hits_where_the_key_is_absent() -> None:
    refusing = policy(deny(Condition={"StringNotEquals": {"aws:PrincipalTag/none": "vision"}}))
    assert not ask(Policies(identity=(ALLOW, refusing)), context=CONTEXT).allowed
    if_exists = policy(deny(Condition={"StringNotEqualsIfExists": {"aws:PrincipalTag/none": "vision"}}))
    assert not ask(Policies(identity=(ALLOW, if_exists)), context=CONTEXT).allowed


@pytest.mark.parametrize("operator", ["StringEqual", "NullIfExists", "ForSomeValues:StringEquals", "Equals"])
def test_an_operator_that_iam_does_not_have_is_an_error(operator: str) -> None:
    with pytest.raises(ConditionError, match=operator):
        parse_condition(operator, "aws:username", "x")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no JSON"),
        ("[]", "has no Statement"),
        ('{"Statement": [{"Action": "*", "Resource": "*"}]}', "has no Effect"),
        ('{"Statement": {"Effect": "Allow", "Resource": "*"}}', "either Action or NotAction"),
        (
            '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "NotResource": "*"}}',
            "both Resource and NotResource",
        ),
        (
            '{"Statement": {"Effect": "Allow", "Action": "*", "Condition": {"Is": {"a": "b"}}}}',
            "no condition operator Is",
        ),
    ],
)
def test_a_text_that_is_no_policy_is_refused(text: str, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        parse_policy(text, "p")
