"""On machines of the cloud's kind teams do not reach the metadata service, and runs get a role."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from tests.isolated import ISOLATED, run_isolated

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def obstacle() -> str:
    """Return what keeps this computer from having such a machine; "" for nothing."""
    if os.getuid() != 0:
        return "only root can load rules and be all users"
    if missing := [name for name in ("nft", "ip", "useradd") if not shutil.which(name, path=PATH)]:
        return f"{', '.join(missing)}: not installed"
    tried = subprocess.run(
        [*ISOLATED, "nft", "add", "table", "inet", "probe"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "there are no namespaces to be had, or no nftables in the kernel"


_OBSTACLE = obstacle()
pytestmark = pytest.mark.skipif(bool(_OBSTACLE), reason=_OBSTACLE)
ALL = ("IPv4", "IPv6", "MPTCP")
ROLE = "arn:aws:sts::123456789012:assumed-role"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Return what `tests/real_metadata.py` found, on one machine for all tests."""
    done = run_isolated("tests.real_metadata")
    answer: dict[str, Any] = json.loads(done.stdout)
    return {**answer, "said": done.stdout + done.stderr}


def test_without_the_rules_every_user_reaches_the_service(found: dict[str, Any]) -> None:
    assert found["before"] == {"answers": True, **dict.fromkeys(ALL, "connected")}


def test_on_a_node_root_alone_reaches_it_by_whatever_protocol(found: dict[str, Any]) -> None:
    assert found["node"].pop("root") == dict.fromkeys(ALL, "connected")
    assert found["node"] == dict.fromkeys(("slurm", "ff-blue", "nobody"), dict.fromkeys(ALL, "refused"))


def test_on_the_head_slurms_user_reaches_it_too_who_starts_machines(found: dict[str, Any]) -> None:
    reached = {"root": "connected", "slurm": "connected", "ff-blue": "refused", "nobody": "refused"}
    assert found["head"] == reached


def test_the_prologs_own_look_tells_open_from_closed(found: dict[str, Any]) -> None:
    assert (found["before"]["answers"], found["answers"]) == (True, False)


def test_a_run_is_its_teams_role_and_nobody_without_what_it_borrows(found: dict[str, Any]) -> None:
    roles = found["roles"]
    assert roles["blue"] == f"{ROLE}/real-run-us-east-1/20261122-120000-abcde"
    assert roles["green"] == f"{ROLE}/real-run-green-us-east-1/green-20261122-120000-xyzab"
    assert (roles["root"], roles["without"]) == ("the node", "nobody")
    assert roles["kept"] == roles["green"]


@pytest.mark.parametrize(
    ("attempt", "end"),
    [
        ("others token", "PermissionError"),
        ("others job", "CredentialRetrievalError"),
        ("others run", "CredentialRetrievalError"),
        ("ended", "CredentialRetrievalError"),
        ("in its place", "PermissionError"),
        ("role of the node", None),
    ],
)
def test_a_team_gets_no_other_role_by_any_attempt(
    found: dict[str, Any], attempt: str, end: str | None
) -> None:
    assert found["roles"][attempt] == end


def test_a_run_still_hears_that_its_machine_is_taken_back(found: dict[str, Any]) -> None:
    assert json.loads(found["roles"]["notice"])["action"] == "terminate"


def test_no_secret_is_in_what_the_service_says(found: dict[str, Any]) -> None:
    assert "gets no role" in found["said"]
    assert not any(word in found["said"] for word in ("SecretAccessKey", "SessionToken", "ASIA"))
