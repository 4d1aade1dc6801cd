"""A look through a whole account finds every orphan with its price and proof, and leaves others' alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from fleet.account_sweep import sweep_account
from fleet.artifacts import empty_bucket
from fleet.cloud import Cloud
from fleet.ledger import LedgerError
from fleet.orphans.choice import Choice, Wanted, choose
from fleet.orphans.judge import Found
from fleet.orphans.removal import remove
from fleet.session import AccountSession
from scripts import cli
from scripts.console_io import table
from scripts.sweep_output import row
from stacks import naming
from stacks.account import AccountSpec, PeopleSpec
from stacks.problems import UserError
from tests import orphans_planted as planted
from tests.orphans_planted import DEAD, LIVING, ORGANIZATION, THEIRS, Garden
from tests.sandbox_helpers import REGION, admin

pytestmark = pytest.mark.sandbox
GOLDEN = Path(__file__).parent / "golden" / "account_sweep.txt"


@pytest.fixture(scope="module")
def session(sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory) -> AccountSession:
    """Return the session of an account whose environments' files are gone."""
    return planted.account_session(sandbox, sandbox_home, tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="module")
def garden(sandbox: Cloud, session: AccountSession) -> Iterator[Garden]:
    """Plant everything once; the tests look at it in order, and the last ones delete."""
    with ExitStack() as undo:
        made = Garden(sandbox, undo)
        planted.plant_others(made, planted.plant_ours(made))
        yield made


@pytest.fixture(autouse=True)
def _without_faults(sandbox: Cloud) -> Iterator[None]:
    yield
    admin(sandbox, "DELETE", "faults")


def look(session: AccountSession) -> tuple[Found, ...]:
    """Return what is found of the two environments of these tests."""
    return sweep_account(session, environments=(DEAD, LIVING)).found


def chosen(session: AccountSession, *, data: bool = False) -> Choice:
    """Return what would be deleted of them."""
    swept = sweep_account(session, environments=(DEAD, LIVING))
    return choose(swept.found, Wanted(data=data), swept.account)


def label(garden: Garden, found: Found) -> str:
    """Return the label of what was planted, the id of anything else."""
    return garden.labels.get(found.listed.thing.id, found.listed.thing.id)


def test_every_orphan_is_found_with_proof_and_price_and_nothing_else_is(
    session: AccountSession, garden: Garden
) -> None:
    swept = sweep_account(session, environments=(DEAD, LIVING))
    assert swept.not_looked == ()
    rows = [
        (each.verdict, *(garden.shown(text) for text in row(each, swept)))
        for each in swept.found
        if each.listed.thing.id in garden.labels
    ]
    told = [each[:6] + each[7:] for each in sorted(rows)]  # without the age
    headers = ("verdict", "kind", "id", "whose", "proof", "reason", "an hour", "a month")
    assert table(headers, told, right=(6, 7)) + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_the_orphans_are_of_at_least_25_kinds_and_most_have_no_tag(
    session: AccountSession, garden: Garden
) -> None:
    orphans = [each for each in look(session) if each.verdict == "orphan"]
    found = {each.listed.thing.id for each in orphans}
    assert {garden.labels[each] for each in garden.beds[DEAD] - found} == set()
    beside = {each.listed.thing.kind for each in orphans if each.listed.thing.id not in garden.labels}
    assert beside <= {"EC2 instance", "EBS snapshot", "EBS volume", "network interface"}, (
        "what came with them, each thing once"
    )
    assert len({each.listed.thing.kind for each in orphans}) >= 35
    untagged = [each for each in orphans if naming.TAG_ENVIRONMENT not in each.listed.tags]
    assert len(untagged) > len(orphans) / 2


def test_nothing_of_another_tools_and_nothing_that_only_has_a_name_is_proven_to_be_ours(
    session: AccountSession, garden: Garden
) -> None:
    verdicts = {label(garden, each): each.verdict for each in look(session)}
    told = {
        garden.labels[each]: verdicts.get(garden.labels[each], "not told") for each in garden.beds[THEIRS]
    }
    assert told == {
        "their vpc": "not told",
        "cloudformation's group": "another's",
        "cloudformation's volume": "another's",
        "karpenter's volume": "another's",
        "parallelcluster's volume": "another's",
        "somebody's volume": "another's",
        "nobody's volume": "not proven",
        "eks's interface": "another's",
        "cloudformation's role": "another's",
        "nobody's role": "not proven",
        "a role named alike": "not told",
        "another company's bucket": "not told",
        "a bucket named alike": "not told",
        "aws's log group": "not told",
    }


def test_of_an_environment_that_stands_only_what_lies_about_in_its_network_is_told(
    session: AccountSession, garden: Garden
) -> None:
    told = {label(garden, each): each.verdict for each in look(session) if each.environment == LIVING}
    assert told == {"living stray": "not proven"}


