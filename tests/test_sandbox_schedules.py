"""Functions that run, schedules that fire, messages that are kept, and a clock that goes forward."""

from __future__ import annotations

import io
import json
import urllib.error
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud, choose_cloud
from fleet.project import Project
from sandbox import daemon
from sandbox.expressions import parse_expression
from tests.sandbox_helpers import REGION, admin, api, wait_for

pytestmark = pytest.mark.sandbox

PROGRAM = """\
import json, os, boto3
def handle(event, context):
    print("called with", json.dumps(event))
    if event.get("fail"):
        raise KeyError("no such thing")
    if event.get("sleep"):
        import time; time.sleep(event["sleep"])
    if event.get("import"):
        __import__(event["import"])
    if event.get("publish"):
        boto3.client("sns").publish(TopicArn=event["publish"], Subject="told", Message=json.dumps(event))
    who = boto3.client("sts").get_caller_identity()["Arn"]
    return {"who": who, "variable": os.environ["GREETING"], "name": context.function_name}
"""
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud of this module's own, for its clock goes forward."""
    home = tmp_path_factory.mktemp("clock-home")
    daemon.start(home)
    yield choose_cloud(Project(root=home.parent, home=home), "sandbox")
    daemon.stop(home)


def trust(service: str, **conditions: str) -> str:
    allow: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    if conditions:
        allow["Condition"] = {"StringEquals": {f"aws:{key}": value for key, value in conditions.items()}}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def make_role(cloud: Cloud, name: str, trusted: str, *actions: str) -> str:
    iam = api(cloud, "iam")
    arn = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)["Role"]["Arn"])
    allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document)
    return arn


