"""What may go and what stays: with data, with what holds it, with what came with it, with what it proves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fleet.listings.listed import Listed
from fleet.orphans.choice import Choice, Wanted, choose
from fleet.orphans.judge import judge
from fleet.orphans.lives import Lives, find_lives
from fleet.orphans.marks import MARKS, tags_for
from fleet.orphans.proofs import Account, place_of
from stacks import naming
from tests.orphans_listed import ACCOUNT, NOBODY, standing, tagged, thing

MACHINE = thing("EC2 instance", "i", tags=tagged(), stack="vision-fleet")


def disk(identity: str = "vol", **more: Any) -> Listed:
    """Return a disk without a tag that is attached to the machine."""
    hangs = [("is attached to", "EC2 instance", "i")]
    return thing("EBS volume", identity, links=hangs, holds_data=True, **more)


def chosen(*listed: Listed, lives: Lives = NOBODY, account: Account = ACCOUNT, **wanted: Any) -> Choice:
    """Return what would go of these things."""
    return choose(judge(listed, lives, account), Wanted(**wanted), account)


def goes(choice: Choice) -> list[str]:
    """Return the ids of what goes."""
    return [each.listed.thing.id for each in choice.goes]


def stays(choice: Choice) -> dict[str, str]:
    """Return why what stays untagged does."""
    return {each.found.listed.thing.id: each.why for each in choice.stays}


def marks(choice: Choice) -> dict[str, set[str]]:
    """Return what gets the tag, each with what stays too where that is refused."""
    return {each.found.listed.thing.id: {place[0].id for place in each.needs} for each in choice.marks}


def test_what_a_file_says_to_retain_stays_with_what_it_lies_in_even_with_data() -> None:
    store = thing("FSx file system", "fs", tags=tagged(), links=[("lies in", "VPC", "vpc")], holds_data=True)
    key = thing("KMS key", "k", tags=tagged("speech"), holds_data=True)
    found = judge((store, thing("VPC", "vpc", tags=tagged()), key), NOBODY, ACCOUNT)
    account = replace(ACCOUNT, retains=frozenset({("vision", "FSx file system")}))
    choice = choose(found, Wanted(data=True), account)
    assert [each.listed.thing.id for each in choice.goes] == ["k"]
    assert {each.found.listed.thing.id: each.why for each in choice.stays} == {
        "fs": "environments/vision.toml says to retain it (on_teardown)",
        "vpc": "the FSx file system fs lies in it and stays",
    }


def test_what_is_only_proven_by_something_that_goes_gets_the_tag_and_nothing_else_does() -> None:
    tagged_disk = thing("EBS volume", "tagged", tags=tagged(), holds_data=True)
    snapshot = thing("EBS snapshot", "snap", links=[("is of", "EBS volume", "vol")], holds_data=True)
    named = thing("log group", "/fleetform/vision/flow-logs", holds_data=True)
    choice = chosen(MACHINE, disk(), snapshot, tagged_disk, named)
    assert goes(choice) == ["i"] and marks(choice) == {"vol": {"i"}, "snap": {"i"}}
    assert set(stays(choice)) == {"tagged", "/fleetform/vision/flow-logs"}
    assert marks(chosen(MACHINE, disk(), snapshot, data=True)) == {}


def test_another_tools_and_what_is_not_proven_never_get_the_tag() -> None:
    theirs = disk("theirs", tags={"aws:backup:source-resource": "x"})
    named = thing("EBS volume", "named", name=naming.state_volume("vision"), holds_data=True)
    found = {each.listed.thing.id: each.verdict for each in judge([MACHINE, theirs, named], NOBODY, ACCOUNT)}
    assert found == {"i": "orphan", "theirs": "another's", "named": "not proven"}
    choice = chosen(MACHINE, theirs, named)
    assert goes(choice) == ["i"] and not choice.marks


def test_the_tags_say_the_stack_too_by_which_it_is_left_over_while_the_base_stands() -> None:
    alive = standing(fleet=False)
    choice = chosen(MACHINE, disk(), lives=find_lives(alive, ()))
    (mark,) = choice.marks
    assert tags_for(mark.found) == {**tagged(), naming.TAG_STACK: "vision-fleet"}
    left = thing("EBS volume", "vol", tags=tags_for(mark.found), stack="vision-fleet", holds_data=True)
    (found,) = judge([*alive, left], find_lives(alive, ()), ACCOUNT)
    assert found.verdict == "orphan"


def test_a_bucket_that_is_known_by_an_environments_name_gets_the_tag_before_nothing_tells_that_name() -> None:
    bucket = thing("S3 bucket", naming.dataset_bucket("acme", "vision", "eu-west-1"), "", holds_data=True)
    key = thing("KMS key", "k", tags=tagged(), holds_data=True)
    assert marks(chosen(MACHINE, bucket)) == {bucket.thing.id: {"i"}}
    assert marks(chosen(MACHINE, bucket, key)) == {}, "the key stays and tells it"
    known = replace(ACCOUNT, environments=frozenset({"vision"}))
    assert marks(chosen(MACHINE, bucket, account=known)) == {}, "a file tells it"


def test_what_cannot_be_tagged_keeps_its_proof_and_what_would_end_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "fleet.orphans.choice.MARKS", {kind: how for kind, how in MARKS.items() if kind != "EBS volume"}
    )
    group = thing("Auto Scaling group", "asg", tags=tagged())
    held = [("was started by", "Auto Scaling group", "asg"), ("lies in", "subnet", "net")]
    machine = thing("EC2 instance", "i", tags=tagged(), links=held)
    root = disk("root", comes_along=True)
    interface = thing(
        "network interface", "eni", links=[("is attached to", "EC2 instance", "i")], comes_along=True
    )
    subnet, other = thing("subnet", "net", tags=tagged()), thing("EC2 instance", "other", tags=tagged())
    choice = chosen(group, machine, disk(), root, interface, subnet, other)
    assert goes(choice) == ["other"] and not choice.marks
    why = stays(choice)
    assert why["i"] == "it alone proves whose the EBS volume vol is, which fleetform cannot tag"
    assert why["root"] == why["eni"] == "it goes with the EC2 instance i, which stays"
    assert why["asg"] and why["net"] and "--data" in why["vol"]


def test_where_the_tag_is_refused_all_stays_that_the_proof_needs() -> None:
    group = thing("Auto Scaling group", "asg", tags=tagged())
    machine = thing("EC2 instance", "i", links=[("was started by", "Auto Scaling group", "asg")])
    snapshot = thing("EBS snapshot", "snap", links=[("is of", "EBS volume", "vol")], holds_data=True)
    root = disk("root", comes_along=True)
    other = thing("EC2 instance", "other", tags=tagged())
    needed = {"i", "asg", "root"}
    assert marks(chosen(group, machine, disk(), snapshot, root, other)) == {"vol": needed, "snap": needed}


def test_the_parts_of_a_file_system_that_stays_stay_with_it_for_they_tell_its_network() -> None:
    inside = [("lies in", "VPC", "vpc"), ("lies in", "subnet", "net")]
    system = thing("EFS file system", "fs", links=[("is mounted in", "VPC", "vpc")], holds_data=True)
    target = thing(
        "EFS mount target", "fsmt", links=[("is of", "EFS file system", "fs"), *inside], comes_along=True,
        brings=("eni",),
    )  # fmt: skip
    interface = thing("network interface", "eni", links=inside, comes_along=True)
    network = (thing("VPC", "vpc", tags=tagged()), thing("subnet", "net", links=[("lies in", "VPC", "vpc")]))
    choice = chosen(system, target, interface, *network)
    assert goes(choice) == [] and not choice.marks
    assert stays(choice)["fsmt"] == "it goes with the EFS file system fs, which stays"
    assert stays(choice)["eni"] == "it goes with the EFS mount target fsmt, which stays"
    assert set(goes(chosen(system, target, interface, *network, data=True))) == {
        "fs", "fsmt", "eni", "vpc", "net",
    }  # fmt: skip


def test_a_network_that_a_route_table_alone_proves_gets_the_tag_with_all_that_lies_in_it() -> None:
    inside = [("lies in", "VPC", "vpc")]
    store = thing("FSx file system", "fs", links=inside, holds_data=True)
    table = thing("route table", "rtb", links=inside, tags=tagged())
    choice = chosen(thing("VPC", "vpc"), store, table)
    assert goes(choice) == ["rtb"] and marks(choice) == {"vpc": {"rtb"}, "fs": {"rtb"}}


def test_what_nobody_was_shown_does_not_go() -> None:
    late = thing("EC2 instance", "late", tags=tagged())
    choice = chosen(MACHINE, late, shown=frozenset({place_of(MACHINE)}))
    assert goes(choice) == ["i"]
    assert stays(choice) == {"late": "it was not there when you were asked: look again"}