def test_a_listing_that_is_refused_is_named_and_without_the_leases_nothing_is_an_orphan(
    session: AccountSession, garden: Garden
) -> None:
    refuse = {"code": "AccessDeniedException", "status": 403}
    admin(session.cloud, "POST", "faults", {"service": "ec2", "action": "DescribeKeyPairs", **refuse})
    swept = sweep_account(session, environments=(DEAD,))
    assert [each.title for each in swept.not_looked] == [f"key pairs in {REGION}"] and not swept.clean
    assert any(each.verdict == "orphan" for each in swept.found)
    admin(session.cloud, "DELETE", "faults")
    admin(session.cloud, "POST", "faults", {"service": "scheduler", "action": "ListSchedules", **refuse})
    swept = sweep_account(session, environments=(DEAD,))
    assert not swept.of("orphan", "past its lease") and swept.of("not proven")
    assert choose(swept.found, Wanted(data=True, past_lease=True), swept.account).goes == ()


def test_past_its_lease_is_what_stands_after_its_end_and_goes_only_where_that_is_said(
    session: AccountSession, garden: Garden
) -> None:
    group = {"AutoScalingGroupName": naming.head_group(LIVING), "MinSize": 0, "MaxSize": 1}
    template = next(key for key, name in garden.labels.items() if name == "template")
    zones = {"AvailabilityZones": [f"{REGION}a"]}
    tags = planted.pairs({**planted.ours(LIVING), naming.TAG_LEASE_ENDS: "2020-01-31"})
    garden.call(
        "autoscaling", "create_auto_scaling_group", **group, **zones, Tags=tags,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
    )  # fmt: skip
    try:
        swept = sweep_account(session, environments=(LIVING,))
    finally:
        garden.call(
            "autoscaling", "delete_auto_scaling_group", AutoScalingGroupName=naming.head_group(LIVING)
        )
    assert {each.verdict for each in swept.found} == {"past its lease"} and len(swept.found) > 5
    assert {each.reason for each in swept.found} == {f"the lease of {LIVING} ended on 2020-02-01"}
    assert not choose(swept.found, Wanted(data=True), swept.account).goes
    assert choose(swept.found, Wanted(data=True, past_lease=True), swept.account).goes


def test_what_terraform_is_at_work_on_is_no_orphan(session: AccountSession, garden: Garden) -> None:
    bucket = naming.state_bucket(ORGANIZATION, REGION)
    garden.call("s3", "create_bucket", Bucket=bucket)
    key = naming.state_key(naming.base_stack(DEAD)) + ".tflock"
    garden.call("s3", "put_object", Bucket=bucket, Key=key, Body=b"{}")
    try:
        assert not [each for each in look(session) if each.verdict == "orphan"]
    finally:
        empty_bucket(garden.api("s3"), bucket)
        garden.call("s3", "delete_bucket", Bucket=bucket)


# ------------------------------------------------------------------------------ deleting


_LOOKS = {
    "vpc": ("ec2", "describe_vpcs", "VpcIds"),
    "sg": ("ec2", "describe_security_groups", "GroupIds"),
    "vol": ("ec2", "describe_volumes", "VolumeIds"),
    "eni": ("ec2", "describe_network_interfaces", "NetworkInterfaceIds"),
}
"""How EC2 is asked for a thing, by how its ids begin."""


def exists(garden: Garden, identity: str) -> bool:
    """Return whether something that is another's is still there."""
    look = _LOOKS.get(identity.partition("-")[0])
    try:
        if look:
            garden.call(look[0], look[1], **{look[2]: [identity]})
        elif identity.startswith("/aws/"):
            return bool(garden.call("logs", "describe_log_groups", logGroupNamePrefix=identity)["logGroups"])
        elif "bucket" in garden.labels[identity]:
            garden.call("s3", "head_bucket", Bucket=identity)
        else:
            garden.call("iam", "get_role", RoleName=identity)
    except ClientError:
        return False
    return True


def test_without_data_nothing_goes_that_holds_some_nor_what_that_lies_in(
    session: AccountSession, garden: Garden
) -> None:
    choice = chosen(session)
    goes = {label(garden, each) for each in choice.goes}
    stays = {label(garden, each.found): garden.shown(each.why) for each in choice.stays}
    assert {"machine", "template", "nat", "role", "interface", "topic of gone"} <= goes
    assert stays["bucket"] == stays["key"] == "data is lost with it for good: say --data"
    assert (
        stays["subnet-a"] == "the FSx file system <fsx> lies in it and stays"
        or "lies in it" in stays["subnet-a"]
    )
    assert "lies in it and stays" in stays["vpc"] and "by hand" in stays["queue"]
    assert not {label(garden, each) for each in choice.goes} & {
        garden.labels[each] for each in garden.beds[THEIRS]
    }


