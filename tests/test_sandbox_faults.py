"""Faults, gaps and the call log: errors in the service's own format, no retrying of what will never work."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from fleet.aws import client
from fleet.cloud import Cloud
from scripts.cli import main
from tests.sandbox_helpers import admin, api, run_instances, run_script

pytestmark = pytest.mark.sandbox
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _no_faults_after(sandbox: Cloud) -> Iterator[None]:
    yield
    admin(sandbox, "DELETE", "faults")


def refused(call: object, **arguments: object) -> tuple[str, int]:
    """Return code and HTTP status of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)  # type: ignore[operator]
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("service", "action", "call"),
    [
        ("ec2", "DescribeVpcs", "describe_vpcs"),
        ("ssm", "DescribeInstanceInformation", "describe_instance_information"),
        ("iam", "ListRoles", "list_roles"),
        ("s3", "ListBuckets", "list_buckets"),
        ("efs", "DescribeFileSystems", "describe_file_systems"),
        ("cloudwatch", "DescribeAlarms", "describe_alarms"),
    ],
)
def test_a_fault_speaks_every_protocol(sandbox: Cloud, service: str, action: str, call: str) -> None:
    admin(
        sandbox,
        "POST",
        "faults",
        {"service": service, "action": action, "code": "AccessDenied", "status": 403},
    )
    assert refused(getattr(api(sandbox, service), call)) == ("AccessDenied", 403)


def test_s3_can_refuse_one_object_and_take_the_others(sandbox: Cloud) -> None:
    s3 = api(sandbox, "s3")
    s3.create_bucket(Bucket="faulty")
    admin(
        sandbox,
        "POST",
        "faults",
        {"service": "s3", "action": "PutObject", "resource": "faulty/full/", "code": "QuotaExceeded"},
    )
    assert refused(s3.put_object, Bucket="faulty", Key="full/a", Body=b"x") == ("QuotaExceeded", 400)
    s3.put_object(Bucket="faulty", Key="free/a", Body=b"x")
    [rule] = admin(sandbox, "GET", "status")["faults"]
    assert rule["hits"] == 1


def test_a_fault_that_is_spent_lets_calls_through(sandbox: Cloud) -> None:
    admin(sandbox, "POST", "faults", {"service": "sts", "code": "Throttling", "status": 503, "count": 2})
    # boto3 tries a 503 again by itself, so the two refusals are not even seen.
    assert api(sandbox, "sts").get_caller_identity()["Account"] == "123456789012"
    [rule] = admin(sandbox, "GET", "status")["faults"]
    assert rule["hits"] == 2


def test_a_seed_makes_chance_repeatable(sandbox: Cloud) -> None:
    def outcomes() -> list[bool]:
        admin(sandbox, "DELETE", "faults")
        rule = {
            "service": "s3",
            "action": "ListBuckets",
            "code": "AccessDenied",
            "probability": 0.5,
            "seed": 7,
        }
        admin(sandbox, "POST", "faults", rule)
        found = []
        for _ in range(12):
            try:
                api(sandbox, "s3").list_buckets()
                found.append(True)
            except ClientError:
                found.append(False)
        return found

    first = outcomes()
    assert first == outcomes()
    assert set(first) == {True, False}


def test_an_answer_that_is_lost_has_still_changed_the_cloud(sandbox: Cloud) -> None:
    s3 = api(sandbox, "s3")
    admin(
        sandbox,
        "POST",
        "faults",
        {"service": "s3", "action": "CreateBucket", "code": "Broken", "after": True},
    )
    assert refused(s3.create_bucket, Bucket="made-anyway") == ("Broken", 400)
    admin(sandbox, "DELETE", "faults")
    s3.head_bucket(Bucket="made-anyway")


def test_a_wrong_rule_is_refused(sandbox: Cloud) -> None:
    with pytest.raises(HTTPError, match="400"):
        admin(sandbox, "POST", "faults", {"servce": "s3"})
    assert admin(sandbox, "GET", "status")["faults"] == []


def test_what_moto_lacks_is_refused_at_once_and_listed(sandbox: Cloud) -> None:
    code = refused(api(sandbox, "ec2").describe_spot_datafeed_subscription)
    assert code == ("SandboxNotImplemented", 400)
    assert admin(sandbox, "GET", "status")["gaps"]["ec2:DescribeSpotDatafeedSubscription"] == 1


def test_a_failure_of_moto_names_the_call_and_is_not_retried(sandbox: Cloud) -> None:
    assert refused(api(sandbox, "efs").describe_backup_policy, FileSystemId="fs-12345678") == (
        "SandboxError",
        400,
    )


def test_every_call_is_logged_with_its_service_and_action(sandbox: Cloud) -> None:
    api(sandbox, "kms").list_keys()
    api(sandbox, "s3").list_buckets()
    listings = [
        each for each in admin(sandbox, "GET", "calls") if each["action"] in ("ListKeys", "ListBuckets")
    ]
    last = [(each["service"], each["action"], each["status"]) for each in listings[-2:]]
    assert last == [("kms", "ListKeys", 200), ("s3", "ListBuckets", 200)]


CALLER = """\
import json, sys
from fleet.aws import client
from fleet.cloud import Cloud
s3 = client(Cloud("test", json.loads(sys.argv[1])), "s3", "us-east-1", attempts=1)
for number in range(3):
    s3.put_object(Bucket="deadly", Key=str(number), Body=b"x")
    print(number, flush=True)
"""
"""A program that makes three calls, each on record before the next."""


