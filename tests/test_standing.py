"""What cannot change while an environment stands is refused, and by name."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from fleet import aws
from fleet.bootstrap import ensure_account
from fleet.cloud import Cloud
from fleet.project import Project
from fleet.session import Session
from fleet.standing import require_same_network, require_same_region
from stacks import naming
from stacks.account import load_account
from stacks.environment import load_environment
from stacks.problems import UserError
from tests.spec_files import ACCOUNT, environment_text, write_folder

pytestmark = pytest.mark.sandbox
MAIN = {"id": "vpc-1", "arn": "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1", "cidr_block": "10.20.0.0/16"}
OWN: dict[str, dict[str, Any]] = {
    "aws_vpc.main": MAIN,
    "aws_subnet.private_0": {"id": "subnet-1", "availability_zone": "us-east-1a"},
    "aws_subnet.private_1": {"id": "subnet-2", "availability_zone": "us-east-1b"},
    "aws_subnet.public_0": {"id": "subnet-3", "availability_zone": "us-east-1a"},
}
"""A network of the environment's own, with a NAT gateway."""
COUNTED: dict[str, dict[str, Any]] = {
    **OWN,
    "data.aws_availability_zones.available": {"names": ["us-east-1a", "us-east-1b"]},
}
"""The same, as it is built where the file does not name the zones."""
VPC, FIRST, SECOND = "vpc-0123456789abcdef0", "subnet-0123456789abcdef0", "subnet-0123456789abcdef1"
FOUND: dict[str, dict[str, Any]] = {
    "data.aws_vpc.existing": {**MAIN, "id": VPC},
    "data.aws_subnet.existing_1": {"id": SECOND, "availability_zone": "us-east-1b"},
    "data.aws_subnet.existing_0": {"id": FIRST, "availability_zone": "us-east-1a"},
}
"""An existing VPC."""
IN_FOUND = f'cidr = "10.20.0.0/16"\nvpc_id = "{VPC}"\nsubnet_ids = ["{FIRST}", "{SECOND}"]'


def resource(address: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """Return one resource as a state holds it."""
    kind, name = address.removeprefix("data.").split(".")
    mode = "data" if address.startswith("data.") else "managed"
    return {"mode": mode, "type": kind, "name": name, "instances": [{"attributes": attributes}]}


def open_edited(
    sandbox: Cloud, root: Path, text: str, stands: dict[str, dict[str, Any]] | None = COUNTED
) -> Session:
    """Return the session of an environment that stands so, and whose file now says `text`."""
    folder = write_folder(root, ACCOUNT.replace("acme-ai", f"o{uuid.uuid4().hex[:10]}"), vision=text)
    account = load_account(folder)
    ensure_account(sandbox, account)
    if stands is not None:
        resources = [resource(address, attributes) for address, attributes in stands.items()]
        aws.client(sandbox, "s3", account.region).put_object(
            Bucket=naming.state_bucket(account.organization, account.region),
            Key=naming.state_key("vision-base"),
            Body=json.dumps({"version": 4, "resources": resources}).encode(),
        )
    return Session(Project(root, root / "home"), sandbox, account, load_environment(folder / "vision.toml"))


def with_network(lines: str) -> str:
    """Return a good file whose network has these lines."""
    return environment_text(cidr=lines)


ALLOWED = [
    (COUNTED, 'cidr = "10.20.0.0/16"'),
    (COUNTED, 'cidr = "10.20.0.0/16"\nnat = "per_zone"\nflow_logs = "all"'),
    (COUNTED, 'cidr = "10.20.0.0/16"\nclosed = true'),
    (COUNTED, 'cidr = "10.20.0.0/16"\nzone_names = ["us-east-1a", "us-east-1b"]'),
    (OWN, 'cidr = "10.20.0.0/16"\nzone_names = ["us-east-1a", "us-east-1b"]'),
    (FOUND, IN_FOUND),
    (FOUND, f'{IN_FOUND}\nendpoints = "existing"\nnat = "one"'),
]


@pytest.mark.parametrize(("stands", "lines"), ALLOWED)
def test_what_stands_as_its_file_says_may_go_on(
    sandbox: Cloud, tmp_path: Path, stands: dict[str, dict[str, Any]], lines: str
) -> None:
    session = open_edited(sandbox, tmp_path, with_network(lines), stands)
    require_same_region(session)
    require_same_network(session)


@pytest.mark.parametrize("stands", [None, {}])
def test_what_does_not_stand_may_be_anything(
    sandbox: Cloud, tmp_path: Path, stands: dict[str, dict[str, Any]] | None
) -> None:
    session = open_edited(sandbox, tmp_path, environment_text(region='region = "eu-west-1"'), stands)
    require_same_region(session)
    require_same_network(session)


@pytest.mark.parametrize("stands", [COUNTED, FOUND])
def test_another_region_is_refused(sandbox: Cloud, tmp_path: Path, stands: dict[str, dict[str, Any]]) -> None:
    session = open_edited(sandbox, tmp_path, environment_text(region='region = "eu-west-1"'), stands)
    with pytest.raises(UserError, match="region: vision stands with us-east-1"):
        require_same_region(session)


BACKWARDS = 'cidr = "10.20.0.0/16"\nzone_names = ["us-east-1b", "us-east-1a"]'
REFUSED = [
    (COUNTED, 'cidr = "10.30.0.0/16"\nzones = 3', ["network.cidr", "network.zones"], "stands with 2,"),
    (COUNTED, BACKWARDS, ["network.zone_names"], "stands with us-east-1a, us-east-1b,"),
    (OWN, 'cidr = "10.20.0.0/16"', ["network.zone_names"], "stands with us-east-1a, us-east-1b,"),
    (COUNTED, IN_FOUND, ["network.vpc_id"], "stands with a VPC of its own,"),
    (FOUND, 'cidr = "10.20.0.0/16"', ["network.vpc_id"], f"stands with {VPC},"),
    (FOUND, IN_FOUND.replace("f0\",", "f2\","), ["network.subnet_ids"], f"stands with {FIRST}, {SECOND},"),
    (FOUND, IN_FOUND.replace(VPC, "vpc-00000000"), ["network.vpc_id"], f"stands with {VPC},"),
]  # fmt: skip


@pytest.mark.parametrize(("stands", "lines", "paths", "last"), REFUSED)
def test_another_network_is_refused_with_every_difference(
    sandbox: Cloud, tmp_path: Path, stands: dict[str, dict[str, Any]], lines: str, paths: list[str], last: str
) -> None:
    with pytest.raises(UserError) as caught:
        require_same_network(open_edited(sandbox, tmp_path, with_network(lines), stands))
    assert [problem.path for problem in caught.value.problems] == paths
    assert last in caught.value.problems[-1].what
