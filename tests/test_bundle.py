"""The node bundle and the user data that unpacks it: equal for equal files, and really run on a folder."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from sandbox.file_systems import install_programs
from sandbox.place import Place
from stacks.bundle import PACKAGE_ROOT, Bundle, build_bundle
from templates.engine import render
from templates.node_files import NodeCommand, UserData
from tests.sandbox_helpers import wait_for


def members(bundle: Bundle) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(bundle.data), mode="r:gz") as tar:
        return {member.name: member for member in tar.getmembers()}


def rooms(root: Path) -> Path:
    for name in ("node", "trainer/recipes"):
        (root / name).mkdir(parents=True)
    (root / "node/runner.py").write_text("print('runner')\n")
    (root / "trainer/train.py").write_text("x = 1\n")
    (root / "trainer/recipes/digits.toml").write_text("a = 1\n")
    return root


def test_the_bundle_holds_both_rooms_and_the_command_and_nothing_else() -> None:
    names = set(members(build_bundle()))
    assert {
        "bin/fleetform-node",
        "node/runner.py",
        "trainer/__main__.py",
        "trainer/recipes/digits.toml",
    } <= names
    assert {Path(name).parts[0] for name in names} == {"bin", "node", "rules", "trainer", "units"}
    assert {Path(name).suffix for name in names} <= {"", ".py", ".toml", ".md", ".nft", ".service"}


def test_equal_files_give_an_equal_bundle_wherever_and_whenever(tmp_path: Path) -> None:
    first = rooms(tmp_path / "a")
    second = tmp_path / "elsewhere" / "b"
    shutil.copytree(first, second)
    os.utime(second / "node/runner.py", (1, 1))
    (second / "node/runner.py").chmod(0o600)
    (second / "node/__pycache__").mkdir()
    (second / "node/__pycache__/runner.cpython-311.pyc").write_bytes(b"compiled")
    (second / "trainer/.notes.toml").write_text("hidden = 1\n")
    assert build_bundle(first) == build_bundle(second)


def test_another_line_gives_another_key(tmp_path: Path) -> None:
    before = build_bundle(rooms(tmp_path))
    (tmp_path / "node/runner.py").write_text("print('changed')\n")
    after = build_bundle(tmp_path)
    assert before.key != after.key
    assert after.key == f"node/{after.sha256}/bundle.tar.gz"


def test_the_members_have_no_owner_and_no_time() -> None:
    for member in members(build_bundle()).values():
        assert (member.uid, member.gid, member.mtime, member.uname) == (0, 0, 0, "")
        assert member.mode == (0o755 if member.name.startswith("bin/") else 0o644)


class Machine:
    """A folder that stands for a machine; its `aws` copies from a folder that stands for S3."""

    def __init__(self, root: Path, bundle: Bundle, scheduler: str = "plain") -> None:
        self.root = root / "machine"
        self.bucket = root / "s3" / "artifacts"
        self.object = self.bucket / bundle.key
        self.object.parent.mkdir(parents=True)
        self.object.write_bytes(bundle.data)
        self.script = render(
            UserData(
                environment="vision",
                region="us-east-1",
                artifact_bucket="artifacts",
                dataset_bucket="datasets",
                role="node",
                fleet="gpu",
                node_document="vision-run-node",
                python="/opt/it's python/bin/python3",
                run_as="fleetform",
                scratch=True,
                bundle_key=bundle.key,
                bundle_sha256=bundle.sha256,
                scheduler=scheduler,
            )
        )
        tools = root / "bin"
        tools.mkdir()
        (tools / "aws").write_text(
            f'#!/bin/sh\n[ "$1 $2 $3 $4" = "s3 cp --region us-east-1" ] || exit 2\n'
            f'exec cp "{root}/s3/${{6#s3://}}" "$7"\n'
        )
        (tools / "aws").chmod(0o755)
        self.environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "FLEETFORM_ROOT": str(self.root),
            "FLEETFORM_PYTHON": sys.executable,
        }

    def boot(self) -> subprocess.CompletedProcess[str]:
        self.root.mkdir(exist_ok=True)
        return subprocess.run(
            ["bash", "-c", self.script], env=self.environment, capture_output=True, text=True, check=False
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        program = str(self.root / "opt/fleetform/bin/fleetform-node")
        return subprocess.run(
            [program, *command], env=self.environment, capture_output=True, text=True, check=False, cwd="/"
        )


def test_user_data_makes_a_node_and_may_run_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path, build_bundle(rooms(tmp_path / "rooms")))
    for _ in range(2):
        booted = machine.boot()
        assert (booted.returncode, booted.stderr) == (0, "")
        assert (machine.root / "var/fleetform/ready").is_file()
        (machine.root / "opt/fleetform/node/left_over.py").touch()
    assert json.loads((machine.root / "etc/fleetform/node.json").read_text()) == {
        "environment": "vision",
        "region": "us-east-1",
        "artifact_bucket": "artifacts",
        "dataset_bucket": "datasets",
        "role": "node",
        "fleet": "gpu",
        "node_document": "vision-run-node",
        "python": "/opt/it's python/bin/python3",
        "scheduler": "plain",
    }
    assert (machine.root / "etc/fleetform/python").read_text() == "/opt/it's python/bin/python3\n"
    command = machine.root / "opt/fleetform/bin/fleetform-node"
    assert stat.S_IMODE(command.stat().st_mode) == 0o755
    assert [entry.name for entry in (machine.root / "opt").iterdir()] == ["fleetform"]


def test_a_second_boot_leaves_nothing_of_the_bundle_before(tmp_path: Path) -> None:
    machine = Machine(tmp_path, build_bundle(rooms(tmp_path / "rooms")))
    machine.boot()
    (machine.root / "opt/fleetform/node/left_over.py").touch()
    machine.boot()
    assert not (machine.root / "opt/fleetform/node/left_over.py").exists()


FAIL_TWICE = """
import os, pathlib, sys
root = pathlib.Path(os.environ["FLEETFORM_ROOT"])
with (root / "tries").open("a") as tries:
    print("tried", file=tries)
