"""Fixtures that several rooms' tests share, and the order in which files begin."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping, Set
from itertools import zip_longest
from pathlib import Path

import pytest

from fleet.cloud import Cloud, choose_cloud
from fleet.project import Project
from sandbox import daemon

# What the tests start by the hundred compiles our code but once, whatever the shell says of that; Terraform,
# which loads a provider of 1,400 kinds of resources at every command, tidies its memory up less often.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ.setdefault("GOGC", "400")

# What is imported and collected stays until the end: Python's own collector need not go through it each time.
gc.disable()

KINDS = ("terraform", "slurm", "torch", "checkov", "sandbox")
"""Markers of what takes long, the longest first."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the files that take long begin first where several workers share them (pytest-xdist)."""
    if not hasattr(config, "workerinput"):
        return
    marks: dict[Path, set[str]] = {}
    for item in items:
        marks.setdefault(item.path, set()).update(mark.name for mark in item.iter_markers())
    places = {file: place for place, file in enumerate(_in_order(marks))}
    items.sort(key=lambda item: places[item.path])


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Take what is there for what stays, and let Python's collector look after what comes from now on."""
    gc.freeze()
    gc.enable()


def _in_order(marks: Mapping[Path, Set[str]]) -> list[Path]:
    """Return the files: those that compute (terraform) and those that wait (slurm) in turn, then others."""
    of_kind: dict[str, list[Path]] = {kind: [] for kind in (*KINDS, "")}
    for file, own in marks.items():
        of_kind[next((kind for kind in KINDS if kind in own), "")].append(file)
    turns = zip_longest(of_kind["terraform"], of_kind["slurm"])
    first = [file for turn in turns for file in turn if file]
    return [*first, *(file for kind in (*KINDS[2:], "") for file in of_kind[kind])]


@pytest.fixture(scope="session")
def golden_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the golden environment is synthesized, once for all tests that read it."""
    from tests.golden_synth import synthesize_golden  # CDKTF comes with it, and few files need that

    folder = tmp_path_factory.mktemp("cdktf.out")
    synthesize_golden(folder)
    return folder


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
