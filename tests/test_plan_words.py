"""A plan is told in words: what differs, old -> new, nothing secret, and loudly where data is lost."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fleet.attributes import NOTHING, SENSITIVE, UNKNOWN, AttributeChange, attribute_changes, shorten
from fleet.drift import DriftReport
from fleet.findings import Finding
from fleet.node_effects import FleetEffect
from fleet.plan import StackPlan
from fleet.plan_changes import ResourceChange, from_configuration, from_plan
from fleet.priced import Item, Resource
from fleet.setting_changes import SettingChange
from fleet.terraform_events import PlannedChange
from fleet.words import DATA_GOES, describe, sentence
from stacks import naming

GROUP = Resource(
    "aws_autoscaling_group",
    "gpu",
    {
        "min_size": 0,
        "desired_capacity": 2,
        "max_size": 4,
        "tag": [{"key": naming.TAG_FLEET, "value": "gpu"}],
        "launch_template": {"id": "${aws_launch_template.gpu.id}"},
    },
)
TEMPLATE = Resource(
    "aws_launch_template",
    "gpu",
    {"instance_type": "g5.xlarge", "instance_market_options": {"market_type": "spot"}},
)


def changed(**change: Any) -> dict[str, tuple[str, str]]:
    """Return the old and the new text of each attribute that differs."""
    return {each.path: (each.old, each.new) for each in attribute_changes(change)}


def plan_of(kind: str, actions: list[str], before: Any, after: Any, **more: Any) -> dict[str, Any]:
    """Return the JSON of a plan that does this with one resource."""
    change = {"actions": actions, "before": before, "after": after, "after_unknown": {}, **more}
    one = {"address": f"{kind}.it", "mode": "managed", "type": kind, "name": "it", "change": change}
    return {"resource_changes": [one]}


def only(plan: dict[str, Any], *resources: Resource, stack: str = "v-base") -> ResourceChange:
    (found,) = from_plan(stack, plan, resources)
    return found


def test_only_what_differs_is_shown_and_every_way_to_write_nothing_is_one() -> None:
    before: dict[str, Any] = {"size": 100, "tags": None, "list": [], "text": "", "flag": None, "same": 1}
    after = {"size": 200, "tags": {}, "list": None, "text": None, "flag": False, "same": 1}
    assert changed(before=before, after=after) == {"size": ("100", "200")}
    assert changed(before={"nodes": 0}, after={"nodes": 2}) == {"nodes": ("0", "2")}
    assert changed(before={"a": [{"b": True}]}, after={"a": []}) == {"a.0.b": ("true", NOTHING)}


def test_a_document_is_compared_by_what_it_says() -> None:
    before = {"policy": '{"Statement":[{"Action":"s3:*","Effect":"Allow"}]}'}
    after = {"policy": '{ "Statement": [{"Effect": "Allow", "Action": "s3:GetObject"}] }'}
    assert changed(before=before, after=after) == {"policy.Statement.0.Action": ("s3:*", "s3:GetObject")}


@pytest.mark.parametrize("mask", [True, {"value": True}, {"list": [{"key": True}], "value": True}])
def test_what_is_sensitive_is_never_shown(mask: object) -> None:
    before = {"value": "hunter2", "list": [{"key": "hunter3"}]}
    after = {"value": "hunter4", "list": [{"key": "hunter3"}]}
    change = {"before": before, "after": after, "after_sensitive": mask}
    assert changed(**change) == {"value": (SENSITIVE, SENSITIVE)}
    assert "hunter" not in repr(attribute_changes(change))


def test_what_forces_a_new_one_comes_first_and_what_merely_follows_is_left_out() -> None:
    change = {
        "before": {"a": "1", "cidr": "10.0.0.0/16", "version": 3, "arn": "x"},
        "after": {"a": "2", "cidr": "10.1.0.0/16", "arn": "y"},
        "after_unknown": {"version": True},
        "replace_paths": [["cidr"]],
    }
    found = attribute_changes(change)
    assert [str(each) for each in found] == [
        "cidr: 10.0.0.0/16 -> 10.1.0.0/16 (only by a new one)",
        "a: 1 -> 2",
    ]


def test_where_all_that_changes_follows_from_others_that_is_shown() -> None:
    change = {"before": {"subnet_ids": ["s-1"]}, "after": {}, "after_unknown": {"subnet_ids": True}}
    assert changed(**change)["subnet_ids"] == (NOTHING, UNKNOWN)


def test_a_tag_is_told_once() -> None:
    before = {"tags": {"x": "1"}, "tags_all": {"x": "1", "team": "a"}}
    after = {"tags": {"x": "2"}, "tags_all": {"x": "2", "team": "b"}}
    assert changed(before=before, after=after) == {"tags.x": ("1", "2"), "tags_all.team": ("a", "b")}


def test_a_default_tag_that_changes_is_told_by_what_it_becomes() -> None:
    before = {"tags": {"lease": "old"}, "tags_all": {"lease": "old", "team": "a"}}
    after = {"tags": {}, "tags_all": {"lease": "new", "team": "a"}}
    assert changed(before=before, after=after) == {"tags_all.lease": ("old", "new")}


def test_a_long_value_is_cut_and_says_its_length() -> None:
    assert shorten("x" * 64) == "x" * 64
    assert shorten("x" * 1234).endswith("... (1234 characters)") and len(shorten("x" * 1234)) < 70
    assert shorten("two\n  lines") == "two lines" and shorten(None) == NOTHING


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        (GROUP, "a fleet `gpu` of 2 to 4 g5.xlarge nodes, spot"),
        (Resource("aws_vpc", "main", {"cidr_block": "10.0.0.0/16"}), "the network 10.0.0.0/16"),
        (
            Resource("aws_vpc_endpoint", "ssm", {"service_name": "com.aws.x.ssm", "subnet_ids": ["a", "b"]}),
            "the endpoint to ssm in 2 zones",
        ),
        (
            Resource(
                "aws_vpc_security_group_ingress_rule",
                "r",
                {"ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "0.0.0.0/0"},
            ),
            "the rule that lets tcp 22 in from 0.0.0.0/0",
        ),
        (
            Resource("aws_vpc_security_group_egress_rule", "r", {"ip_protocol": "-1", "prefix_list_id": "p"}),
            "the rule that lets everything out to a prefix list",
        ),
        (Resource("aws_s3_bucket", "artifacts", {"bucket": "acme"}), "the bucket `acme`"),
        (Resource("aws_s3_bucket", "artifacts", {"bucket": "${local.x}"}), "the bucket `artifacts`"),
        (
            Resource(
                "aws_fsx_lustre_file_system", "f", {"deployment_type": "SCRATCH_2", "storage_capacity": 1200}
            ),
            "the scratch fast file system (FSx for Lustre) of 1200 GiB",
        ),
        (Resource("aws_quantum_thing", "q", {}), "the quantum thing `q`"),
    ],
)
def test_a_resource_is_described_as_one_would_say_it(resource: Resource, words: str) -> None:
    assert describe(resource, [GROUP, TEMPLATE]) == words


def test_destroying_what_holds_data_says_so_loudly_and_emptying_a_subnet_does_not() -> None:
    for kind in ("aws_s3_bucket", "aws_kms_key", "aws_efs_file_system", "aws_fsx_lustre_file_system"):
        assert DATA_GOES in sentence("delete", Resource(kind, "x", {}))
        assert DATA_GOES in sentence("replace", Resource(kind, "x", {}))
        assert DATA_GOES not in sentence("update", Resource(kind, "x", {}))
    assert DATA_GOES not in sentence("delete", Resource("aws_subnet", "x", {}))


def test_a_replacement_is_one_change_with_its_reason_and_its_room() -> None:
    plan = plan_of(
        "aws_s3_bucket",
        ["delete", "create"],
        {"bucket": "old"},
        {"bucket": "new"},
        replace_paths=[["bucket"]],
    )
    plan["resource_changes"][0]["action_reason"] = "replace_because_cannot_update"
    found = only(plan)
    assert (found.action, found.room, found.because, found.loses_data) == (
        "replace",
        "storage",
        "cannot update",
        True,
    )
    assert found.words == f"replace the bucket `new`: destroyed, and made anew - {DATA_GOES}"
    assert only(plan, stack=naming.ACCOUNT_STACK).room == "audit"


def test_a_fleet_taken_out_is_described_by_what_it_was() -> None:
    group = {**GROUP.values, "launch_template": [{"id": "lt-7"}]}
    template = {**TEMPLATE.values, "id": "lt-7"}
    plan = plan_of("aws_autoscaling_group", ["delete"], group, None)
    plan["resource_changes"] += plan_of("aws_launch_template", ["delete"], template, None)["resource_changes"]
    words = [each.words for each in from_plan("v-fleet", plan, [])]
    assert "destroy a fleet `gpu` of 2 to 4 g5.xlarge nodes, spot" in words


def test_a_plan_that_only_makes_is_told_by_the_configuration_alone_in_the_order_of_the_rooms() -> None:
    planned = [
        PlannedChange(address="aws_autoscaling_group.gpu", action="create"),
        PlannedChange(address="aws_vpc.main", action="create"),
    ]
    found = from_configuration("v-fleet", planned, [GROUP, TEMPLATE])
    assert [each.room for each in found] == ["network", "machines"]
    assert found[1].words == "make a fleet `gpu` of 2 to 4 g5.xlarge nodes, spot"


def test_what_does_not_change_is_not_told() -> None:
    assert from_plan("v-base", plan_of("aws_vpc", ["no-op"], {"a": 1}, {"a": 1}), []) == ()
    taken = plan_of("aws_s3_bucket", ["no-op"], {"bucket": "b"}, {"bucket": "b"}, importing={"id": "b"})
    assert only(taken).words == "take over the bucket `b`"


@pytest.mark.parametrize(
    "value",
    [StackPlan, ResourceChange, AttributeChange, SettingChange, FleetEffect, Item, Finding, DriftReport],
)
def test_every_key_of_the_answers_as_data_is_described(value: type[Any]) -> None:
    page = (Path(__file__).parent.parent / "docs" / "plan.md").read_text(encoding="utf-8")
    told = {
        word.removesuffix("[]")
        for word in re.findall(r"`(?:[a-z_]+\[\]\.|price\.)*([a-z_]+(?:\[\])?)`", page)
    }
    assert {field.name for field in fields(value)} - {"file"} <= told
