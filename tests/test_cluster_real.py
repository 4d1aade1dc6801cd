"""What holds on machines of the cloud's kind: daemons with their own users, teams apart from each other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from tests.isolated import ISOLATED, run_isolated
from tests.slurm_cluster import needs_slurm

_NEEDED = ("slurmdbd", "mariadbd", "useradd", "ip")


def obstacle() -> str:
    """Return what keeps this computer from emulating such machines; "" for nothing."""
    if os.getuid() != 0:
        return "only root can give daemons users of their own"
    if missing := [
        name for name in _NEEDED if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    ]:
        return f"{', '.join(missing)}: not installed"
    tried = subprocess.run(
        [*ISOLATED, "ip", "link", "add", "eth0", "type", "veth"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "there are no namespaces to be had"


_OBSTACLE = obstacle()
pytestmark = [pytest.mark.slurm, needs_slurm, pytest.mark.skipif(bool(_OBSTACLE), reason=_OBSTACLE)]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Start head and node once, and return what `tests/real_cluster.py` found on them."""
    answer: dict[str, Any] = json.loads(run_isolated("tests.real_cluster").stdout)
    return answer


def test_every_daemon_runs_as_its_own_user(found: dict[str, Any]) -> None:
    assert found["daemons"] == {
        "munged": "munge",
        "mariadbd": "mysql",
        "slurmdbd": "slurm",
        "slurmctld": "slurm",
        "slurmd": "root",
    }


def test_slurms_user_starts_machines_after_root_has_looked_for_some(found: dict[str, Any]) -> None:
    elastic = found["elastic"]
    assert elastic["status"] == 0, elastic["log"]
    assert elastic["held"].startswith("no capacity for 1 c5.large until ")


def test_a_node_asks_its_head_for_the_configuration(found: dict[str, Any]) -> None:
    assert found["from_the_head"] == ["cgroup.conf", "gres.conf", "slurm.conf"]


def test_a_node_that_stands_is_told_of_one_that_was_added(found: dict[str, Any]) -> None:
    assert found["node_added"] == {"changed": True, "before": False}


def test_a_teams_job_runs_as_the_teams_user_and_group_and_none_as_root(found: dict[str, Any]) -> None:
    assert found["teams_job_said"].split() == ["ff-blue"] * 3
    assert "Invalid account" in found["roots_job"]


def test_a_user_cannot_run_a_job_as_another_or_on_anothers_account(found: dict[str, Any]) -> None:
    assert "only permitted by root" in found["as_another"]
    assert "Invalid account" in found["anothers_account"]
    assert "Invalid account" in found["nobodys_job"]


def test_a_team_neither_sees_nor_touches_the_jobs_of_another(found: dict[str, Any]) -> None:
    others = found["others_jobs"]
    assert (others["seen"], others["recorded"], others["after"]) == ("", "", "RUNNING")
    assert "permission denied" in others["cancelled"].lower()
    assert "permission denied" in others["entered"].lower()


@pytest.mark.parametrize(
    "secret",
    ["key", "accounting_file", "others_folder", "database", "changes_node"],
)
def test_a_team_reaches_nothing_that_would_lead_around_this(found: dict[str, Any], secret: str) -> None:
    words = ("Permission denied", "Access denied", "Invalid user id")
    assert any(word in found[secret] for word in words), found[secret]
