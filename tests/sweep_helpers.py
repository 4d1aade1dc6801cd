"""What the tests of the sweep share: a session of an environment without Terraform, and its tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.project import Project
from fleet.session import Session
from stacks import naming
from tests.run_environment import make_specs


def open_for_sweeping(cloud: Cloud, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return the session of the environment `sweep`, whose repeated looks don't wait."""
    monkeypatch.setattr("fleet.sweep._PAUSES", (0.01, 0.01))
    return Session(Project(root=folder, home=folder / "home"), cloud, *make_specs("sweep", 1))


def tags(environment: str = "sweep", stack: str = "sweep-fleet") -> list[dict[str, str]]:
    """Return the tags of a thing of the environment's stack."""
    return [
        {"Key": naming.TAG_ENVIRONMENT, "Value": environment},
        {"Key": naming.TAG_STACK, "Value": stack},
    ]
