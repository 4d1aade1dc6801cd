"""A machine's file systems: mounted once, and no folder where one could not be mounted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.attach import attach
from node.config import NodeConfig
from node.mounts import RUN_MOUNTS, Mount, MountError, is_mounted, lustre_mount, mount_all, mount_one, unmount
from sandbox.file_systems import FOLDER_VARIABLE, PROGRAMS

EFS = {"kind": "efs", "at": "/shared", "file_system": "fs-1", "access_point": "fsap-1"}
LUSTRE = {"kind": "lustre", "at": "/fsx", "dns_name": "fs-2.fsx.amazonaws.com", "mount_name": "abc"}


class Store:
    """The artifact bucket, as far as it is read here."""

    name = "artifacts"

    def __init__(self, **objects: bytes) -> None:
        self.objects = {key.replace("__", "/"): body for key, body in objects.items()}

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def sizes(self, prefix: str) -> dict[str, int]:
        return {key: len(body) for key, body in self.objects.items() if key.startswith(prefix)}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeConfig:
    """A machine whose `mount` links to folders below `systems/`."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(PROGRAMS), os.environ["PATH"]]))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "systems"))
    root = tmp_path / "root"
    root.mkdir()
    return NodeConfig(
        environment="lab",
        region="us-east-1",
        artifact_bucket="artifacts",
        dataset_bucket="datasets",
        role="node",
        fleet="gpu",
        node_document="lab-run-node",
        storage_key="storage",
        python="python3",
        root=root,
    )


def have(config: NodeConfig, *systems: str) -> None:
    """Let there be these file systems."""
    for each in systems:
        (config.root.parent / "systems" / each).mkdir(parents=True, exist_ok=True)


def storage(*mounts: dict[str, str]) -> Store:
    import json

    return Store(storage=json.dumps({"mounts": mounts}).encode())


def test_a_shared_file_system_is_mounted_with_tls_as_the_machines_role_through_its_access_point() -> None:
    mount = Mount.read(EFS)
    assert (mount.source, mount.options) == ("fs-1:/", "tls,iam,accesspoint=fsap-1")


def test_a_fast_file_system_is_mounted_by_its_address_and_name() -> None:
    mount = Mount.read(LUSTRE)
    assert (mount.kind, mount.source) == ("lustre", "fs-2.fsx.amazonaws.com@tcp:/abc")


def test_everything_is_mounted_once_however_often_it_is_asked_for(config: NodeConfig) -> None:
    have(config, "fs-1", "fs-2")
    for _ in range(2):
        found = mount_all(storage(EFS, LUSTRE), config)  # type: ignore[arg-type]
        assert found == {"/shared": config.root / "shared", "/fsx": config.root / "fsx"}
    assert all(is_mounted(path) for path in found.values())


def test_every_team_may_write_to_a_fast_file_system_unless_its_folders_were_given_other_rights(
    config: NodeConfig,
) -> None:
    have(config, "fs-2/results", "fs-3/results", "fs-1")
    systems = config.root.parent / "systems"
    for each in ("fs-2", "fs-2/results", "fs-3/results", "fs-1"):
        (systems / each).chmod(0o755)
    (systems / "fs-3").chmod(0o750)
    others = {**LUSTRE, "at": "/others", "dns_name": "fs-3.fsx.amazonaws.com"}
    mount_all(storage(EFS, LUSTRE, others), config)  # type: ignore[arg-type]
    modes = {each: oct((systems / each).stat().st_mode & 0o7777) for each in ("fs-1", "fs-2", "fs-3")}
    assert modes == {"fs-1": "0o755", "fs-2": "0o1777", "fs-3": "0o750"}
    assert (systems / "fs-2/results").stat().st_mode & 0o7777 == 0o1777


def test_what_cannot_be_mounted_is_named_with_its_likely_reason_and_leaves_no_folder(
    config: NodeConfig,
) -> None:
    have(config, "fs-2")
    with pytest.raises(MountError, match=r"/shared could not be mounted: .*no file system fs-1"):
        mount_all(storage(EFS, LUSTRE), config)  # type: ignore[arg-type]
    assert not (config.root / "shared").exists(), "a job would write to the machine's own disk"
    assert is_mounted(config.root / "fsx"), "the others are there all the same"


def test_a_machine_without_file_systems_asks_for_none(config: NodeConfig) -> None:
    assert attach(Store(), config, {"run_id": "r"}).variables == {}  # type: ignore[arg-type]


def test_a_run_sees_its_own_file_system_and_what_a_killed_run_left_is_let_go(config: NodeConfig) -> None:
    have(config, "fs-1", "fs-old", "fs-new")
    left = mount_one(Store(), config, lustre_mount("fs-old.fsx", "x", f"/{RUN_MOUNTS}/old"))  # type: ignore[arg-type]
    store = storage(EFS)
    store.objects["runs/new/fsx.json"] = b'{"dns_name": "fs-new.fsx", "mount_name": "y"}'
    attached = attach(store, config, {"run_id": "new", "fsx_gib": 1200})  # type: ignore[arg-type]
    own = config.root / RUN_MOUNTS / "new"
    assert attached.variables == {
        "FLEETFORM_SHARED_DIR": str(config.root / "shared"),
        "FLEETFORM_FSX_DIR": str(own),
    }
    assert not left.exists()
    (own / "results" / "deep").mkdir()
    (own / "results" / "deep" / "x").write_text("12345")
    listing = attached.listing() or {}
    assert listing["files"] == [{"name": "deep/x", "size": 5}]
    attached.detach()
    assert not own.exists()
    unmount(own)  # again is no error


def test_a_run_whose_file_system_is_not_there_does_not_start(config: NodeConfig) -> None:
    with pytest.raises(MountError, match=r"fsx\.json is missing"):
        attach(storage(), config, {"run_id": "r", "fsx_gib": 1200})  # type: ignore[arg-type]
