"""The texts of a cluster: equal to their golden files, sound to the tools that check such texts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from node.cluster import compose, units
from node.cluster.machine import Machine, read_machine
from stacks.bundle import rendered_members
from templates.engine import render
from templates.node_files import UserData
from templates.slurm_files import BOOT_UNIT, HEAD_UNITS, NODE_UNITS, PROGRAMS, SlurmFleet
from tests.golden_slurm import CONTROLLER, FOLDER, PORTS, REAL, slurm_conf, texts

TEXTS = texts()


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_the_one_that_was_read_and_approved(name: str) -> None:
    assert TEXTS[name] == (FOLDER / name).read_text()


def test_every_golden_file_is_compared() -> None:
    assert {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*") if file.is_file()} == set(TEXTS)


@pytest.mark.parametrize("name", [name for name, _, _ in rendered_members() if name.startswith("bin/")])
def test_a_program_passes_shellcheck(name: str, tmp_path: Path) -> None:
    (tmp_path / "program").write_text(TEXTS[name])
    checked = subprocess.run(
        ["shellcheck", str(tmp_path / "program")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    # It looks whether the command exists, so there is one of the same name.
    command = tmp_path / "fleetform-node"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    files = []
    for unit in {BOOT_UNIT, *HEAD_UNITS, *NODE_UNITS}:
        files.append(tmp_path / f"{unit.name}.service")
        files[-1].write_text(render(unit).replace("/opt/fleetform/bin/fleetform-node", str(command)))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    ours = [line for line in checked.stderr.splitlines() if "fleetform" in line]
    assert (checked.returncode, ours) == (0, [])


def test_the_node_side_knows_the_units_that_the_bundle_brings() -> None:
    head = [units.MUNGED, units.MARIADB, units.SLURMDBD, units.SLURMCTLD, units.CLERK]
    assert [unit.name for unit in HEAD_UNITS] == head
    assert [unit.name for unit in NODE_UNITS] == [units.MUNGED, units.METADATA, units.SLURMD, units.AGENT]


def user_data(role: str, scheduler: str = "slurm") -> str:
    return render(
        UserData(
            environment="vision-laboratories1",
            region="ap-southeast-2",
            artifact_bucket="a" * 63,
            dataset_bucket="d" * 63,
            role=role,
            fleet="" if role == "head" else "abcdefghijklmnopqrst",
            node_document="vision-laboratories1-run-node",
            python="/opt/pytorch/bin/python3",
            run_as="fleetform",
            scratch=role == "node",
            bundle_key=f"node/{'0' * 64}/bundle.tar.gz",
            bundle_sha256="0" * 64,
            storage_key="node/storage.json",
            scheduler=scheduler,
        )
    )


@pytest.mark.parametrize("role", ["head", "node"])
def test_user_data_is_sound_small_and_without_a_secret(role: str, tmp_path: Path) -> None:
    script = user_data(role)
    (tmp_path / "user-data").write_text(script)
    checked = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", tmp_path / "user-data"], capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout.decode()
    # EC2 takes 16 KiB; the longest names leave room.
    assert len(script.encode()) < 12 * 1024
    assert "munge" not in script
    assert script.rstrip().endswith("systemctl start --no-block fleetform-boot.service")
    # It is the service that says when the machine is ready.
    assert "\ntouch" not in script


def test_user_data_boots_a_cluster_only_where_there_is_one() -> None:
    script = user_data("node", "plain")
    assert "fleetform-boot" not in script
    assert script.rstrip().endswith('touch "$root/var/fleetform/ready"')


@pytest.mark.skipif(not Path("/usr/bin/cloud-init").exists(), reason="cloud-init is not installed")
@pytest.mark.parametrize("role", ["head", "node"])
def test_cloud_init_takes_user_data_for_a_script_to_run(role: str) -> None:
    program = (
        "import sys; from cloudinit import handlers; print(handlers.type_from_starts_with(sys.stdin.read()))"
    )
    told = subprocess.run(
        ["/usr/bin/python3", "-c", program], input=user_data(role), capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "text/x-shellscript"


CLOCK = """\
#!/bin/sh
read -r now <"{folder}/now"
case "$(basename "$0") $*" in
  date*) echo "$now" ;;
  sleep*) echo $((now + 2)) >"{folder}/now" ;;
  *"show job"*) echo "JobId=7 JobState=CONFIGURING" ;;
  *) echo "NodeName=gpu-1 State=IDLE+CLOUD+POWERING_UP" ;;