def test_who_may_not_delete_is_refused_on_record_and_what_cannot_be_recorded_is_not_deleted(
    session: AccountSession, garden: Garden
) -> None:
    choice = chosen(session)
    account = AccountSpec(
        organization=ORGANIZATION,
        region=REGION,
        people=PeopleSpec(trusted=("arn:aws:iam::123456789012:root",)),
    )
    auditor = AccountSession(session.project, session.cloud, account)
    role = naming.account_name(ORGANIZATION, naming.ROLE_AUDITOR)
    auditor.__dict__["caller"] = f"arn:aws:sts::123456789012:assumed-role/{role}/ann"
    with pytest.raises(UserError, match=r"does not include account\.sweep"):
        remove(auditor, choice, lambda text: None)
    last = session.ledger.entries()[-1]
    assert (last["event"], last["outcome"], last["actor"]["person"]) == ("account.sweep", "refused", "ann")
    ledger = naming.ledger_bucket(ORGANIZATION, REGION)
    fault = {
        "service": "s3",
        "action": "PutObject",
        "resource": ledger,
        "code": "AccessDenied",
        "status": 403,
    }
    admin(session.cloud, "POST", "faults", fault)
    with pytest.raises(LedgerError):
        remove(session, choice, lambda text: None)
    admin(session.cloud, "DELETE", "faults")
    assert {each.listed.key for each in choice.goes} <= {each.listed.key for each in look(session)}


def test_all_that_is_ours_is_deleted_in_order_on_record_and_nothing_else_is_touched(
    session: AccountSession, garden: Garden
) -> None:
    choice = chosen(session, data=True)
    stays = {label(garden, each.found) for each in choice.stays}
    assert stays == {"vpc", "subnet-a", "queue"}, (
        "another's interface lies in them; no way to delete is known"
    )
    outcomes = remove(session, choice, lambda text: None, pause=0.05, seconds=60)
    assert [(label(garden, each.found), each.why) for each in outcomes if each.result != "deleted"] == []
    left = {label(garden, each): each.verdict for each in look(session) if each.verdict == "orphan"}
    assert set(left) == stays
    assert all(exists(garden, each) for each in garden.beds[THEIRS])
    entries = session.ledger.entries()
    act = [each for each in entries if each["event"] == "account.sweep"]
    assert [each["outcome"] for each in act] == ["refused", "started", "succeeded"]
    planned = {(each["kind"], each["id"]) for each in act[1]["details"]["things"]}
    ended = [each for each in entries if each["event"] == "thing.deleted"]
    assert {(each["details"]["kind"], each["details"]["id"]) for each in ended} == planned
    assert {each["outcome"] for each in ended} == {"succeeded"} and {each["target"] for each in ended} == {
        DEAD
    }


def test_the_command_deletes_what_is_left_and_says_with_its_exit_code_whether_that_is_all(
    session: AccountSession,
    garden: Garden,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(session.project.root)
    monkeypatch.setenv("FLEETFORM_HOME", str(session.project.home))
    monkeypatch.setenv("FLEETFORM_CLOUD", "sandbox")
    by_name = {name: identity for identity, name in garden.labels.items()}
    assert cli.main(["sweep", "--environment", DEAD, "--yes", "--data"]) == 2
    told = capsys.readouterr().err
    assert "--data: there is nothing to delete" in told and "--yes: there is nothing to delete" in told
    assert cli.main(["sweep", "--region", "us-esat-1"]) == 2
    assert "did you mean us-east-1" in capsys.readouterr().err
    assert cli.main(["sweep", "--environment", "noone"]) == 0
    assert "nothing in the account tells of an environment noone" in capsys.readouterr().err
    assert cli.main(["sweep", "--environment", DEAD]) == 3
    assert "LEFT OVER" in capsys.readouterr().out and exists(garden, by_name["their vpc"])
    garden.call("ec2", "delete_network_interface", NetworkInterfaceId=by_name["eks's interface"])
    garden.call("ec2", "delete_volume", VolumeId=by_name["nobody's volume"])
    garden.call("iam", "delete_role", RoleName=by_name["nobody's role"])
    garden.call(
        "sqs", "delete_queue", QueueUrl=garden.call("sqs", "get_queue_url", QueueName="stray")["QueueUrl"]
    )
    capsys.readouterr()
    assert cli.main(["sweep", "--environment", DEAD, "--delete"]) == 2, "nobody can be asked"
    assert "--yes" in capsys.readouterr().err
    assert cli.main(["sweep", "--environment", DEAD, "--delete", "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {each["result"] for each in told["deletion"]} == {"deleted"}
    assert (told["format"], told["clean"], told["totals"]["orphan"]["things"]) == (
        "fleetform-sweep/1",
        True,
        0,
    )
    ending = {each["kind"] for each in told["found"] if each["verdict"] == "ending by itself"}
    assert ending == {"KMS key", "secret"}, "the key and the secret wait for their end"
    assert cli.main(["sweep", "--environment", DEAD]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is left"
