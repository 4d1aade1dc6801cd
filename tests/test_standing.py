"""What cannot change while an environment stands is refused, and by name."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

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
STANDING = {
    "aws_vpc": [{"arn": "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1", "cidr_block": "10.20.0.0/16"}],
    "aws_subnet": [{"id": "subnet-1"}, {"id": "subnet-2"}],
}


def open_edited(sandbox: Cloud, root: Path, text: str, *, stands: bool = True) -> Session:
    """Return the session of an environment that stands as GOOD says, and whose file now says `text`."""
    folder = write_folder(root, ACCOUNT.replace("acme-ai", f"o{uuid.uuid4().hex[:10]}"), vision=text)
    account = load_account(folder)
    ensure_account(sandbox, account)
    resources = [
        {"mode": "managed", "type": kind, "name": "x", "instances": [{"attributes": each} for each in found]}
        for kind, found in STANDING.items()
    ]
    if stands:
        aws.client(sandbox, "s3", account.region).put_object(
            Bucket=naming.state_bucket(account.organization, account.region),
            Key=naming.state_key("vision-base"),
            Body=json.dumps({"version": 4, "resources": resources}).encode(),
        )
    return Session(Project(root, root / "home"), sandbox, account, load_environment(folder / "vision.toml"))


def test_what_stands_as_its_file_says_may_go_on(sandbox: Cloud, tmp_path: Path) -> None:
    session = open_edited(sandbox, tmp_path, environment_text())
    require_same_region(session)
    require_same_network(session)


def test_what_does_not_stand_may_be_anything(sandbox: Cloud, tmp_path: Path) -> None:
    session = open_edited(sandbox, tmp_path, environment_text(region='region = "eu-west-1"'), stands=False)
    require_same_region(session)
    require_same_network(session)


def test_another_region_is_refused(sandbox: Cloud, tmp_path: Path) -> None:
    session = open_edited(sandbox, tmp_path, environment_text(region='region = "eu-west-1"'))
    with pytest.raises(UserError, match="region: vision stands with us-east-1"):
        require_same_region(session)


def test_another_block_and_other_zones_are_refused_at_once(sandbox: Cloud, tmp_path: Path) -> None:
    text = environment_text(cidr='cidr = "10.30.0.0/16"\nzones = 3')
    with pytest.raises(UserError) as caught:
        require_same_network(open_edited(sandbox, tmp_path, text))
    assert [problem.path for problem in caught.value.problems] == ["network.cidr", "network.zones"]