@pytest.fixture(scope="module")
def function(cloud: Cloud) -> str:
    """The ARN of a function whose role may publish and write its log."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("program.py", PROGRAM)
    role = make_role(cloud, "function", trust("lambda"), "sns:Publish", "logs:*")
    api(cloud, "logs").create_log_group(logGroupName="/tests/function")
    made = api(cloud, "lambda").create_function(
        FunctionName="tests-function",
        Runtime="python3.12",
        Handler="program.handle",
        Role=role,
        Code={"ZipFile": archive.getvalue()},
        Timeout=3,
        Environment={"Variables": {"GREETING": "hello"}},
        LoggingConfig={"LogFormat": "Text", "LogGroup": "/tests/function"},
    )
    return str(made["FunctionArn"])


def call(cloud: Cloud, **event: Any) -> tuple[dict[str, Any], str]:
    answer = api(cloud, "lambda").invoke(FunctionName="tests-function", Payload=json.dumps(event))
    return json.load(answer["Payload"]), answer.get("FunctionError", "")


def make_schedule(cloud: Cloud, function: str, name: str, expression: str, **event: Any) -> None:
    scheduler = api(cloud, "scheduler")
    account = function.split(":")[4]
    group_arn = f"arn:aws:scheduler:{REGION}:{account}:schedule-group/{name}"
    scheduler.create_schedule_group(Name=name)
    trusted = trust("scheduler", SourceArn=group_arn, SourceAccount=account)
    role = make_role(cloud, f"scheduler-{name}", trusted, "lambda:InvokeFunction")
    scheduler.create_schedule(
        Name=name,
        GroupName=name,
        ScheduleExpression=expression,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": function, "RoleArn": role, "Input": json.dumps(event)},
    )


def cloud_time(cloud: Cloud) -> datetime:
    headers = api(cloud, "sts").get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]
    return parsedate_to_datetime(headers["date"])


def test_a_function_runs_with_its_role_and_its_variables(cloud: Cloud, function: str) -> None:
    answer, error = call(cloud)
    assert (answer["variable"], answer["name"], error) == ("hello", "tests-function", "")
    assert ":assumed-role/function/tests-function" in answer["who"]


def test_a_function_that_raises_tells_what_and_where(cloud: Cloud, function: str) -> None:
    answer, error = call(cloud, fail=True)
    assert (error, answer["errorType"], answer["errorMessage"]) == (
        "Unhandled",
        "KeyError",
        "'no such thing'",
    )
    assert "program.py" in "".join(answer["stackTrace"])


def test_a_function_that_takes_too_long_is_ended(cloud: Cloud, function: str) -> None:
    answer, error = call(cloud, sleep=30)
    assert error == "Unhandled"
    assert "Task timed out after 3.00 seconds" in answer["errorMessage"]


def test_a_function_sees_nothing_of_ours_that_is_not_in_its_archive(cloud: Cloud, function: str) -> None:
    answer, _ = call(cloud, **{"import": "fleet"})
    assert answer["errorType"] == "ModuleNotFoundError"


def test_what_a_function_prints_is_in_its_log_group(cloud: Cloud, function: str) -> None:
    call(cloud, marker="in the log")
    logs = api(cloud, "logs")
    found = logs.filter_log_events(logGroupName="/tests/function")["events"]
    assert any('called with {"marker": "in the log"}' in each["message"] for each in found)


def test_a_message_to_a_topic_is_kept_with_who_it_would_have_gone_to(cloud: Cloud, function: str) -> None:
    sns = api(cloud, "sns")
    topic = sns.create_topic(Name="mails")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="someone@example.com")
    call(cloud, publish=topic)
    (message,) = [each for each in admin(cloud, "GET", "messages") if each["topic"] == topic]
    assert (message["subject"], message["to"]) == ("told", ["email:someone@example.com"])


def test_a_one_time_schedule_fires_when_the_clock_passes_it(cloud: Cloud, function: str) -> None:
    topic = api(cloud, "sns").create_topic(Name="once")["TopicArn"]
    before = cloud_time(cloud)
    at = (before + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%S")
    make_schedule(cloud, function, "once", f"at({at})", publish=topic, due="<aws.scheduler.scheduled-time>")
    admin(cloud, "POST", "clock", {"forward_s": 86400})
    assert [each for each in admin(cloud, "GET", "fired") if each["schedule"].endswith("/once")] == []
    admin(cloud, "POST", "clock", {"forward_s": 3 * 86400})
    assert cloud_time(cloud) >= before + timedelta(days=4)
    (message,) = [each for each in admin(cloud, "GET", "messages") if each["topic"] == topic]
    assert json.loads(message["message"])["due"] == f"{at}Z"


def test_a_schedule_fires_by_itself_without_anybody_asking(cloud: Cloud, function: str) -> None:
    soon = (cloud_time(cloud) + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%S")
    make_schedule(cloud, function, "soon", f"at({soon})")
    (fired,) = wait_for(
        lambda: [each for each in admin(cloud, "GET", "fired") if each["schedule"].endswith("/soon")]
    )
    assert (fired["attempt"], fired["error"]) == (1, "")


def test_a_schedule_whose_role_may_not_call_is_refused_and_tried_again(cloud: Cloud, function: str) -> None:
    make_schedule(cloud, function, "powerless", "rate(1 day)")
    api(cloud, "iam").delete_role_policy(RoleName="scheduler-powerless", PolicyName="all")
    admin(cloud, "POST", "clock", {"forward_s": 90000})
    fired = [each for each in admin(cloud, "GET", "fired") if each["schedule"].endswith("/powerless")]
    assert [each["attempt"] for each in fired] == [1, 2, 3, 4]
    assert all("AccessDenied" in each["error"] for each in fired)
    api(cloud, "scheduler").delete_schedule(Name="powerless", GroupName="powerless")


def test_a_one_time_schedule_in_the_past_is_refused(cloud: Cloud, function: str) -> None:
    with pytest.raises(ClientError, match="is in the past"):
        make_schedule(cloud, function, "late", "at(2020-01-01T00:00:00)")


def test_the_clock_is_put_forward_by_days(cloud: Cloud) -> None:
    before = cloud_time(cloud)
    home = Path(cloud.variables["AWS_CONFIG_FILE"]).parent.parent
    said = datetime.fromisoformat(daemon.forward(home, 2))
    assert timedelta(days=2) <= said - before < timedelta(days=2, minutes=5)
    assert cloud_time(cloud) >= before + timedelta(days=2)


def test_the_clock_of_a_cloud_that_does_not_run_cannot_be_put_forward(tmp_path: Path) -> None:
    with pytest.raises(daemon.SandboxError, match="is not running"):
        daemon.forward(tmp_path, 1)


def test_the_clock_does_not_go_back(cloud: Cloud) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        admin(cloud, "POST", "clock", {"forward_s": -1})


@pytest.mark.parametrize(
    ("expression", "after", "until", "last"),
    [
        ("cron(30 * * * ? *)", START, START + timedelta(hours=2), datetime(2026, 11, 22, 13, 30, tzinfo=UTC)),
        ("cron(30 * * * ? *)", START, START + timedelta(minutes=29), None),
        ("cron(0 9 * * ? *)", START, START + timedelta(days=2), datetime(2026, 11, 24, 9, 0, tzinfo=UTC)),
        ("cron(0 9 ? * MON-FRI *)", START, START + timedelta(days=8), datetime(2026, 11, 30, 9, tzinfo=UTC)),
        ("cron(0/15 8-9 1,L * ? 2026)", START, datetime(2026, 12, 31, 9, 20, tzinfo=UTC), None),
        ("cron(0 0 L * ? *)", START, START + timedelta(days=20), datetime(2026, 11, 30, tzinfo=UTC)),
        ("rate(2 hours)", START, START + timedelta(hours=5), START + timedelta(hours=4)),
        ("rate(2 hours)", START + timedelta(hours=4), START + timedelta(hours=5), None),
        ("at(2026-11-23T00:00:00)", START, START + timedelta(days=1), datetime(2026, 11, 23, tzinfo=UTC)),
    ],
)
def test_an_expression_is_due_when_the_cloud_says(
    expression: str, after: datetime, until: datetime, last: datetime | None
) -> None:
    try:
        assert parse_expression(expression, "UTC", START)(after, until) == last
    except NotImplementedError:
        assert ",L" in expression, "only a last day among others is not emulated"


@pytest.mark.parametrize(
    "expression", ["at(tomorrow)", "rate(0 days)", "cron(0 9 * * * *)", "cron(61 * * * ? *)", "x"]
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        parse_expression(expression, "UTC", START)