@pytest.mark.parametrize(("after", "kept"), [(False, ["0"]), (True, ["0", "1"])])
def test_a_process_dies_at_its_k_th_call_before_it_is_done_or_after(
    sandbox: Cloud, after: bool, kept: list[str]
) -> None:
    s3 = api(sandbox, "s3")
    s3.create_bucket(Bucket="deadly")
    place = {"service": "s3", "action": "PutObject", "resource": "deadly/", "caller": "command"}
    admin(sandbox, "POST", "faults", {"kind": "kill", **place, "skip": 1, "count": 1, "after": after})
    variables = json.dumps(dict(sandbox.variables))
    child = subprocess.run(
        [sys.executable, "-c", CALLER, variables], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (child.returncode, child.stdout.split()) == (-signal.SIGKILL, ["0"]), child.stderr
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="deadly")["Contents"]] == kept
    [rule] = admin(sandbox, "GET", "faults")
    assert (rule["hits"], len(rule["killed"])) == (1, 1)
    for key in kept:
        s3.delete_object(Bucket="deadly", Key=key)
    s3.delete_bucket(Bucket="deadly")


@pytest.mark.parametrize("after", [False, True])
def test_a_connection_is_cut_before_the_call_is_done_or_after(sandbox: Cloud, after: bool) -> None:
    ssm = client(sandbox, "ssm", "us-east-1", attempts=1)
    rule = {"kind": "cut", "service": "ssm", "action": "PutParameter", "after": after}
    admin(sandbox, "POST", "faults", rule)
    with pytest.raises(ConnectionClosedError):
        ssm.put_parameter(Name=f"/cut/{after}", Value="x", Type="String")
    admin(sandbox, "DELETE", "faults")
    found = [each["Name"] for each in ssm.get_parameters(Names=[f"/cut/{after}"])["Parameters"]]
    assert found == ([f"/cut/{after}"] if after else [])


def test_a_client_that_tries_again_does_not_even_see_that_it_was_cut(sandbox: Cloud) -> None:
    admin(sandbox, "POST", "faults", {"kind": "cut", "service": "kms", "action": "ListKeys", "count": 2})
    api(sandbox, "kms").list_keys()
    assert [each["hits"] for each in admin(sandbox, "GET", "faults")] == [2]


def test_faults_are_withdrawn_one_by_one(sandbox: Cloud) -> None:
    for service in ("sqs", "sns", "sts"):
        *_, made = admin(sandbox, "POST", "faults", {"kind": "slow", "service": service})
    numbers = [each["id"] for each in admin(sandbox, "GET", "faults")]
    left = admin(sandbox, "DELETE", "faults", {"id": numbers[1]})
    assert [each["service"] for each in left] == ["sqs", "sts"]
    assert made["id"] == numbers[2] and len({*numbers}) == 3


def test_every_mistake_of_a_rule_is_answered(sandbox: Cloud) -> None:
    with pytest.raises(HTTPError) as caught:
        admin(sandbox, "POST", "faults", {"kind": "cutt", "servce": "s3", "count": -1})
    problems = json.load(caught.value)["problems"]
    assert {each["path"] for each in problems} == {"kind", "servce", "count"}
    assert all(each["what"] and each["do"] for each in problems)


def test_a_machine_whose_disk_is_full_writes_nothing_until_there_is_room(sandbox: Cloud) -> None:
    [machine] = run_instances(sandbox)
    write = f'{sys.executable} -c \'open("big", "w").write("x")\' 2>&1 | tail -1 | cat >&2; test -s big'
    assert run_script(sandbox, machine, write)["Status"] == "Success"
    [rule] = admin(sandbox, "POST", "faults", {"kind": "disk-full", "machine": machine})
    full = run_script(sandbox, machine, write.replace("big", "more"))
    assert full["Status"] == "Failed"
    admin(sandbox, "DELETE", "faults", {"id": rule["id"]})
    assert run_script(sandbox, machine, write.replace("big", "more"))["Status"] == "Success"


def test_a_machine_that_there_is_not_cannot_be_hit(sandbox: Cloud) -> None:
    with pytest.raises(HTTPError) as caught:
        admin(sandbox, "POST", "faults", {"kind": "power-loss", "machine": "i-nothing"})
    assert "there is no machine i-nothing" in json.load(caught.value)["error"]
    assert admin(sandbox, "GET", "faults") == []


def test_the_verb_sets_lists_and_withdraws(
    sandbox_home: Path,
    sandbox: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "environments").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))

    def told(*words: str) -> tuple[int, str]:
        code = main(["sandbox", "fault", *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    assert told("list") == (0, "no fault is in force\n")
    place = ("--service", "ec2", "--action", "CreateVpc", "--caller", "terraform")
    code, said = told("set", "cut", *place, "--after", "--count", "2", "--json")
    made = json.loads(said)
    assert (code, made["kind"], made["cut"], made["after"], made["count"]) == (0, "cut", True, True, 2)
    _, listed = told("list")
    assert "cut after ec2:CreateVpc by terraform" in listed
    code, said = told("set", "cut", "--service", "ecc", "--probability", "2")
    assert code == 2 and "--probability: 2.0 is not between 0 and 1" in said
    code, said = told("set", "cut", "--service", "ecc", "--caller", "me")
    assert code == 2 and "--service: there is no service 'ecc'" in said and "--caller: 'me' is none" in said
    assert told("clear", str(made["id"])) == (0, f"withdrawn: {made['id']}\n")
    assert told("clear", "999") == (1, "failed: there is no fault 999\n")
    assert told("clear") == (0, "all faults are withdrawn\n")
