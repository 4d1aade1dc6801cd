"""One team's roles try what they can on another team's things: all is refused, and the owner's roles may."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from fleet.identity import person
from stacks import naming
from tests.attempts import AUDITOR, DEPLOYER, NOBODY, SESSION_DOCUMENT, Attempt, as_table, attempts
from tests.iam_helpers import ACCOUNT, allow, assume, make_role, refusal, service
from tests.sandbox_helpers import REGION, api
from tests.two_teams import PERSON, World, build_world, take_on

pytestmark = pytest.mark.sandbox
DOCS = Path(__file__).parent.parent / "docs" / "roles.md"
ROLES = ("member", "operator", "head", "node")
ATTEMPTS = 56
"""How many there are; one that drops out by mistake would else go unnoticed."""
REFUSED = frozenset(("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"))
"""What the services call a refusal of IAM; that a thing is not there, or a parameter wrong, is none."""


@pytest.fixture(scope="module")
def world(sandbox: Cloud, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Both teams' environments."""
    return build_world(sandbox, tmp_path_factory.mktemp("two-teams"))


def outcome(attempt: Attempt, cloud: Cloud, world: World, *, owner: str) -> str:
    """Return the error code of an attempt on the owner's things, "" where it went through."""
    try:
        attempt.call(cloud, getattr(world, owner), world)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_every_attempt_of_another_team_is_refused(world: World) -> None:
    counted: Counter[str] = Counter()
    for attempt in attempts():
        for role in ROLES:
            code = outcome(attempt, world.vision.roles[role], world, owner="speech")
            assert code in REFUSED, f"{role} of vision: {attempt.thing}, {attempt.what}: {code or 'allowed'}"
            counted[role] += 1
    print(f"refused: {sum(counted.values())} attempts, {dict(counted)}")
    assert set(counted.values()) == {ATTEMPTS}, "by each role, every one"


def test_what_nobody_may_no_role_of_the_owner_or_the_account_may_either(world: World) -> None:
    refused = 0
    for attempt in attempts():
        if attempt.owner == NOBODY:
            for role, cloud in {
                **world.speech.roles,
                AUDITOR: world.auditor,
                DEPLOYER: world.deployer,
            }.items():
                code = outcome(attempt, cloud, world, owner="speech")
                assert code in REFUSED, f"{role}: {attempt.thing}, {attempt.what}: {code or 'allowed'}"
                refused += 1
    print(f"refused: {refused} attempts of the owner's and the account's roles")
    assert refused == 6 * sum(each.owner == NOBODY for each in attempts()) > 100


def test_a_role_without_the_conditions_gets_through_and_the_boundary_alone_stops_it(world: World) -> None:
    """The control: were the conditions not there, the attempts above would succeed."""
    name = naming.environment_role(world.vision.environment, "operator", REGION)
    iam = api(world.cloud, "iam")
    bare = [
        {key: value for key, value in each.items() if key != "Condition"}
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        for each in iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]["Statement"]
    ]
    tags = [{"Key": naming.TAG_ENVIRONMENT, "Value": world.vision.environment}]
    boundary = naming.account_policy_arn("twoteams", naming.BOUNDARY, "aws", ACCOUNT)
    loose = assume(world.cloud, make_role(world.cloud, "twoteams-loose", *bare, Tags=tags))
    fenced = assume(
        world.cloud,
        make_role(world.cloud, "twoteams-fenced", *bare, Tags=tags, PermissionsBoundary=boundary),
    )
    through = [
        (each.thing, each.what)
        for each in attempts()
        if each.what in ("scale", "by our document", "on the head")
        and outcome(each, loose, world, owner="speech") == ""
    ]
    assert through == [
        ("session", "by our document"),
        ("session", "on the head"),
        ("group", "scale"),
    ], "the conditions are what stops them"
    for each in attempts():
        if (each.thing, each.what) in through:
            assert outcome(each, fenced, world, owner="speech") in REFUSED