esac
"""


def test_a_job_whose_machines_take_long_is_let_go_before_slurm_loses_patience(tmp_path: Path) -> None:
    # A clock that goes on by two seconds in each pause.
    (tmp_path / "now").write_text("1000\n")
    for name in ("date", "sleep", "scontrol"):
        (tmp_path / name).write_text(CLOCK.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    variables = {"PATH": path, "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "gpu-1"}
    ended = subprocess.run(["sh", "-c", TEXTS["bin/await-nodes"]], env=variables, check=False, timeout=30)
    limit = next(line for line in TEXTS["slurm.conf"].splitlines() if line.startswith("PrologEpilogTimeout="))
    waited = int((tmp_path / "now").read_text()) - 1000
    assert (ended.returncode, 240 <= waited <= int(limit.partition("=")[2]) - 30) == (0, True)


def test_a_machine_reads_its_place_from_its_environment() -> None:
    emulated = read_machine(
        {
            "FLEETFORM_ROOT": "/tmp/node",
            "FLEETFORM_RUN": "/tmp/ff/1",
            "FLEETFORM_MACHINES": "/tmp/machines/vision",
            "FLEETFORM_PORT_BASE": "20000",
        }
    )
    assert emulated.program("prolog") == "/tmp/machines/vision/bin/prolog"
    assert (emulated.controller_port, emulated.database_port, emulated.node_port(3)) == (20000, 20001, 20013)
    real = read_machine({})
    assert real.program("prolog") == "/opt/fleetform/bin/prolog"
    assert (real.controller_port, real.database_port, real.node_port(3)) == (6817, 6819, 6818)
    assert real.munge_socket == Path("/run/munge/munge.socket.2")


def test_a_value_that_slurm_could_not_read_is_no_line() -> None:
    odd = Machine(root=Path("/tmp/a\nSlurmUser=nobody"), run=Path("/tmp/r"))
    with pytest.raises(AssertionError, match="cannot read"):
        compose.machine_lines(odd, CONTROLLER, (22, 5), accounting=True).text()


def test_only_a_real_machine_refuses_jobs_of_root_and_contains_them() -> None:
    real = compose.machine_lines(REAL, CONTROLLER, (22, 5), accounting=True)
    assert (real.disable_root_jobs, real.proctrack_type) == ("YES", "proctrack/cgroup")
    # Ubuntu 22.04 has control groups v2 alone, which its Slurm, 21.08, does not know.
    older = compose.machine_lines(REAL, CONTROLLER, (21, 8), accounting=True)
    assert older.proctrack_type == "proctrack/linuxproc"


def test_the_price_of_a_node_is_what_its_use_counts() -> None:
    one = SlurmFleet(
        name="gpu", nodes=1, max_nodes=1, cpus=48, memory_mib=1, gpus=4, gpu_name="a10g", usd_per_hour=5.672
    )
    assert one.billing == "GRES/gpu=1418.000"
    assert (one.node_names, one.gpu_files) == ("gpu-1", "/dev/nvidia[0-3]")


def test_a_module_that_a_program_runs_is_one_of_the_node_bundle() -> None:
    root = Path(__file__).parent.parent / "node"
    commands = [program.module for program in PROGRAMS.values()]
    commands += [unit.command.split()[0] for unit in (BOOT_UNIT, *HEAD_UNITS, *NODE_UNITS)]
    missing = [each for each in commands if not (root / f"{each.replace('.', '/')}.py").is_file()]
    assert missing == []


def test_ports_are_given_to_the_nodes_of_all_fleets_in_their_order() -> None:
    lines = compose.machine_lines(PORTS, CONTROLLER, (22, 5), accounting=False)
    text = compose.slurm_conf(slurm_conf(accounting=False), lines, PORTS)
    nodes = [line.split()[:2] for line in text.splitlines() if line.startswith("NodeName=")]
    assert nodes == [
        ["NodeName=gpu-[1-8]", "Port=[20010-20017]"],
        ["NodeName=big-1", "Port=20018"],
        ["NodeName=cpu-1", "Port=20019"],
    ]
