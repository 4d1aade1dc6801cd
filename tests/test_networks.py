"""What the stacks make of a network: the way out that was asked for, no way in, nothing in others' VPCs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks.app import read_declarations, synthesize
from stacks.guardrails import load_checked
from stacks.problems import UserError
from tests.golden_environments import NAMES
from tests.golden_synth import BUNDLE
from tests.network_variants import (
    ABROAD,
    NETWORKS,
    SUBNETS,
    VPC,
    Synthesized,
    synthesize_golden_environments,
    synthesize_networks,
)
from tests.spec_files import environment_text, write_folder

ANYWHERE = "0.0.0.0/0"
OWN = [name for name, lines in NETWORKS.items() if "vpc_id" not in lines]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The variants, synthesized once."""
    return synthesize_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The golden environments, synthesized once."""
    return synthesize_golden_environments(tmp_path_factory.mktemp("golden"))


def exposures(stacks: Synthesized, name: str) -> Iterator[str]:
    """Yield each way in which something of an environment could be reached from outside its VPC."""
    block = stacks.base(name, "aws_vpc").get("main", {}).get("cidr_block", "")
    for address, each in stacks.resources(name):
        kind = address.partition(".")[0]
        if kind == "aws_subnet" and each["map_public_ip_on_launch"] is not False:
            yield f"{address} gives public addresses"
        for interface in each.get("network_interfaces", ()) if kind == "aws_launch_template" else ():
            if interface.get("associate_public_ip_address", "false") != "false":
                yield f"{address} asks for a public address"
        if kind == "aws_vpc_security_group_ingress_rule" and "referenced_security_group_id" not in each:
            private = re.match(r"10\.", str(each.get("cidr_ipv4", "")))
            if block or not private or "cidr_ipv6" in each or "prefix_list_id" in each:
                yield f"{address} lets in more than a group"
        if kind == "aws_security_group" and {"ingress", "egress"} & set(each):
            yield f"{address} has rules of its own"
        if kind == "aws_eip" and ({"instance", "network_interface"} & set(each) or each["domain"] != "vpc"):
            yield f"{address} is not a NAT gateway's"
        if (
            kind == "aws_route"
            and "gateway_id" in each
            and "aws_route_table.public" not in each["route_table_id"]
        ):
            yield f"{address} leads from a private subnet to the internet"
        if kind in (
            "aws_lb",
            "aws_instance",
            "aws_ec2_instance_connect_endpoint",
            "aws_vpc_peering_connection",
        ):
            yield f"{address} has no place in a private network"


@pytest.mark.parametrize("name", [*NETWORKS, ABROAD])
def test_nothing_can_be_reached_from_outside(made: Synthesized, name: str) -> None:
    assert list(exposures(made, name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_golden_environments_can_be_reached_from_outside(
    golden: Synthesized, name: str
) -> None:
    assert list(exposures(golden, name)) == []


TO_THE_INTERNET = {"gateway_id": "igw-1", "route_table_id": "${aws_route_table.private_0.id}"}
PUBLIC = [{"associate_public_ip_address": "true"}]
OPENED: dict[str, tuple[str, dict[str, Any]]] = {
    "gives public addresses": ("aws_subnet", {"map_public_ip_on_launch": True}),
    "asks for a public": ("aws_launch_template", {"network_interfaces": PUBLIC}),
    "lets in more": ("aws_vpc_security_group_ingress_rule", {"cidr_ipv4": ANYWHERE}),
    "is not a NAT": ("aws_eip", {"domain": "vpc", "instance": "i-1"}),
    "from a private": ("aws_route", TO_THE_INTERNET),
    "no place": ("aws_lb", {}),
}


@pytest.mark.parametrize("what", OPENED)
def test_the_look_for_exposure_can_find_one(
    made: Synthesized, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    kind, attributes = OPENED[what]
    monkeypatch.setattr(made, "resources", lambda name: iter([(f"{kind}.opened", attributes)]))
    (found,) = exposures(made, "plain")
    assert what in found


@pytest.mark.parametrize("name", OWN)
def test_the_default_security_group_has_no_rule(made: Synthesized, name: str) -> None:
    (group,) = made.base(name, "aws_default_security_group").values()
    assert group["vpc_id"] == "${aws_vpc.main.id}" and not {"ingress", "egress"} & set(group)


@pytest.mark.parametrize(("name", "zones", "gateways"), [("natone", 3, [0, 0, 0]), ("natall", 2, [0, 1])])
def test_each_zone_leaves_by_the_gateway_that_was_asked_for(
    made: Synthesized, name: str, zones: int, gateways: list[int]
) -> None:
    routes = made.base(name, "aws_route")
    private = {each: body for each, body in routes.items() if each != "public"}
    assert [private[f"private_{index}"]["nat_gateway_id"] for index in range(zones)] == [
        f"${{aws_nat_gateway.public_{gateway}.id}}" for gateway in gateways
    ]
    for index in range(zones):
        route = private[f"private_{index}"]
        assert route["route_table_id"] == f"${{aws_route_table.private_{index}.id}}"
        assert route["destination_cidr_block"] == ANYWHERE and "gateway_id" not in route
    count = len(set(gateways))
    for kind in ("aws_nat_gateway", "aws_eip"):
        assert set(made.base(name, kind)) == {f"public_{index}" for index in range(count)}
    subnets = made.base(name, "aws_subnet")
    for index in range(count):
        public, own = subnets[f"public_{index}"], subnets[f"private_{index}"]
        assert public["availability_zone"] == own["availability_zone"]
        gateway = made.base(name, "aws_nat_gateway")[f"public_{index}"]
        assert gateway["subnet_id"] == f"${{aws_subnet.public_{index}.id}}"
        assert gateway["depends_on"] == ["aws_internet_gateway.main"]


@pytest.mark.parametrize("name", ["plain", "logged", "closed"])
def test_without_nat_there_is_no_route_at_all(made: Synthesized, name: str) -> None:
    for kind in ("aws_route", "aws_internet_gateway", "aws_nat_gateway", "aws_eip"):
        assert made.base(name, kind) == {}
    assert set(made.base(name, "aws_subnet")) == {"private_0", "private_1"}
    assert not any("route" in table for table in made.base(name, "aws_route_table").values())


def test_named_zones_are_taken_and_the_regions_first_ones_are_never_moved(made: Synthesized) -> None:
    named = made.base("natall", "aws_subnet")
    zones = [named[f"private_{index}"]["availability_zone"] for index in range(2)]
    assert zones == ["us-east-1b", "us-east-1d"]
    assert "availability_zones" not in json.dumps(made["natall-base"])
    for subnet in made.base("natone", "aws_subnet").values():
        assert subnet["lifecycle"] == {"ignore_changes": ["availability_zone"]}


TO_ENDPOINTS, TO_S3 = ("group", "endpoints", 443), ("prefix", "s3", 443)
OUT = {("anywhere", "", 443), ("anywhere", "", 80)}
EGRESS = {
    "plain": {TO_ENDPOINTS, TO_S3},
    "natone": {TO_ENDPOINTS, TO_S3, *OUT},
    "guest": {TO_ENDPOINTS, TO_S3},
    "lodger": {("block", "10.26.0.0/16", 443), TO_S3, *OUT},
}


def egress(made: Synthesized, name: str) -> Iterator[tuple[str, str, int]]:
    """Yield where the nodes may connect to beside each other: what kind of target, which, and the port."""
    for rule in made.base(name, "aws_vpc_security_group_egress_rule").values():
        assert rule["security_group_id"] == "${aws_security_group.nodes.id}"
        block, group = rule.get("cidr_ipv4"), rule.get("referenced_security_group_id", "")
        if group == "${aws_security_group.nodes.id}":
            continue
        kind = "group" if group else "prefix" if "prefix_list_id" in rule else "block"
        target = (
            re.sub(r".*\.(\w+)\.id}", r"\1", group) if group else "s3" if kind == "prefix" else str(block)
        )
        assert rule["from_port"] == rule["to_port"] and rule["ip_protocol"] == "tcp"
        yield ("anywhere", "", rule["to_port"]) if block == ANYWHERE else (kind, target, rule["to_port"])


@pytest.mark.parametrize("name", EGRESS)
def test_nodes_may_go_where_their_network_leads_and_nowhere_else(made: Synthesized, name: str) -> None:
    assert set(egress(made, name)) == EGRESS[name]


def test_nodes_of_a_closed_network_reach_endpoints_s3_and_their_own_file_systems(made: Synthesized) -> None:
    rules = made.base("closed", "aws_vpc_security_group_egress_rule").values()
    assert all("cidr_ipv4" not in rule and "cidr_ipv6" not in rule for rule in rules)
    groups = {
        rule["referenced_security_group_id"] for rule in rules if "referenced_security_group_id" in rule
    }
    assert groups == {f"${{aws_security_group.{group}.id}}" for group in ("nodes", "endpoints", "storage")}
    prefixes = [rule["prefix_list_id"] for rule in rules if "prefix_list_id" in rule]
    assert prefixes == ["${aws_vpc_endpoint.s3.prefix_list_id}"]


MADE_IN_ANOTHERS = {
    "aws_security_group",
    "aws_vpc_endpoint",
    "aws_vpc_security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule",
}


@pytest.mark.parametrize(("name", "endpoints"), [("guest", True), ("lodger", False)])
def test_in_an_existing_vpc_only_groups_and_endpoints_are_made(
    made: Synthesized, name: str, endpoints: bool
) -> None:
    for address, body in made.resources(name):
        kind = address.partition(".")[0]
        if "vpc" in json.dumps(body.get("vpc_id", "")) or kind.startswith("aws_vpc"):
            assert kind in MADE_IN_ANOTHERS
        assert not re.match("aws_(subnet|route|nat|internet|eip|default_|flow_log|network_acl)", kind), (
            address
        )
    assert bool(made.base(name, "aws_vpc_endpoint")) is endpoints
    groups = made.base(name, "aws_security_group")
    assert {each["vpc_id"] for each in groups.values()} == {"${data.aws_vpc.existing.id}"}
    assert ("endpoints" in groups) is endpoints


def test_what_an_existing_vpc_must_be_is_told_by_the_plan(made: Synthesized) -> None:
    data = made["lodger-base"]["data"]
    told = {
        kind: [each["error_message"] for each in found["existing_1"]["lifecycle"]["postcondition"]]
        for kind, found in data.items()
        if "existing_1" in found and "lifecycle" in found["existing_1"]
    }
    assert [message.partition(" ")[2].split(".")[0] for message in told["aws_subnet"]] == [
        "is not a subnet of vpc-0123456789abcdef0",
        "gives public addresses to what starts in it",
        "is not in us-east-1c",
        "is in the zone of another of network",
    ]
    assert "has a route to an internet gateway" in told["aws_route_table"][0]
    conditions = [each["condition"] for each in data["aws_vpc"]["existing"]["lifecycle"]["postcondition"]]
    assert conditions == ['${contains(self.cidr_block_associations[*].cidr_block, "10.26.0.0/16")}']
    guest = made["guest-base"]["data"]["aws_vpc"]["existing"]["lifecycle"]["postcondition"]
    assert "enable_dns_hostnames" in guest[1]["condition"], "endpoints of our own need it"


def test_endpoints_in_an_existing_vpc_answer_everybody_in_it_for_they_take_the_services_names(
    made: Synthesized,
) -> None:
    (rule,) = (
        each
        for each in made.base("guest", "aws_vpc_security_group_ingress_rule").values()
        if "cidr_ipv4" in each
    )
    assert (rule["security_group_id"], rule["cidr_ipv4"]) == (
        "${aws_security_group.endpoints.id}",
        "10.25.0.0/16",
    )


def test_flow_logs_are_kept_encrypted_for_their_days_and_only_where_asked_for(made: Synthesized) -> None:
    (group,) = made.base("logged", "aws_cloudwatch_log_group").values()
    assert (group["name"], group["retention_in_days"]) == ("/fleetform/logged/flow-logs", 30)
    assert group["kms_key_id"] == "${aws_kms_key.main.arn}"
    (log,) = made.base("logged", "aws_flow_log").values()
    assert (log["traffic_type"], log["vpc_id"]) == ("REJECT", "${aws_vpc.main.id}")
    assert log["log_destination"] == "${aws_cloudwatch_log_group.flow_logs.arn}"
    for name in NETWORKS:
        assert bool(made.base(name, "aws_flow_log")) is (name == "logged")
    role = json.loads(made.base("logged", "aws_iam_role")["flow_logs"]["assume_role_policy"])["Statement"][0]
    assert role["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert {key for keys in role["Condition"].values() for key in keys} == {
        "aws:SourceAccount",
        "aws:SourceArn",
    }
    policy = json.loads(made.base("logged", "aws_iam_role_policy")["flow_logs"]["policy"])["Statement"]
    assert [each["Resource"] for each in policy if each["Resource"] != "*"] == [
        "arn:${data.aws_partition.current.partition}:logs:us-east-1:"
        "${data.aws_caller_identity.current.account_id}:"
        "log-group:${aws_cloudwatch_log_group.flow_logs.name}:*"
    ]


WRONG = [
    'cidr = "10.20.0.0/24"\nzones = 6\nnat = "per_zone"',
    'cidr = "10.20.0.0/16"\nclosed = true\nnat = "one"\nendpoints = "existing"',
    f'cidr = "10.20.0.0/16"\n{VPC}\n{SUBNETS}\nclosed = true\nzone_names = ["us-east-1a"]',
    f'cidr = "10.20.0.0/16"\n{VPC}',
    f'cidr = "10.20.0.0/16"\n{SUBNETS}\nzone_names = ["us-east-1a", "us-east-1b", "us-east-1c"]',
]


def test_a_network_that_the_rules_refuse_is_synthesized_unchecked_so_that_it_can_be_torn_down(
    tmp_path: Path,
) -> None:
    texts = {
        f"wrong{index}": environment_text(f"wrong{index}", cidr=each) for index, each in enumerate(WRONG)
    }
    folder = write_folder(tmp_path, **texts)
    for name in texts:
        with pytest.raises(UserError, match=r"network\."):
            load_checked(folder, name)
    synthesize(*read_declarations(folder, [*texts], unchecked=True), BUNDLE, tmp_path / "out")
    assert all((tmp_path / f"out/stacks/{name}-base/cdk.tf.json").is_file() for name in texts)


def test_the_environments_key_serves_cloudwatch_logs_for_its_own_log_groups_alone(made: Synthesized) -> None:
    (key,) = made.base("logged", "aws_kms_key").values()
    (logs,) = (each for each in json.loads(key["policy"])["Statement"] if each["Sid"] == "Logs")
    assert logs["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    (arn,) = (value for values in logs["Condition"].values() for value in values.values())
    assert arn.endswith(":log-group:/fleetform/logged/*")
