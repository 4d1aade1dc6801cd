"""Fixtures that several rooms' tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cloud import Cloud, choose_cloud
from fleet.project import Project
from sandbox import daemon


@pytest.fixture(scope="session")
def sandbox_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder (FLEETFORM_HOME) of an embedded cloud that runs for the whole test session."""
    home = tmp_path_factory.mktemp("fleetform-home")
    daemon.start(home)
    yield home
    daemon.stop(home)


@pytest.fixture(scope="session")
def sandbox(sandbox_home: Path) -> Cloud:
    """The embedded cloud, shared by the whole session: use names of your own, clear the faults you set."""
    return choose_cloud(Project(root=sandbox_home.parent, home=sandbox_home), "sandbox")
