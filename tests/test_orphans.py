"""Whose a thing is: what counts as a proof, what outweighs what, and what only looks like one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.errors import ActError
from fleet.listings.listed import Key, Listed, Says
from fleet.listings.machines import ROWS
from fleet.listings.names import document_name, own_name, region_at_end, role_name
from fleet.listings.networks import ROWS as NETWORK_ROWS
from fleet.listings.things import Look, Thing
from fleet.orphans.judge import judge
from fleet.orphans.lives import Lives, find_lives
from fleet.orphans.proofs import Account
from fleet.orphans.removals import REMOVALS, order_of
from fleet.orphans.rounds import Target, delete_all
from stacks import naming
from tests.orphans_listed import ACCOUNT, NOBODY, REGION, standing, tagged, thing


def verdicts(*listed: Listed, lives: Lives | None = NOBODY, account: Account = ACCOUNT) -> dict[str, str]:
    """Return the verdict on each thing that is told, by its id."""
    return {each.listed.thing.id: each.verdict for each in judge(listed, lives, account)}


# ------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("kind", "name", "environment", "region"),
    [
        ("log group", "/fleetform/vision/flow-logs", "vision", ""),
        ("SSM parameter", "/fleetform/deep-vision/outputs", "deep-vision", ""),
        ("secret", "fleetform/vision/munge", "vision", ""),
        ("schedule group", "fleetform-lease-deep-vision-eu-west-1", "deep-vision", "eu-west-1"),
        ("SNS topic", "fleetform-lease-vision-us-gov-east-1", "vision", "us-gov-east-1"),
        ("budget", "fleetform-budget-deep-vision-eu-west-1", "deep-vision", "eu-west-1"),
    ],
)
def test_a_name_that_says_fleetform_proves_whose_a_thing_is(
    kind: str, name: str, environment: str, region: str
) -> None:
    assert own_name(Key(kind, "x"), name) == (environment, region)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("log group", "/fleetform/account/acme/trail"),  # the account's own
        ("log group", "/aws/fleetform/vision/flow-logs"),
        ("SSM parameter", "/fleetform"),
        ("secret", "fleetform/vision/other"),
        ("SNS topic", "fleetform-lease-vision"),
        ("S3 bucket", "/fleetform/vision/outputs"),
        ("IAM role", "fleetform-lease-vision-eu-west-1"),
    ],
)
def test_a_name_that_only_begins_alike_proves_nothing(kind: str, name: str) -> None:
    assert own_name(Key(kind, "x"), name) is None


@pytest.mark.parametrize("role", [naming.ROLE_HEAD, naming.ROLE_NODE, naming.ROLE_RUN, naming.ROLE_MEMBER])
def test_the_environment_of_a_role_is_read_from_its_name(role: str) -> None:
    for environment in ("vision", "deep-vision", "a-node"):
        name = naming.environment_role(environment, role, "ap-northeast-2")
        assert role_name(name) == (environment, "ap-northeast-2")
        assert region_at_end(name) == "ap-northeast-2"
    assert role_name("vision-head") is None and region_at_end("vision-head") == ""


def test_the_environment_of_a_document_is_read_from_its_name() -> None:
    for name in (naming.run_document("vision"), naming.queue_document("vision", "blue"), "vision-run-node"):
        assert document_name(name) == ("vision", "")
    assert document_name("vision-backup") is None


# ------------------------------------------------------------------------------ proofs


def test_a_tag_outweighs_a_name_and_the_account_itself_is_no_environment() -> None:
    found = judge(
        [thing("secret", "s", name="fleetform/vision/munge", tags=tagged("speech"))], NOBODY, ACCOUNT
    )
    assert [each.environment for each in found] == ["speech"]
    assert verdicts(thing("secret", "s", name="fleetform/vision/munge", tags=tagged("account"))) == {}


def test_what_hangs_on_something_of_ours_is_ours_however_far_away() -> None:
    chain = (
        thing("EBS snapshot", "snap", links=[("is of", "EBS volume", "vol")]),
        thing("EBS volume", "vol", links=[("is attached to", "EC2 instance", "i")]),
        thing("EC2 instance", "i", links=[("lies in", "VPC", "vpc")]),
        thing("VPC", "vpc", tags=tagged()),
        thing("EBS volume", "free", links=[("is attached to", "EC2 instance", "another")]),
    )
    found = {each.listed.thing.id: each.proof for each in judge(chain, NOBODY, ACCOUNT)}
    assert set(found) == {"snap", "vol", "i", "vpc"}
    assert found["snap"] == "it is of the EBS volume vol of vision"


def test_things_of_one_name_in_two_regions_are_two() -> None:
    here = thing("Auto Scaling group", "g", tags=tagged())
    there = thing("EC2 instance", "i", "us-east-1", links=[("was started by", "Auto Scaling group", "g")])
    assert verdicts(here, there) == {"g": "orphan"}


@pytest.mark.parametrize("kind", ["subnet", "route table", "internet gateway", "NAT gateway", "flow log"])
def test_a_part_that_we_make_in_no_network_but_our_own_proves_the_network(kind: str) -> None:
    part = thing(kind, "part", tags=tagged(), links=[("lies in", "VPC", "vpc")])
    inside = thing("security group", "sg", links=[("lies in", "VPC", "vpc")])
    assert verdicts(part, thing("VPC", "vpc"), inside) == dict.fromkeys(("part", "vpc", "sg"), "orphan")


def test_a_security_group_or_an_endpoint_of_ours_proves_nothing_of_somebody_elses_network() -> None:
    ours = thing("security group", "sg", tags=tagged(), links=[("lies in", "VPC", "vpc")])
    theirs = thing("EC2 instance", "i", links=[("lies in", "VPC", "vpc")])
    assert verdicts(ours, thing("VPC", "vpc"), theirs) == {"sg": "orphan"}


def test_what_a_thing_says_proves_it_and_a_bucket_bears_the_companys_name() -> None:
    says = thing("KMS key", "k", says=Says("vision", "its policy"))
    bucket = thing("S3 bucket", naming.dataset_bucket("acme", "vision", REGION), "")
    alike = thing("S3 bucket", naming.dataset_bucket("acme", "papers", REGION), "")
    assert set(verdicts(says, bucket, alike)) == {"k", bucket.thing.id}


@pytest.mark.parametrize(
    "mark",
    [
        {"tags": {**tagged(), "aws:cloudformation:stack-id": "x"}},
        {"tags": {**tagged(), "kubernetes.io/cluster/web": "owned"}},
        {"tags": {**tagged(), "karpenter.sh/nodepool": "x"}},
        {"tags": {**tagged(), "eks:cluster-name": "x"}},
        {"tags": {**tagged(), "parallelcluster:cluster-name": "x"}},
        {"tags": {**tagged(), naming.TAG_NOT_OURS: "somebody"}},
        {"tags": tagged(), "owner": "999999999999"},
        {"tags": tagged(), "texts": ("Amazon EKS web",)},
    ],
)
def test_a_mark_of_another_tool_outweighs_even_our_tag(mark: dict[str, Any]) -> None:
    inside = thing("network interface", "eni", links=[("is attached to", "EC2 instance", "i")])
    assert verdicts(thing("EC2 instance", "i", **mark), inside) == {"i": "another's"}


def test_a_name_alone_is_never_a_proof() -> None:
    known = thing("KMS key", "k", tags=tagged())
    name = naming.environment_role("vision", naming.ROLE_HEAD, REGION)
    assert verdicts(known, thing("IAM role", name, "")) == {"k": "orphan", name: "not proven"}
    assert verdicts(thing("IAM role", name, "")) == {}, "nobody knows of an environment vision"


class Pages:
    """Answers one operation in pages, and another at once."""

    def can_paginate(self, operation: str) -> bool:
        return operation == "describe_volumes"

    def get_paginator(self, operation: str) -> Pages:
        return self

    def paginate(self, **words: Any) -> list[dict[str, Any]]:
        return [{"Found": [{"n": 1}, {"n": 2}]}, {}, {"Found": [{"n": 3}]}]

    def describe_addresses(self, **words: Any) -> dict[str, Any]:
        return {"Found": [{"n": words["Filter"]}]}


def test_a_listing_is_read_to_its_last_page() -> None:
    look = Look("", "acme", REGION, (), lambda service: Pages())
    assert [each["n"] for each in look.pages("ec2", "describe_volumes", "Found")] == [1, 2, 3]
    assert [each["n"] for each in look.pages("ec2", "describe_addresses", "Found", Filter=7)] == [7]


# ------------------------------------------------------------------------------ what stands


def told(*listed: Listed) -> dict[str, str]:
    """Return the verdicts, with what stands read from the things themselves."""
    return verdicts(*listed, lives=find_lives(listed, ()))


def test_what_an_environment_that_stands_has_is_not_told() -> None:
    volume = thing("EBS volume", "v", tags=tagged(), stack="vision-fleet")
    assert told(*standing(), volume) == {}


def test_of_an_environment_whose_fleet_is_down_the_fleets_things_are_orphans() -> None:
    fleet = thing("EBS volume", "v", tags=tagged(), stack="vision-fleet")
    base = thing("EBS volume", "b", tags=tagged(), stack="vision-base")
    assert told(*standing(fleet=False), fleet, base) == {"v": "orphan"}


@pytest.mark.parametrize("left", [0, 1, 2])
def test_one_thing_alone_that_says_that_an_environment_stands_is_an_orphan(left: int) -> None:
    alone = standing()[left]
    assert told(alone) == {alone.thing.id: "orphan"}


def test_a_role_that_only_has_the_name_keeps_no_environment_alive() -> None:
    schedule, role, _ = standing()
    named = thing("IAM role", role.thing.id, "")
    assert told(schedule, named) == {schedule.thing.id: "orphan", role.thing.id: "not proven"}


def test_an_environment_of_the_same_name_elsewhere_keeps_nothing_alive_here() -> None:
    volume = thing("EBS volume", "v", "us-east-1", tags=tagged())
    role = thing(
        "IAM role", naming.environment_role("vision", naming.ROLE_HEAD, "us-east-1"), "", tags=tagged()
    )
    both = replace(ACCOUNT, regions=(REGION, "us-east-1"))
    listed = (*standing(), volume, role)
    found = verdicts(*listed, lives=find_lives(listed, ()), account=both)
    assert found == {"v": "orphan", role.thing.id: "orphan"}


def test_all_of_an_environment_past_its_lease_is_told_as_that() -> None:
    volume = thing("EBS volume", "v", tags=tagged())
    assert set(told(*standing(ends=2026), volume).values()) == {"past its lease"}


def test_what_has_no_region_is_no_orphan_where_its_environments_region_was_not_looked_at() -> None:
    role = thing(
        "IAM role", naming.environment_role("vision", naming.ROLE_HEAD, "us-east-1"), "", tags=tagged()
    )
    both = replace(ACCOUNT, regions=(REGION, "us-east-1"))
    assert verdicts(role) == {role.thing.id: "not proven"}
    assert verdicts(role, account=both) == {role.thing.id: "orphan"}


def test_an_interface_that_came_with_something_of_ours_is_ours_in_anybodys_network_and_goes_with_it() -> None:
    endpoint = thing("VPC endpoint", "vpce", tags=tagged(), brings=("eni",))
    interface = thing("network interface", "eni", links=[("lies in", "VPC", "vpc")])
    found = {each.listed.thing.id: each for each in judge((endpoint, interface), NOBODY, ACCOUNT)}
    assert found["eni"].proof == "it came with the VPC endpoint vpce of vision"
    assert found["eni"].listed.comes_along
    stands = (*standing(), endpoint, interface)
    assert verdicts(*stands, lives=find_lives(stands, ())) == {}


def test_what_is_being_deleted_needs_nobody() -> None:
    key = Listed(thing=Thing(kind="KMS key", id="k", ends_by_itself=True), region=REGION, tags=tagged())
    assert told(key) == {"k": "ending by itself"}


# ------------------------------------------------------------------------------ deleting


def refusal(code: str) -> ClientError:
    """Return the cloud's refusal."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Delete")


