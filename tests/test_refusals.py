"""What a user gets wrong before `up`: one clear answer, exit code 2, nothing made, and the ledger says so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from fleet import aws
from fleet.bootstrap import ensure_account
from fleet.cloud import Cloud
from fleet.session import open_account
from scripts import cli
from stacks.account import load_account
from tests.spec_files import LONG_LEASES, environment_text, write_folder

pytestmark = pytest.mark.sandbox
REGION = "us-east-1"
FUTURE = "lease_ends = 2035-12-31"


@pytest.fixture
def folder(
    sandbox: Cloud, sandbox_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Stand in a project whose account has its buckets, and return its environments/."""
    organization = f"org-{uuid4().hex[:8]}"
    account = (
        f'organization = "{organization}"\nregion = "{REGION}"\n[limits]\nmax_nodes_per_environment = 4\n'
        + LONG_LEASES
    )
    environments = write_folder(tmp_path, account, vision=environment_text(lease_ends=FUTURE))
    ensure_account(sandbox, load_account(environments))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))
    monkeypatch.setenv("FLEETFORM_CLOUD", "sandbox")
    yield environments


def refusals() -> list[tuple[str, str]]:
    """Return the ledger's refused acts and the first problem of each."""
    return [
        (entry["event"], entry["details"]["problems"][0])
        for entry in open_account().ledger.entries()
        if entry["outcome"] == "refused"
    ]


def count_networks(sandbox: Cloud) -> int:
    """Return how many VPCs there are."""
    return len(aws.client(sandbox, "ec2", REGION).describe_vpcs()["Vpcs"])


MISTAKES = {
    "a wrong key": ({"nodes": "nodez = 2"}, "nodez"),
    "a wrong type": ({"nodes": 'nodes = "two"'}, "fleets.gpu.nodes"),
    "an unknown instance type": ({"instance_type": 'instance_type = "g5.xlrage"'}, "g5.xlarge"),
    "too many nodes": ({"max_nodes": "max_nodes = 60"}, "60 nodes where 4 are allowed"),
    "a lease that has ended": ({"lease_ends": "lease_ends = 2020-01-01"}, "lease"),
    "broken TOML": ({"team": "team = "}, "line"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_up_refuses_a_mistake_makes_nothing_and_records_it(
    mistake: str, folder: Path, sandbox: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    edits, told = MISTAKES[mistake]
    (folder / "vision.toml").write_text(environment_text(**{"lease_ends": FUTURE, **edits}))
    before = count_networks(sandbox)
    assert cli.main(["up", "vision", "--yes"]) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert "Traceback" not in printed
    assert count_networks(sandbox) == before
    assert [event for event, _ in refusals()] == ["environment.up"]


def test_up_refuses_a_network_that_overlaps_another_teams(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = environment_text("speech", "10.20.128.0/17", lease_ends=FUTURE)
    (folder / "speech.toml").write_text(other)
    assert cli.main(["up", "vision", "--yes"]) == 2
    printed = capsys.readouterr().err
    assert "speech" in printed
    assert "overlap" in printed
    assert [event for event, _ in refusals()] == ["environment.up"]


def test_up_without_terraform_makes_nothing_and_records_it(
    folder: Path,
    sandbox: Cloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node = shutil.which("node")
    assert node, "CDKTF needs Node.js"
    (tmp_path / "node").symlink_to(node)
    monkeypatch.setenv("PATH", str(tmp_path))
    before = count_networks(sandbox)
    assert cli.main(["up", "vision", "--yes"]) == 2
    assert "neither terraform nor tofu is on PATH" in capsys.readouterr().err
    assert count_networks(sandbox) == before
    assert refusals() == [("environment.up", "neither terraform nor tofu is on PATH")]


def test_an_audit_option_that_is_wrong_is_a_users_mistake(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["audit", "verify", "--head", "abc"]) == 2
    assert cli.main(["audit", "verify", "--folder", str(tmp_path)]) == 2
    assert cli.main(["audit", "export", "--to", str(folder / "vision.toml")]) == 2
    told = capsys.readouterr().err
    assert [word for word in ("--head", "--folder", "--to") if word in told] == ["--head", "--folder", "--to"]


def test_up_without_a_terminal_asks_for_yes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "vision"]) == 2
    assert "--yes" in capsys.readouterr().err


def test_up_of_an_environment_that_nobody_declared_names_the_nearest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["up", "visoin", "--yes"]) == 2
    assert "vision" in capsys.readouterr().err
