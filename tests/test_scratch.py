"""Local NVMe disks at /scratch: the script that nodes run at every start, against a machine of pretence."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from templates.engine import TEMPLATE_ROOT, render
from templates.node_files import UserData

SCRIPT = TEMPLATE_ROOT / "node" / "scratch.sh.j2"
LOCAL, NETWORK = "Amazon EC2 NVMe Instance Storage", "Amazon Elastic Block Store"
TOOL = """\
#!/bin/bash
echo "{name} $*" >>"$CALLS"
{body}
"""


@dataclass
class Machine:
    """Its disks and what lies on them: fakes on PATH answer from it and write their calls down."""

    root: Path
    models: dict[str, str]
    on_disks: list[str] = field(default_factory=list)
    """Lines of lsblk about the local disks, `NAME TYPE MOUNTPOINT`."""
    labelled: str = ""
    """The device that has our label."""
    mounted: bool = False
    broken: str = ""
    """The tool that fails."""

    def start(self) -> subprocess.CompletedProcess[str]:
        """Run the script once."""
        tools = self.root / "bin"
        tools.mkdir(exist_ok=True)
        models = "\n".join(f"{name} {model}" for name, model in self.models.items())
        bodies = {
            "lsblk": f"case $* in *MODEL*) cat <<'END'\n{models}\nEND\n;; *) cat <<'END'\n"
            + "\n".join(self.on_disks)
            + "\nEND\n;; esac",
            "blkid": f"[ -n '{self.labelled}' ] && echo '{self.labelled}' || exit 2",
            "mountpoint": f"exit {0 if self.mounted else 32}",
            "mdadm": "",
            "mkfs.xfs": "",
            "mount": "",
        }
        if self.broken:
            bodies[self.broken] = "exit 5"
        for name, body in bodies.items():
            (tools / name).write_text(TOOL.format(name=name, body=body))
            (tools / name).chmod(0o755)
        return subprocess.run(
            ["bash", str(SCRIPT)],
            env={
                "PATH": f"{tools}:{os.environ['PATH']}",
                "CALLS": str(self.root / "calls"),
                "FLEETFORM_SCRATCH": str(self.root / "scratch"),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def acts(self) -> list[str]:
        """Start once and return the calls that change something, the mount point shortened."""
        ran = self.start()
        assert (ran.returncode, ran.stderr) == (0, "")
        calls = (self.root / "calls").read_text().replace(str(self.root), "")
        return [call for call in calls.splitlines() if call.split()[0] in ("mdadm", "mkfs.xfs", "mount")]


def test_several_disks_become_one_striped_volume_and_no_disk_of_the_network_is_touched(
    tmp_path: Path,
) -> None:
    machine = Machine(
        tmp_path, {"/dev/nvme0n1": NETWORK, "/dev/nvme1n1": LOCAL, "/dev/nvme2n1": LOCAL, "/dev/sda": ""}
    )
    assert machine.acts() == [
        "mdadm --create /dev/md/scratch --run --level=0 --name=scratch --homehost=any --raid-devices=2 "
        "/dev/nvme1n1 /dev/nvme2n1",
        "mkfs.xfs -f -K -L fleetform /dev/md/scratch",
        "mount -o noatime /dev/md/scratch /scratch",
    ]
    assert (tmp_path / "scratch").stat().st_mode & 0o7777 == 0o1777


def test_one_disk_needs_no_array(tmp_path: Path) -> None:
    assert Machine(tmp_path, {"/dev/nvme1n1": LOCAL}).acts() == [
        "mkfs.xfs -f -K -L fleetform /dev/nvme1n1",
        "mount -o noatime /dev/nvme1n1 /scratch",
    ]


def test_a_machine_without_local_disks_gets_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"/dev/nvme0n1": NETWORK})
    assert machine.acts() == []
    assert not (tmp_path / "scratch").exists()


def test_what_survived_a_reboot_is_mounted_and_not_made_anew(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"/dev/nvme1n1": LOCAL, "/dev/nvme2n1": LOCAL}, labelled="/dev/md127")
    assert machine.acts() == ["mount -o noatime /dev/md127 /scratch"]


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"/dev/nvme1n1": LOCAL}, labelled="/dev/nvme1n1", mounted=True)
    assert machine.acts() == []


def test_an_array_that_an_interrupted_start_left_is_taken_up(tmp_path: Path) -> None:
    disks = {"/dev/nvme1n1": LOCAL, "/dev/nvme2n1": LOCAL}
    lines = ["/dev/nvme1n1 disk", "/dev/md127 raid0", "/dev/nvme2n1 disk", "/dev/md127 raid0"]
    assert Machine(tmp_path, disks, on_disks=lines).acts() == [
        "mkfs.xfs -f -K -L fleetform /dev/md127",
        "mount -o noatime /dev/md127 /scratch",
    ]


def test_a_volume_that_the_image_made_of_the_disks_is_taken_as_it_is(tmp_path: Path) -> None:
    disks = {"/dev/nvme1n1": LOCAL, "/dev/nvme2n1": LOCAL}
    lines = ["/dev/nvme1n1 disk", "/dev/mapper/vg.01-lv_ephemeral lvm /opt/dlami/nvme", "/dev/nvme2n1 disk"]
    assert Machine(tmp_path, disks, on_disks=lines).acts() == ["mount --bind /opt/dlami/nvme /scratch"]


@pytest.mark.parametrize("tool", ["mdadm", "mkfs.xfs", "mount"])
def test_a_tool_that_fails_fails_the_script(tmp_path: Path, tool: str) -> None:
    machine = Machine(tmp_path, {"/dev/nvme1n1": LOCAL, "/dev/nvme2n1": LOCAL}, broken=tool)
    assert machine.start().returncode != 0


@pytest.mark.parametrize("scratch", [True, False])
def test_user_data_carries_the_script_only_where_there_are_disks(scratch: bool) -> None:
    script = render(
        UserData(
            environment="vision",
            region="us-east-1",
            artifact_bucket="artifacts",
            dataset_bucket="datasets",
            role="node",
            fleet="gpu",
            node_document="vision-run-node",
            python="/usr/bin/python3",
            run_as="trainee",
            scratch=scratch,
            bundle_key="bundle",
            bundle_sha256="0" * 64,
        )
    )
    assert (SCRIPT.read_text().strip() in script) == scratch
    assert ("systemctl enable --now fleetform-scratch.service" in script) == scratch
    assert "useradd --create-home --shell /bin/bash trainee" in script
    assert "sudo" not in script
    # EC2's limit on user data.
    assert len(script.encode()) < 16 * 1024
