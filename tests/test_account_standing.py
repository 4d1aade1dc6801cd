"""An account that stands from before: what it lacks is made, its plan still works, and one is told."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from fleet import aws
from fleet.account_changes import account_is_behind
from fleet.adopt import find_adoptable
from fleet.bootstrap import account_exists, ensure_account, missing_takeovers
from fleet.cloud import Cloud
from fleet.plan import without_imports
from fleet.project import Project
from fleet.session import Session
from fleet.synth import output_folder, stack_folder
from fleet.terraform_events import Diagnostic
from stacks import naming
from stacks.account import AccountSpec, load_account
from stacks.boundary import boundary_document
from stacks.environment import load_environment
from stacks.policies import as_iam_reads
from tests.account_policies import ADMINISTRATOR, OWNER
from tests.sandbox_helpers import REGION, api
from tests.spec_files import ACCOUNT, environment_text, write_folder

pytestmark = pytest.mark.sandbox
NAME = "acme-ai-fleetform-thing"


@pytest.fixture
def account() -> AccountSpec:
    return AccountSpec(organization=f"o{uuid.uuid4().hex[:10]}", region=REGION)


def logs_of(account: AccountSpec) -> str:
    return naming.access_log_bucket(account.organization, account.region)


def test_the_bucket_of_access_logs_takes_logs_from_the_first_moment(
    sandbox: Cloud, account: AccountSpec
) -> None:
    s3 = api(sandbox, "s3")
    ensure_account(sandbox, account)
    logged = naming.state_bucket(account.organization, account.region)
    target = {"LoggingEnabled": {"TargetBucket": logs_of(account), "TargetPrefix": f"{logged}/"}}
    s3.put_bucket_logging(Bucket=logged, BucketLoggingStatus=target)
    s3.delete_bucket_policy(Bucket=logs_of(account))
    with pytest.raises(ClientError, match="InvalidTargetBucketForLogging"):
        s3.put_bucket_logging(Bucket=logged, BucketLoggingStatus=target)
    assert ensure_account(sandbox, account) == [], "a bootstrap that was killed halfway is completed"
    s3.put_bucket_logging(Bucket=logged, BucketLoggingStatus=target)


def test_an_account_from_before_exists_and_is_given_what_it_lacks(
    sandbox: Cloud, account: AccountSpec
) -> None:
    ensure_account(sandbox, account)
    assert missing_takeovers(sandbox, account) == ()
    api(sandbox, "s3").delete_bucket(Bucket=logs_of(account))
    assert account_exists(sandbox, account)
    assert missing_takeovers(sandbox, account) == ("aws_s3_bucket.logs",)
    assert ensure_account(sandbox, account) == [logs_of(account)]


def test_the_plan_of_an_account_from_before_makes_what_is_not_there_to_import() -> None:
    imports = [{"to": "aws_s3_bucket.state", "id": "state"}, {"to": "aws_s3_bucket.logs", "id": "logs"}]
    configuration = {"terraform": {"backend": {}}, "import": imports}
    changed = without_imports(("aws_s3_bucket.logs",), configuration)
    assert changed == {"terraform": {"backend": {}}, "import": imports[:1]}
    assert "import" not in without_imports(("aws_s3_bucket.logs", "aws_s3_bucket.state"), configuration)
    assert configuration["import"] == imports


@pytest.mark.parametrize(
    ("stands", "declared", "told"),
    [
        (None, "now", False),
        ({"declared": {"value": "now"}}, "now", False),
        ({"declared": {"value": "before"}}, "now", True),
        ({}, "now", True),
    ],
)
def test_one_is_told_that_the_account_is_not_what_its_file_says(
    sandbox: Cloud, tmp_path: Path, stands: dict[str, object] | None, declared: str, told: bool
) -> None:
    folder = write_folder(
        tmp_path, ACCOUNT.replace("acme-ai", f"o{uuid.uuid4().hex[:10]}"), vision=environment_text()
    )
    account = load_account(folder)
    ensure_account(sandbox, account)
    session = Session(
        Project(tmp_path, tmp_path / "home"), sandbox, account, load_environment(folder / "vision.toml")
    )
    synthesized = stack_folder(output_folder(session), naming.ACCOUNT_STACK)
    synthesized.mkdir(parents=True)
    (synthesized / "cdk.tf.json").write_text(json.dumps({"output": {"declared": {"value": declared}}}))
    if stands is not None:
        aws.client(sandbox, "s3", account.region).put_object(
            Bucket=naming.state_bucket(account.organization, account.region),
            Key=naming.state_key(naming.ACCOUNT_STACK),
            Body=json.dumps({"version": 4, "outputs": stands}).encode(),
        )
    text = account_is_behind(session)
    assert bool(text) is told
    assert ("fleetform up vision --account" in text) is told


def exists(address: str, what: str) -> Diagnostic:
    """Return what the provider says of a name that is taken."""
    summary = f"creating {what} ({NAME}): operation error: EntityAlreadyExists: already exists"
    return Diagnostic(severity="error", summary=summary, detail="", address=address)


def test_what_a_killed_apply_of_the_account_had_made_is_taken_over(sandbox: Cloud) -> None:
    tags = [{"Key": naming.TAG_STACK, "Value": naming.ACCOUNT_STACK}]
    made = api(sandbox, "iam").create_policy(PolicyName=NAME, PolicyDocument=ADMINISTRATOR, Tags=tags)
    policy = made["Policy"]["Arn"]
    topic = api(sandbox, "sns").create_topic(Name=NAME, Tags=tags)["TopicArn"]
    api(sandbox, "s3").create_bucket(Bucket=NAME)
    api(sandbox, "cloudtrail").create_trail(Name=NAME, S3BucketName=NAME, TagsList=tags)
    trail = api(sandbox, "cloudtrail").get_trail(Name=NAME)["Trail"]["TrailARN"]
    taken = [
        exists("aws_iam_policy.deny_entry", "IAM Policy"),
        exists("aws_sns_topic.alerts", "SNS Topic"),
        exists("aws_cloudtrail.main", "CloudTrail Trail"),
    ]
    assert find_adoptable(taken, sandbox, REGION, naming.ACCOUNT_STACK, died=False) == [
        ("aws_iam_policy.deny_entry", policy),
        ("aws_sns_topic.alerts", topic),
        ("aws_cloudtrail.main", trail),
    ]
    assert find_adoptable(taken, sandbox, REGION, "vision-base", died=True) == []


def test_the_serial_console_is_a_setting_of_the_account(sandbox: Cloud) -> None:
    ec2 = api(sandbox, "ec2")
    assert ec2.enable_serial_console_access()["SerialConsoleAccessEnabled"] is True
    assert ec2.get_serial_console_access_status()["SerialConsoleAccessEnabled"] is True
    assert ec2.disable_serial_console_access()["SerialConsoleAccessEnabled"] is False
    assert ec2.get_serial_console_access_status()["SerialConsoleAccessEnabled"] is False


def test_the_policies_of_the_first_role_are_there_before_terraform(
    sandbox: Cloud, account: AccountSpec
) -> None:
    iam, organization = api(sandbox, "iam"), account.organization
    arns = {
        name: naming.account_policy_arn(organization, name, "aws", OWNER)
        for name in (naming.BOUNDARY, naming.DENY_ENTRY_POLICY, naming.OVER_BUDGET)
    }
    ensure_account(sandbox, account)
    documents = {
        name: iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
        for name, arn in arns.items()
    }
    whole = json.loads(as_iam_reads(boundary_document(organization, "aws", OWNER)))
    assert documents[naming.BOUNDARY] == whole, "machines start with it"
    (only,) = documents[naming.DENY_ENTRY_POLICY]["Statement"]
    assert (only["Effect"], only["Action"], only["Resource"]) == ("Deny", "*", "*")
    for arn in arns.values():
        iam.delete_policy(PolicyArn=arn)
    taken = tuple(f"aws_iam_policy.{name}" for name in ("boundary", "deny_entry", "over_budget"))
    assert missing_takeovers(sandbox, account) == taken
    made = [naming.account_name(organization, name) for name in arns]
    assert ensure_account(sandbox, account) == made
    assert ensure_account(sandbox, account) == []