def test_the_key_refuses_another_environments_role_whatever_iam_allows_it(world: World) -> None:
    everything = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    tags = [{"Key": naming.TAG_ENVIRONMENT, "Value": world.vision.environment}]
    other = assume(world.cloud, make_role(world.cloud, "twoteams-keys", everything, Tags=tags))
    administrator = assume(world.cloud, make_role(world.cloud, "twoteams-admin", everything))
    key = {"KeyId": world.speech.key}
    blob = api(world.cloud, "kms").encrypt(**key, Plaintext=b"x")["CiphertextBlob"]
    kms = service(other, "kms")
    calls: list[tuple[Any, dict[str, Any]]] = [
        (kms.decrypt, {**key, "CiphertextBlob": blob}),
        (kms.describe_key, key),
        (kms.generate_data_key, {**key, "KeySpec": "AES_256"}),
        (kms.put_key_policy, {**key, "PolicyName": "default", "Policy": "{}"}),
        (kms.schedule_key_deletion, {**key, "PendingWindowInDays": 7}),
    ]
    for call, arguments in calls:
        assert refusal(call, **arguments)[0] == "AccessDeniedException"
    assert service(other, "kms").describe_key(KeyId=world.vision.key), "its own environment's it may"
    assert service(administrator, "kms").describe_key(**key), "the account stays admitted by IAM"


def test_a_role_of_people_is_taken_on_only_in_the_persons_own_name(world: World) -> None:
    role = naming.environment_role(world.vision.environment, "member", REGION)
    named = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{role}", "RoleSessionName": "ann"}
    sts = service(world.console, "sts")
    tags = [{"Key": naming.TAG_ENVIRONMENT, "Value": world.speech.environment}]
    for what, more in (
        ("no source identity", {}),
        ("another session name", {"SourceIdentity": "bob"}),
        ("a tag that stands over the role's", {"SourceIdentity": "ann", "Tags": tags}),
    ):
        assert refusal(sts.assume_role, **named, **more)[0] == "AccessDenied", what
    stranger = assume(world.cloud, make_role(world.cloud, "twoteams-stranger", allow("sts:*")))
    assert refusal(service(stranger, "sts").assume_role, **named, SourceIdentity="ann")[0] == "AccessDenied"
    found = service(take_on(world.console, role), "sts").get_caller_identity()["Arn"]
    assert person(found) == PERSON


def test_each_sees_its_own_sessions_end_and_nobody_elses(world: World) -> None:
    role = naming.environment_role(world.speech.environment, "member", REGION)
    ann, ben = (service(take_on(world.console, role, each), "ssm") for each in ("ann", "ben"))
    target = {"Target": world.speech.machines["head"], "DocumentName": SESSION_DOCUMENT}
    begun = ann.start_session(**target)["SessionId"]
    assert refusal(ben.terminate_session, SessionId=begun)[0] == "AccessDeniedException"
    assert ann.terminate_session(SessionId=begun)["SessionId"] == begun


def test_an_entry_is_added_to_the_ledger_and_none_is_replaced(world: World) -> None:
    for role in (world.speech.roles["member"], world.deployer):
        s3 = service(role, "s3")
        taken = {"Bucket": world.ledger, "Key": "ledger/000000000001.json", "Body": b"{}"}
        assert refusal(s3.put_object, **taken)[0] == "AccessDenied"
        assert refusal(s3.put_object, **taken, IfNoneMatch="*")[0] == "PreconditionFailed"
    last = {"Bucket": world.ledger, "Key": "ledger/000000000002.json", "Body": b"{}"}
    assert service(world.speech.roles["member"], "s3").put_object(**last, IfNoneMatch="*")


def test_the_owners_right_role_may_do_all_that_anybody_may(world: World) -> None:
    by_role: Counter[str] = Counter()
    for attempt in attempts():
        if attempt.owner == NOBODY:
            continue
        people = {**world.speech.roles, AUDITOR: world.auditor, DEPLOYER: world.deployer}
        code = outcome(attempt, people[attempt.owner], world, owner="speech")
        assert code == "", f"{attempt.owner} of speech: {attempt.thing}, {attempt.what}: {code}"
        by_role[attempt.owner] += 1
    print(f"allowed: {sum(by_role.values())} attempts of the owner's, {dict(by_role)}")
    assert sum(by_role.values()) == sum(each.owner != NOBODY for each in attempts())


def test_the_page_of_the_roles_shows_what_is_tried() -> None:
    assert as_table() in DOCS.read_text(encoding="utf-8"), "`python -m tests.attempts` prints the table"
