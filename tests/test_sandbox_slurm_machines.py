"""Machines of the embedded cloud when it runs Slurm: layouts, sockets, disks, services, their end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud, choose_cloud
from fleet.project import Project
from sandbox import daemon
from sandbox.engine import LAYOUT_VARIABLE, choose_engine
from sandbox.file_systems import PROGRAMS
from sandbox.layouts.base import LayoutError
from sandbox.layouts.namespaces import obstacle
from sandbox.place import Place
from sandbox.processes import NODE_VARIABLE, SANDBOX_VARIABLE, marked
from sandbox.slurm_packages import SlurmMissingError, find_slurm, is_installed
from tests.sandbox_helpers import api, run_instances, run_script, wait_for

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.slurm,
    pytest.mark.skipif(not is_installed(), reason="Slurm's programs are not installed"),
]
needs_namespaces = pytest.mark.skipif(bool(obstacle()), reason=obstacle())
TAGS = {"fleetform:environment": "layouts", "fleetform:role": "node"}
UNIT = """[Service]
Environment=GREETING=hello
ExecStartPre=/bin/made
ExecStart=/bin/serve one
Restart=always
RestartSec=0.05

[Install]
WantedBy=multi-user.target
"""
OURS = os.getpid()
"""Part of a second by which programs of this test are told from those of another that runs beside it."""
SERVE = f"""#!/bin/sh
echo "$GREETING $1 $(cat "$FLEETFORM_ROOT/made")" >>"$FLEETFORM_ROOT/served"
exec sleep 644.{OURS}
"""
ASK = """
import os, urllib.request
print(urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_sandbox/status").status)
"""
PROLOG = """#!/bin/sh
echo "$FLEETFORM_NODE_ID $*"
"""


def started(home: Path, layout: str) -> Cloud:
    """Start a cloud with Slurm in that layout."""
    before = os.environ.get(LAYOUT_VARIABLE)
    os.environ[LAYOUT_VARIABLE] = layout
    try:
        running = daemon.start(home, scheduler="slurm")
    finally:
        os.environ.pop(LAYOUT_VARIABLE)
        if before is not None:
            os.environ[LAYOUT_VARIABLE] = before
    assert (running.scheduler, running.layout) == ("slurm", layout)
    return choose_cloud(Project(root=home, home=home), "sandbox")


@pytest.fixture(scope="module", params=[pytest.param("namespaces", marks=needs_namespaces), "ports"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a cloud with Slurm, in each layout in turn."""
    folder = tmp_path_factory.mktemp(request.param)
    started(folder, request.param)
    yield folder
    run_folder = Path((folder / "sandbox/run-folder").read_text().strip())
    daemon.stop(folder)
    assert marked(SANDBOX_VARIABLE, str(folder / "sandbox")) == []
    assert not run_folder.exists()


@pytest.fixture
def cloud(home: Path) -> Cloud:
    """That cloud."""
    return choose_cloud(Project(root=home, home=home), "sandbox")


@pytest.fixture
def pair(cloud: Cloud) -> Iterator[list[str]]:
    """Two machines of an environment."""
    ids = run_instances(cloud, 2, **TAGS)
    yield ids
    api(cloud, "ec2").terminate_instances(InstanceIds=ids)


def says(cloud: Cloud, instance_id: str, script: str) -> str:
    """Return what a script prints on a machine."""
    done = run_script(cloud, instance_id, script)
    assert done["Status"] == "Success", done
    return str(done["StandardOutputContent"])


def address(cloud: Cloud, instance_id: str) -> tuple[str, str]:
    """Return the private address and the first label of the DNS name that EC2 gives."""
    answer = api(cloud, "ec2").describe_instances(InstanceIds=[instance_id])
    instance = answer["Reservations"][0]["Instances"][0]
    return instance["PrivateIpAddress"], instance["PrivateDnsName"].partition(".")[0]


def test_machines_reach_each_other_and_the_cloud_by_the_addresses_that_ec2_gives(
    cloud: Cloud, pair: list[str]
) -> None:
    one, two = pair
    at = address(cloud, two)[0]
    program = (
        "import socket, sys; s = socket.create_server((sys.argv[1], 0));"
        "open('port', 'w').write(str(s.getsockname()[1])); s.accept()[0].sendall(b'hello')"
    )
    says(
        cloud,
        two,
        f'"$FLEETFORM_PYTHON" -c "{program}" {at} >/dev/null 2>&1 & while ! [ -s port ]; do sleep 0.02; done',
    )
    port = says(cloud, two, "cat port")
    visit = f"import socket; print(socket.create_connection(('{at}', {port})).recv(9).decode())"
    assert says(cloud, one, f'"$FLEETFORM_PYTHON" -c "{visit}"') == "hello\n"
    assert says(cloud, one, f"\"$FLEETFORM_PYTHON\" -c '{ASK}'") == "200\n"


def test_a_machine_in_namespaces_has_a_name_and_processes_of_its_own(
    cloud: Cloud, pair: list[str], home: Path
) -> None:
    status = daemon.status(home)
    assert status is not None
    if status.layout != "namespaces":
        pytest.skip("machines share this computer's name and processes")
    one, two = pair
    names = [says(cloud, each, "hostname").strip() for each in pair]
    assert names == [address(cloud, each)[1] for each in pair]
    assert says(cloud, one, f"getent hosts {names[1]}").split()[0] == address(cloud, two)[0]
    assert says(cloud, one, "cat /etc/resolv.conf") == ""
    says(cloud, one, "sleep 611 >/dev/null 2>&1 &")
    seen = [says(cloud, each, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '") for each in pair]
    assert ["sleep 611" in each for each in seen] == [True, False]
    assert str(os.getpid()) not in says(cloud, one, "ls /proc").split()


def test_sockets_and_keys_lie_where_no_other_user_gets(cloud: Cloud, pair: list[str], home: Path) -> None:
    told = dict(line.split("=", 1) for line in says(cloud, pair[0], "env").splitlines())
    run = Path(told["FLEETFORM_RUN"])
    assert len(str(run / "slurmd/gpu-1000_100000.4294967291")) < 108
    for folder in (
        run,
        run.parent,
        home / "sandbox",
        home / "sandbox/nodes" / pair[0],
        Path(told["FLEETFORM_MACHINES"]),
    ):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    assert run != Path(says(cloud, pair[1], 'printf %s "$FLEETFORM_RUN"'))
    assert ("FLEETFORM_PORT_BASE" in told) is (told["FLEETFORM_LAYOUT"] == "ports")


def test_slurms_programs_find_the_machine_that_they_are_on_by_its_name(
    cloud: Cloud, pair: list[str], home: Path
) -> None:
    folder = home / "sandbox/nodes" / pair[1] / "opt/fleetform/bin"
    folder.mkdir(parents=True)
    (folder / "prolog").write_text(PROLOG)
    (folder / "prolog").chmod(0o700)
    api(cloud, "ec2").create_tags(Resources=[pair[1]], Tags=[{"Key": "fleetform:node", "Value": "gpu-2"}])
    bare = 'env -i SLURMD_NODENAME=gpu-2 "$FLEETFORM_MACHINES/bin/prolog" a "b c"'
    assert says(cloud, pair[0], bare) == f"{pair[1]} a b c\n"
    file = Path(says(cloud, pair[0], 'printf %s "$FLEETFORM_MACHINES/gpu-2.env"'))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run_script(cloud, pair[0], bare.replace("gpu-2", "gpu-3"))["Status"] == "Failed"


def test_a_service_is_started_again_and_ends_when_it_is_stopped(
    cloud: Cloud, pair: list[str], home: Path
) -> None:
    root = home / "sandbox/nodes" / pair[0]
    for name, text in (("bin/serve", SERVE), ("bin/made", '#!/bin/sh\necho made >"$FLEETFORM_ROOT/made"\n')):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
        (root / name).chmod(0o700)
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "serve.service").write_text(UNIT)
    says(
        cloud,
        pair[0],
        "systemctl daemon-reload && systemctl enable --now serve.service && systemctl is-active serve",
    )
    served = root / "served"
    wait_for(lambda: served.is_file() and served.read_text() == "hello one made\n")
    says(cloud, pair[0], "kill -9 $(systemctl show serve | sed -n s/MainPID=//p)")
    wait_for(lambda: served.read_text() == "hello one made\n" * 2)
    ec2 = api(cloud, "ec2")
    ec2.stop_instances(InstanceIds=[pair[0]])
    ec2.start_instances(InstanceIds=[pair[0]])
    wait_for(lambda: served.read_text() == "hello one made\n" * 3)
    says(cloud, pair[0], "systemctl stop serve; ! systemctl is-active serve")
    assert f"sleep 644.{OURS}" not in says(cloud, pair[0], "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    missing = run_script(cloud, pair[0], "systemctl start nothing")
    assert "nothing.service not found" in missing["StandardErrorContent"]


def test_a_disk_keeps_what_is_on_it_from_one_machine_to_the_next(cloud: Cloud, pair: list[str]) -> None:
    ec2 = api(cloud, "ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=4)["VolumeId"]
    device = f"$FLEETFORM_ROOT/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    ec2.attach_volume(VolumeId=volume, InstanceId=pair[0], Device="/dev/sdf")
    assert run_script(cloud, pair[0], f"blkid {device}")["ResponseCode"] == 2
    assert run_script(cloud, pair[0], f"mkdir disk; mount {device} disk")["ResponseCode"] == 32
    says(
        cloud,
        pair[0],
        f"mkfs.ext4 -q {device} && mount {device} disk && echo kept >disk/file && blkid {device}",
    )
    assert run_script(cloud, pair[0], f"mkfs.ext4 -q {device}")["ResponseCode"] == 1
    with pytest.raises(ClientError, match="VolumeInUse"):
        ec2.attach_volume(VolumeId=volume, InstanceId=pair[1], Device="/dev/sdf")
    ec2.terminate_instances(InstanceIds=[pair[0]])
    ec2.attach_volume(VolumeId=volume, InstanceId=pair[1], Device="/dev/sdf")
    assert says(cloud, pair[1], f"mkdir disk; mount {device} disk; cat disk/file") == "kept\n"


def test_a_machine_that_loses_its_power_is_gone_with_everything_that_it_ran(
    cloud: Cloud, pair: list[str], home: Path
) -> None:
    api(cloud, "ec2").create_tags(Resources=[pair[0]], Tags=[{"Key": "fleetform:node", "Value": "gpu-1"}])
    # What Slurm starts has no mark: it is a child of what has one, or in the machine's namespace.
    says(cloud, pair[0], f"setsid sh -c 'env -i sleep 622.{OURS}; true' >/dev/null 2>&1 &")
    wait_for(lambda: sleepers("622"))
    assert daemon.kill(home, "gpu-1", "layouts") == pair[0]
    assert marked(NODE_VARIABLE, pair[0]) == []
    wait_for(lambda: not sleepers("622"))
    answer = api(cloud, "ec2").describe_instances(InstanceIds=[pair[0]])
    assert answer["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated"
    assert says(cloud, pair[1], "echo here") == "here\n"
    with pytest.raises(daemon.SandboxError, match="there is no machine gpu-1"):
        daemon.kill(home, "gpu-1", "layouts")


def sleepers(seconds: str) -> list[str]:
    """Return the processes of this test that sleep so long."""
    found = subprocess.run(["pgrep", "-f", rf"^sleep {seconds}\.{OURS}$"], capture_output=True, text=True)
    return found.stdout.split()


def network_namespaces() -> set[str]:
    """Return the network namespaces of all living processes."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.add(str(link.readlink()))
    return found


@needs_namespaces
def test_a_kill_of_the_server_leaves_no_process_no_namespace_and_no_socket(tmp_path: Path) -> None:
    cloud = started(tmp_path, "namespaces")
    run_instances(cloud, user_data=f"#!/bin/sh\nsetsid env -i sleep 633.{OURS} &\n", **TAGS)
    wait_for(lambda: sleepers("633"))
    run_folder = Path((tmp_path / "sandbox/run-folder").read_text().strip())
    namespace = str(Path(f"/proc/{sleepers('633')[0]}/ns/net").readlink())
    running = daemon.status(tmp_path)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: not sleepers("633") and not marked(SANDBOX_VARIABLE, str(tmp_path / "sandbox")))
    wait_for(lambda: not run_folder.exists())
    namespaces = network_namespaces()
    assert namespace not in namespaces


def test_a_layout_that_does_not_exist_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAYOUT_VARIABLE, "clouds")
    with pytest.raises(LayoutError, match="there are `namespaces` and `ports`"):
        choose_engine("slurm", Place(tmp_path), {})


def test_where_slurm_is_missing_and_cannot_be_fetched_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.slurm_packages._FOLDERS", (str(tmp_path),))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlurmMissingError, match="apt-get install slurm-wlm"):
        find_slurm(tmp_path)


def test_the_clouds_variables_say_which_scheduler_it_has(home: Path) -> None:
    assert json.loads((home / "clouds/sandbox.json").read_text())["FLEETFORM_SCHEDULER"] == "slurm"


def test_the_programs_of_emulated_machines_pass_shellcheck() -> None:
    programs = [each for each in PROGRAMS.iterdir() if each.is_file()]
    checked = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", *programs], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
