"""What the stacks hold: everything tagged, closed to the outside, encrypted, with the least permissions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks import naming
from stacks.outputs import EnvironmentOutputs
from tests.golden_synth import STACKS, resources, stack_json

ROOT = Path(__file__).parent.parent
FIVE_TAGS = {
    naming.TAG_TEAM,
    naming.TAG_ENVIRONMENT,
    naming.TAG_OWNER,
    naming.TAG_STACK,
    naming.TAG_LEASE_ENDS,
}


@pytest.mark.parametrize("stack", STACKS)
def test_everything_carries_the_five_tags(golden_out: Path, stack: str) -> None:
    content = stack_json(golden_out, stack)
    (default,) = content["provider"]["aws"][0]["default_tags"]
    assert all(each["default_tags"] == [default] for each in content["provider"]["aws"])
    assert set(default["tags"]) == FIVE_TAGS
    assert default["tags"][naming.TAG_STACK] == stack
    for kind, each in _elements(content):
        # Where the provider's default tags do not reach, or an element has tags of its own, none is lost.
        if kind == "aws_autoscaling_group":
            own = {tag["key"]: tag["value"] for tag in each["tag"]}
            assert default["tags"].items() <= own.items()
            alone = {tag["key"] for tag in each["tag"] if not tag["propagate_at_launch"]}
            assert alone <= {naming.TAG_MAX_NODES}, "what machines need, they get"
        assert not FIVE_TAGS & set(each.get("tags", {})), kind


def test_instances_and_volumes_carry_the_tags_that_they_are_found_by(golden_out: Path) -> None:
    templates = resources(golden_out, "vision-fleet", "aws_launch_template")
    assert set(templates) == {"head", "gpu", "large"}
    for name, template in templates.items():
        tagged = {each["resource_type"]: each["tags"] for each in template["tag_specifications"]}
        assert set(tagged) == {"instance", "volume", "network-interface"}
        for tags in tagged.values():
            assert set(tags) >= FIVE_TAGS
            assert tags[naming.TAG_ROLE] == ("head" if name == "head" else "node")
            assert tags.get(naming.TAG_FLEET) == (None if name == "head" else name)


def test_machines_are_private_and_give_their_credentials_to_nobody_else(golden_out: Path) -> None:
    for template in resources(golden_out, "vision-fleet", "aws_launch_template").values():
        assert template["metadata_options"]["http_tokens"] == "required"
        assert template["metadata_options"]["http_put_response_hop_limit"] == 1
        (disk,) = template["block_device_mappings"]
        assert (disk["ebs"]["encrypted"], disk["ebs"]["volume_type"]) == ("true", "gp3")
        assert "key_name" not in template
    interface = resources(golden_out, "vision-fleet", "aws_launch_template")["gpu"]["network_interfaces"]
    assert [each["associate_public_ip_address"] for each in interface] == ["false"]
    for subnet in resources(golden_out, "vision-base", "aws_subnet").values():
        assert subnet["map_public_ip_on_launch"] is False


def test_a_type_with_fabric_adapters_gets_one_on_each_card(golden_out: Path) -> None:
    interfaces = resources(golden_out, "vision-fleet", "aws_launch_template")["large"]["network_interfaces"]
    assert [(each["network_card_index"], each["device_index"]) for each in interfaces] == [
        (0, 0),
        (1, 1),
        (2, 1),
        (3, 1),
    ]
    assert {each["interface_type"] for each in interfaces} == {"efa"}


def test_nothing_comes_in_from_outside_and_nothing_goes_out_to_the_internet(golden_out: Path) -> None:
    content = stack_json(golden_out, "vision-base")
    rules = content["resource"]["aws_vpc_security_group_ingress_rule"].values()
    assert all(
        "referenced_security_group_id" in rule or rule["cidr_ipv4"] == "10.40.0.0/16" for rule in rules
    )
    for group in content["resource"]["aws_security_group"].values():
        assert not {"ingress", "egress"} & set(group)
    for rule in content["resource"]["aws_vpc_security_group_egress_rule"].values():
        assert "cidr_ipv4" not in rule
    assert not {kind for kind in content["resource"] if "gateway" in kind or kind == "aws_route"}


def test_buckets_are_versioned_encrypted_private_and_tls_only(golden_out: Path) -> None:
    buckets = {"account": {"state", "ledger", "logs"}, "vision-base": {"artifacts", "datasets"}}
    for stack, names in buckets.items():
        content = stack_json(golden_out, stack)["resource"]
        for kind in ("versioning", "server_side_encryption_configuration", "public_access_block", "policy"):
            assert set(content[f"aws_s3_bucket_{kind}"]) == names
        for policy in content["aws_s3_bucket_policy"].values():
            tls = json.loads(policy["policy"])["Statement"][-1]
            assert (tls["Effect"], tls["Action"]) == ("Deny", "s3:*")
            assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


TAKEN_OVER = {"deny_entry": "deny-entry", "boundary": "boundary", "over_budget": "over-budget"}.items()
"""Policies of the account's stack that the first base may need before it: their addresses and names."""
HERE = ("${data.aws_partition.current.partition}", "${data.aws_caller_identity.current.account_id}")


