"""A closed network: machines reach what they need through endpoints, and there nothing of anybody else's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks.endpoint_services import IDLE_FLEETS
from tests.network_variants import ABROAD, NETWORKS, Synthesized, synthesize_networks

ROOT = Path(__file__).parent.parent
ACCOUNT = "${data.aws_caller_identity.current.account_id}"
WITH_ENDPOINTS = [*(name for name in NETWORKS if name not in ("lodger", "natone", "natall")), ABROAD]
"""Environments that have no other way to AWS's services than endpoints of their own."""
MANAGED_CORE = {"ssm", "ssmmessages", "ec2messages"}
"""Services of the policy AmazonSSMManagedInstanceCore, which both roles carry."""
ELSEWHERE = {
    "s3": "the gateway endpoint",
    "ec2messages": "the agent does without since 3.3.40",
    "elasticfilesystem": "mounting speaks to the mount target in the subnet",
    "iam": "FSx calls it in the head's name, from its own network",
}
"""Services that roles allow and that need no interface endpoint, with why."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The variants, synthesized once."""
    return synthesize_networks(tmp_path_factory.mktemp("networks"))


def as_list(value: Any) -> list[Any]:
    """Return a value of a policy, which may stand alone, as a list."""
    return value if isinstance(value, list) else [value]


def granted(made: Synthesized, name: str) -> Iterator[dict[str, Any]]:
    """Yield the statements of the machines' roles."""
    for role, body in made.base(name, "aws_iam_role_policy").items():
        if role.startswith(("head", "node")):
            yield from json.loads(body["policy"])["Statement"]


def called(made: Synthesized, name: str) -> set[str]:
    """Return the services that the machines' roles let them call themselves."""
    services = set(MANAGED_CORE)
    for each in granted(made, name):
        condition = json.dumps(each.get("Condition", {}))
        if "kms:ViaService" not in condition:  # else S3, or another service, asks the key
            services |= {action.partition(":")[0] for action in as_list(each["Action"])}
    return services


@pytest.mark.parametrize("name", WITH_ENDPOINTS)
def test_there_is_an_endpoint_for_each_service_that_a_role_allows_and_for_no_other(
    made: Synthesized, name: str
) -> None:
    needed = called(made, name) - set(ELSEWHERE)
    assert set(made.base(name, "aws_vpc_endpoint")) == needed | {"s3"}


def test_the_services_that_the_node_bundle_calls_are_among_them(made: Synthesized) -> None:
    code = "\n".join(file.read_text() for file in (ROOT / "node").glob("*.py"))
    calls = set(re.findall(r"\bclient\(\s*\"(\w+)\"", code))
    assert calls >= {"s3", "ec2", "ssm"}
    assert calls - set(IDLE_FLEETS) <= set(made.base("closed", "aws_vpc_endpoint"))


def test_every_endpoint_of_a_closed_network_serves_this_account_alone(made: Synthesized) -> None:
    for name in ("closed", ABROAD):
        for endpoint in made.base(name, "aws_vpc_endpoint").values():
            for each in json.loads(endpoint["policy"])["Statement"]:
                assert each["Condition"] == {
                    "StringEquals": {"aws:PrincipalAccount": ACCOUNT},
                    "StringEqualsIfExists": {"aws:ResourceAccount": ACCOUNT},
                }


def test_s3_of_a_closed_network_is_its_own_buckets_and_the_transcripts_folder(made: Synthesized) -> None:
    def buckets(name: str) -> dict[str, list[str]]:
        policy = json.loads(made.base(name, "aws_vpc_endpoint")["s3"]["policy"])
        return {
            each["Sid"]: [resource.rpartition(":::")[2] for resource in each["Resource"]]
            for each in policy["Statement"]
        }

    assert buckets("closed") == {
        "OwnBuckets": [
            "acme-ai-closed-artifacts-us-east-1",
            "acme-ai-closed-datasets-us-east-1",
            "acme-ai-closed-artifacts-us-east-1/*",
            "acme-ai-closed-datasets-us-east-1/*",
        ],
        "Transcripts": [
            "acme-ai-fleetform-ledger-us-east-1",
            "acme-ai-fleetform-ledger-us-east-1/sessions/*",
        ],
    }
    assert set(buckets(ABROAD)) == {"OwnBuckets"}, "sessions take a document of the account's region"


def test_a_closed_network_lets_through_every_bucket_that_the_roles_allow(made: Synthesized) -> None:
    own = made.base("closed", "aws_s3_bucket")
    allowed = made.base("closed", "aws_vpc_endpoint")["s3"]["policy"]
    seen = set()
    for each in granted(made, "closed"):
        for resource in as_list(each["Resource"]):
            bucket = re.match(r"\$\{aws_s3_bucket\.(\w+)\.arn\}", resource)
            name = own[bucket[1]]["bucket"] if bucket else resource.partition(":::")[2].partition("/")[0]
            if bucket or ":s3:" in resource:
                assert f':::{name}"' in allowed, resource
                seen.add(name)
    assert len(seen) >= 2


def test_an_endpoint_of_a_network_that_is_not_closed_says_that_it_is_open(made: Synthesized) -> None:
    # An endpoint that no longer says its policy would keep the one it had.
    for name in ("plain", "guest", "natone"):
        for endpoint in made.base(name, "aws_vpc_endpoint").values():
            (only,) = json.loads(endpoint["policy"])["Statement"]
            assert (only["Effect"], only["Action"], "Condition" in only) == ("Allow", "*", False)


FETCHES = re.compile(
    r"\b(curl|wget|apt(-get)?|yum|dnf|zypper|pip3?|conda|git|npm|docker|podman|snap install)\b"
)
HOSTS = re.compile(r"\bhttps?://([^/\s\"']+)|\b((?:[a-z0-9-]+\.)+(?:com|org|net|io|ai|dev))\b")


@pytest.mark.parametrize("name", [*NETWORKS, ABROAD])
def test_a_machine_installs_from_the_artifact_bucket_and_from_nowhere_else(
    made: Synthesized, name: str
) -> None:
    for script in made.user_data(name).values():
        code = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("#"))
        assert not FETCHES.search(code)
        hosts = {host for pair in HOSTS.findall(code) for host in pair if host}
        assert all(host.endswith(".amazonaws.com") or host.startswith("169.254.") for host in hosts), hosts
        assert code.count("aws s3 cp") == 1


@pytest.mark.parametrize(
    "line", ["curl -O https://example.com/x", "pip install torch", "apt-get install nfs-common", "x=pypi.org"]
)
def test_the_look_for_downloads_can_find_one(line: str) -> None:
    assert FETCHES.search(line) or HOSTS.search(line)
