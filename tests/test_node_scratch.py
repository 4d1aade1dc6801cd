"""A run's scratch folder: on the local disks where the node has them, empty at the start, gone at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from node.config import NodeConfig
from node.scratch import make_scratch, remove_scratch


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    """A node whose root is a folder."""
    values: dict[str, Any] = dict.fromkeys(NodeConfig.__dataclass_fields__, "")
    return NodeConfig(**{**values, "root": tmp_path})


def test_without_local_disks_it_lies_beside_the_runs(config: NodeConfig) -> None:
    (config.root / "scratch").mkdir()
    assert make_scratch(config, "r1") == config.root / "var/fleetform/scratch/r1"


def test_local_disks_are_used_where_they_are_mounted(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda path: path == config.root / "scratch")
    assert make_scratch(config, "r1") == config.root / "scratch/r1"


def test_it_is_empty_at_the_start_and_gone_at_the_end(config: NodeConfig) -> None:
    folder = make_scratch(config, "r1")
    (folder / "left over").write_text("x")
    other = make_scratch(config, "r2")
    assert list(make_scratch(config, "r1").iterdir()) == []
    remove_scratch(config, "r1")
    assert not folder.exists() and other.is_dir()
    remove_scratch(config, "r1")