def test_the_accounts_buckets_are_taken_over_and_never_deleted(golden_out: Path) -> None:
    content = stack_json(golden_out, "account")
    for bucket in content["resource"]["aws_s3_bucket"].values():
        assert bucket["lifecycle"] == {"prevent_destroy": True}
        assert bucket["force_destroy"] is False
    assert content["import"] == [
        {"to": "aws_s3_bucket.state", "id": "golden-org-fleetform-state-eu-central-1"},
        {"to": "aws_s3_bucket.ledger", "id": "golden-org-fleetform-ledger-eu-central-1"},
        {"to": "aws_s3_bucket.logs", "id": "golden-org-fleetform-logs-eu-central-1"},
        *(
            {"to": f"aws_iam_policy.{name}", "id": naming.account_policy_arn("golden-org", policy, *HERE)}
            for name, policy in TAKEN_OVER
        ),
    ]
    (lock,) = content["resource"]["aws_s3_bucket_object_lock_configuration"].values()
    assert lock["rule"]["default_retention"] == {"mode": "GOVERNANCE", "days": 30}


def test_the_head_sends_one_document_to_the_nodes_of_its_own_environment(golden_out: Path) -> None:
    policies = resources(golden_out, "vision-base", "aws_iam_role_policy")
    head = [
        s for s in json.loads(policies["head"]["policy"])["Statement"] if s["Action"] == "ssm:SendCommand"
    ]
    assert head[0]["Resource"].endswith(":document/vision-run-node")
    assert head[1]["Resource"].endswith(":instance/*")
    assert head[1]["Condition"]["StringEquals"] == {
        "ssm:resourceTag/fleetform:environment": "vision",
        "ssm:resourceTag/fleetform:role": "node",
    }
    assert len(head) == 2
    assert "ssm:" not in policies["node"]["policy"]


def test_the_head_may_make_every_call_that_the_node_bundle_makes(golden_out: Path) -> None:
    code = "\n".join(file.read_text() for file in (ROOT / "node").glob("*.py"))
    calls = set(re.findall(r"\b(ec2|ssm)\.(?:get_paginator\(\"(\w+)\"|(?!get_paginator)(\w+)\()", code))
    needed = {f"{service}:{(paged or plain).title().replace('_', '')}" for service, paged, plain in calls}
    assert "ec2:DescribeInstances" in needed
    statements = json.loads(resources(golden_out, "vision-base", "aws_iam_role_policy")["head"]["policy"])[
        "Statement"
    ]
    granted = {
        action
        for each in statements
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }
    assert needed <= granted


def test_the_outputs_parameter_holds_what_every_other_room_reads(golden_out: Path) -> None:
    parameter = resources(golden_out, "vision-fleet", "aws_ssm_parameter")["outputs"]
    assert parameter["name"] == naming.outputs_parameter("vision")
    outputs = EnvironmentOutputs.from_json(parameter["insecure_value"])
    assert outputs.subnet_ids[1] == "${data.terraform_remote_state.base.outputs.subnet_id_1}"
    assert outputs.fleets["large"].gpus_per_node == 8
    assert outputs.artifact_bucket == "${data.terraform_remote_state.base.outputs.artifact_bucket}"


def test_the_fleet_reads_only_what_the_base_gives_out(golden_out: Path) -> None:
    given = set(stack_json(golden_out, "vision-base")["output"])
    text = (golden_out / "stacks/vision-fleet/cdk.tf.json").read_text()
    read = {part.split("}")[0] for part in text.split("${data.terraform_remote_state.base.outputs.")[1:]}
    assert read == given
    manifest = json.loads((golden_out / "manifest.json").read_text())["stacks"]
    assert manifest["vision-fleet"]["dependencies"] == ["vision-base"]


def _elements(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind, named in content["resource"].items():
        for each in named.values():
            yield kind, each