class Cloud:
    """Answers each deletion with the next of its answers; a code is a refusal."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, service: str, region: str = "") -> Cloud:
        return self

    def _answer(self, identity: str) -> dict[str, Any]:
        self.asked.append(identity)
        if code := self.answers.pop(0):
            raise refusal(code)
        return {}

    def delete_subnet(self, **words: str) -> dict[str, Any]:
        return self._answer(words["SubnetId"])

    def delete_vpc(self, **words: str) -> dict[str, Any]:
        return self._answer(words["VpcId"])

    def delete_network_interface(self, **words: str) -> dict[str, Any]:
        return self._answer(words["NetworkInterfaceId"])


def run(cloud: Cloud, *things: Thing, comes_along: bool = False, seconds: float = 60) -> dict[str, str]:
    """Delete the things and return why each did not go."""
    targets = [Target(each, cloud, comes_along) for each in things]
    return {
        target.thing.id: why
        for target, why in delete_all(targets, lambda text: None, seconds=seconds, pause=0)
    }


VPC, SUBNET, INTERFACE = (
    Thing(kind=kind, id=identity)
    for kind, identity in (("VPC", "vpc"), ("subnet", "sub"), ("network interface", "eni"))
)


def test_what_is_still_held_is_tried_again_after_what_holds_it() -> None:
    cloud = Cloud("", "DependencyViolation", "DependencyViolation", "", "")
    assert run(cloud, VPC, SUBNET, INTERFACE) == {"eni": "", "sub": "", "vpc": ""}
    assert cloud.asked == ["eni", "sub", "vpc", "sub", "vpc"]


def test_what_is_gone_meanwhile_counts_as_deleted() -> None:
    assert run(Cloud("InvalidVpcID.NotFound"), VPC) == {"vpc": ""}


def test_what_is_refused_for_good_is_not_tried_again_and_keeps_nothing_else_from_going() -> None:
    cloud = Cloud("UnauthorizedOperation", "")
    assert "UnauthorizedOperation" in run(cloud, SUBNET, VPC)["sub"] and cloud.asked == ["sub", "vpc"]


def test_what_goes_with_something_else_is_waited_for_though_it_may_not_be_deleted() -> None:
    cloud = Cloud("UnauthorizedOperation", "InvalidNetworkInterfaceID.NotFound")
    assert run(cloud, INTERFACE, comes_along=True) == {"eni": ""}


def test_a_bucket_with_locked_objects_is_told_at_once_and_what_is_refused_in_part_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def locked(s3: Any, bucket: str) -> int:
        raise ActError(f"2 objects of {bucket} are locked")

    monkeypatch.setattr("fleet.orphans.removals.empty_bucket", locked)
    assert run(Cloud(), Thing(kind="S3 bucket", id="b")) == {"b": "2 objects of b are locked"}
    answers = [{"Unsuccessful": [{"Error": {"Code": "InUse", "Message": "held"}}]}, {"Unsuccessful": []}]
    cloud = Cloud()
    monkeypatch.setattr(cloud, "delete_flow_logs", lambda **words: answers.pop(0), raising=False)
    assert run(cloud, Thing(kind="flow log", id="fl")) == {"fl": ""} and not answers


def test_what_is_held_for_too_long_is_told_with_why() -> None:
    assert "DependencyViolation" in run(Cloud("DependencyViolation"), VPC, seconds=-1)["vpc"]


def test_a_kind_that_nobody_knows_how_to_delete_is_told() -> None:
    assert "does not know" in run(Cloud(), Thing(kind="sqs:", id="q"))["q"]


def test_every_kind_that_one_call_lists_has_a_way_to_delete_it() -> None:
    assert {row.kind for row in (*ROWS, *NETWORK_ROWS)} <= set(REMOVALS)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("schedule", "schedule group"),
        ("Auto Scaling group", "EC2 instance"),
        ("EC2 instance", "EBS volume"),
        ("EFS mount target", "EFS file system"),
        ("machine image", "EBS snapshot"),
        ("NAT gateway", "public address"),
        ("network interface", "security group"),
        ("subnet", "VPC"),
        ("internet gateway", "VPC"),
        ("IAM instance profile", "IAM role"),
        ("IAM role", "IAM policy"),
        ("S3 bucket", "KMS key"),
    ],
)
def test_what_holds_another_is_deleted_before_it(first: str, then: str) -> None:
    assert order_of(first) < order_of(then)