if (root / "tries").read_text().count("tried") < 3:
    sys.exit("the cloud does not answer")
(root / "var/fleetform/ready").touch()
"""


def test_a_machine_of_a_cluster_is_made_again_until_that_succeeds(tmp_path: Path) -> None:
    bundle_rooms = rooms(tmp_path / "rooms")
    (bundle_rooms / "node/boot.py").write_text(FAIL_TWICE)
    machine = Machine(tmp_path, build_bundle(bundle_rooms), scheduler="slurm")
    install_programs(place := Place(tmp_path / "sandbox"))
    # The same unit as in the cloud, but for the pause between two tries.
    unit = '"$root/etc/systemd/system/fleetform-boot.service"'
    sooner = f"sed -i s/RestartSec=15/RestartSec=0.05/ {unit}"
    assert "systemctl daemon-reload" in machine.script
    machine.script = machine.script.replace("systemctl daemon-reload", sooner)
    machine.environment["PATH"] = f"{place.programs}:{machine.environment['PATH']}"
    booted = machine.boot()
    assert (booted.returncode, booted.stderr) == (0, "")
    wait_for((machine.root / "var/fleetform/ready").exists)
    time.sleep(0.3)
    assert (machine.root / "tries").read_text() == "tried\n" * 3, "and no more once it has succeeded"


def test_a_bundle_that_is_not_the_one_declared_is_not_unpacked(tmp_path: Path) -> None:
    machine = Machine(tmp_path, build_bundle(rooms(tmp_path / "rooms")))
    (tmp_path / "rooms/node/runner.py").write_text("print('somebody else')\n")
    machine.object.write_bytes(build_bundle(tmp_path / "rooms").data)
    booted = machine.boot()
    assert booted.returncode == 1
    assert "could not be fetched whole" in booted.stderr
    assert not (machine.root / "opt/fleetform").exists()
    assert not (machine.root / "var/fleetform/ready").exists()


def test_the_command_runs_the_bundles_own_module(tmp_path: Path) -> None:
    bundle_rooms = rooms(tmp_path / "rooms")
    (bundle_rooms / "node/runner.py").write_text(
        "import sys, trainer.train\nprint(sys.argv[1:], trainer.train.__file__)\n"
    )
    machine = Machine(tmp_path, build_bundle(bundle_rooms))
    machine.boot()
    ran = machine.run("runner", "--run-id", "a b")
    assert ran.stdout.strip() == f"['--run-id', 'a b'] {machine.root}/opt/fleetform/trainer/train.py", (
        ran.stderr
    )


@pytest.mark.parametrize("module", ["dispatch", "runner"])
def test_what_the_documents_start_is_in_the_bundle(tmp_path: Path, module: str) -> None:
    machine = Machine(tmp_path, build_bundle(PACKAGE_ROOT))
    machine.boot()
    ran = machine.run(module, "--help")
    assert ran.returncode == 0, ran.stderr
    assert "--run-id" in ran.stdout


def test_the_scripts_pass_shellcheck(tmp_path: Path) -> None:
    machine = Machine(tmp_path, build_bundle(rooms(tmp_path / "rooms")))
    for name, text in {"user-data.sh": machine.script, "fleetform-node": render(NodeCommand())}.items():
        (tmp_path / name).write_text(text)
        checked = subprocess.run(
            ["shellcheck", str(tmp_path / name)],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )
        assert checked.returncode == 0, checked.stdout
