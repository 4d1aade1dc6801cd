"""How a machine becomes a part of its cluster: key, name, head, disk, packages, configuration."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from node import boot
from node.cluster import (
    identity,
    machine,
    munge_key,
    packages,
    refresh,
    units,
    users,
    volume,
)
from node.cluster.facts import PACKAGES, NoClusterError, TeamFacts, cluster_key, parse_facts
from node.cluster.machine import Machine
from node.health import prolog
from node.layout import TAG_NODE
from node.slurm import tools
from node.store import Bucket
from tests.cluster_facts import cluster_facts, cluster_told
from tests.sandbox_helpers import api, run_instances, wait_for
from tests.slurm_cluster import CONTROLLER, SlurmCluster, needs_slurm, slurm_cluster
from tests.test_node_mounts import Store

NAME = "boot-tests"


@pytest.fixture(scope="module")
def secret(sandbox: Cloud) -> Iterator[str]:
    manager = api(sandbox, "secretsmanager")
    manager.create_secret(Name=NAME)
    yield NAME
    manager.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)


def test_the_first_head_makes_the_key_and_everybody_else_gets_that_one(sandbox: Cloud, secret: str) -> None:
    manager = api(sandbox, "secretsmanager")
    found: list[bytes] = []
    node = threading.Thread(target=lambda: found.append(munge_key.node_key(manager, secret)))
    node.start()
    time.sleep(0.2)
    assert found == [], "a node never makes a key"
    key = munge_key.head_key(manager, secret)
    assert len(key) == munge_key.KEY_BYTES
    assert munge_key.head_key(manager, secret) == key, "a head that replaces it takes over"
    node.join(timeout=30)
    assert found == [key]


def test_a_key_is_readable_for_nobody_else_and_may_be_installed_again(tmp_path: Path) -> None:
    here = Machine(root=tmp_path, run=tmp_path / "run")
    for key in (b"a" * 128, b"b" * 128):
        munge_key.install_key(here, key)
        assert here.munge_key.read_bytes() == key
        assert stat.S_IMODE(here.munge_key.stat().st_mode) == 0o400


def test_a_machine_learns_its_name_and_its_head_from_the_tags(sandbox: Cloud) -> None:
    ec2 = api(sandbox, "ec2")
    role, environment = "fleetform:role", "fleetform:environment"
    tags = [{environment: NAME, role: each} for each in ("head", "head", "node")]
    old, new, node = (run_instances(sandbox, 1, "", **each)[0] for each in tags)
    try:
        assert identity.own_name(ec2, node) == ""
        ec2.create_tags(Resources=[node], Tags=[{"Key": TAG_NODE, "Value": "gpu-3"}])
        assert identity.own_name(ec2, node) == "gpu-3"
        ec2.terminate_instances(InstanceIds=[old])
        head = identity.find_head(ec2, NAME)
        assert head is not None
        described = ec2.describe_instances(InstanceIds=[new])["Reservations"][0]["Instances"][0]
        assert head.address == described["PrivateIpAddress"]
        assert described["PrivateDnsName"].startswith(f"{head.hostname}.")
        ec2.terminate_instances(InstanceIds=[new])
        assert wait_for(lambda: identity.find_head(ec2, NAME) is None)
    finally:
        ec2.terminate_instances(InstanceIds=[new, node])


def test_a_machine_that_waits_for_its_name_asks_less_and_less(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(boot, "instance_metadata", lambda path: "i-1")
    monkeypatch.setattr(boot, "own_name", lambda ec2, instance_id: "gpu-1" if len(pauses) == 40 else "")
    monkeypatch.setattr(boot.Boot, "client", lambda self, service: None)
    monkeypatch.setattr(time, "sleep", pauses.append)
    boot.Boot(None, None, None, None)._wait_for_name()  # type: ignore[arg-type]
    assert pauses[0] < 2 and min(pauses[20:]) > 20 and max(pauses) < 40
    assert len(set(pauses)) == 40, "no two machines ask in step"


def test_a_jobs_user_is_made_when_its_team_is_younger_than_the_agents_last_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[object] = []
    teams = {"blue": TeamFacts(1, "ff-blue", 4_000_000_001)}
    monkeypatch.setattr(users, "ensure_users", lambda here, teams: made.append(teams))
    here = RealMachine(root=tmp_path, run=tmp_path)
    users.ensure_user_of(0, here, lambda: teams)
    assert made == []
    users.ensure_user_of(4_000_000_001, here, lambda: teams)
    assert made == [teams]


def test_a_job_whose_user_cannot_be_made_is_still_looked_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(uid: int, here: Machine, teams: object) -> None:
        raise NoClusterError("cluster.json is missing")

    monkeypatch.setattr(prolog, "ensure_user_of", refuse)
    prolog.make_user(None, "4000000001")  # type: ignore[arg-type]
    assert "cluster.json is missing" in capsys.readouterr().err


class Disks:
    """EC2 with one volume; answers as boto3 does."""

    def __init__(self, holder: str = "", holders_state: str = "running") -> None:
        self.holder, self.holders_state = holder, holders_state
        self.calls: list[str] = []

    def describe_volumes(self, VolumeIds: list[str]) -> dict[str, Any]:  # noqa: N803
        held = [{"InstanceId": self.holder, "State": "attached"}] if self.holder else []
        return {"Volumes": [{"VolumeId": VolumeIds[0], "Attachments": held}]}

    def describe_instances(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        (holder,) = Filters[0]["Values"]
        return {
            "Reservations": [{"Instances": [{"InstanceId": holder, "State": {"Name": self.holders_state}}]}]
        }

    def attach_volume(self, VolumeId: str, InstanceId: str, Device: str) -> None:  # noqa: N803
        self.calls.append(f"attach to {InstanceId} as {Device}")
        self.holder = InstanceId

    def detach_volume(self, VolumeId: str, InstanceId: str, Force: bool) -> None:  # noqa: N803
        self.calls.append(f"detach from {InstanceId}")
        self.holder = ""


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A head whose `blkid`, `mkfs.ext4` and `mount` note what they are called for, its disk attached."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, code in {"blkid": "exit 2", "mkfs.ext4": "", "mount": "", "mountpoint": "exit 1"}.items():
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/calls"\n{code}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(volume, "_POLL_SECONDS", 0.01)
    device = tmp_path / (volume._BY_ID + "vol0123")
    device.parent.mkdir(parents=True)
    device.write_bytes(bytes(8192))
    return Machine(root=tmp_path, run=tmp_path / "run")


def disk_calls(head: Machine) -> list[str]:
    text = (head.root / "calls").read_text().replace(str(head.root), "")
    return [line.split()[0] for line in text.splitlines() if not line.startswith("mountpoint")]


def test_an_empty_disk_gets_a_file_system_and_is_mounted(head: Machine) -> None:
    disks = Disks()
    volume.ensure_volume(disks, head, "vol-0123", "i-new")
    assert disks.calls == ["attach to i-new as /dev/sdf"]
    assert disk_calls(head) == ["blkid", "mkfs.ext4", "mount"]


def test_a_disk_with_a_queue_on_it_is_mounted_as_it_is(head: Machine) -> None:
    (head.root / "bin/blkid").write_text(f'#!/bin/sh\necho blkid >>"{head.root}/calls"\nexit 0\n')
    volume.ensure_volume(Disks(), head, "vol-0123", "i-new")
    assert disk_calls(head) == ["blkid", "mount"]


def test_a_device_that_only_seems_empty_is_left_alone(head: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    # blkid knows nothing of what lies there, as of a device that it cannot read.
    monkeypatch.setattr(stat, "S_ISBLK", lambda mode: True)
    (head.root / (volume._BY_ID + "vol0123")).write_bytes(bytes(5000) + b"somebody's data")
    with pytest.raises(volume.VolumeError, match="nothing was changed"):
        volume.ensure_volume(Disks(), head, "vol-0123", "i-new")
    assert disk_calls(head) == ["blkid"]


def test_a_disk_is_taken_from_a_machine_that_is_gone_and_never_from_one_that_runs(
    head: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Disks(holder="i-old", holders_state="terminated")
    volume.ensure_volume(gone, head, "vol-0123", "i-new")
    assert gone.calls == ["detach from i-old", "attach to i-new as /dev/sdf"]
    monkeypatch.setattr(volume, "_WAIT_SECONDS", 0.1)
    lives = Disks(holder="i-old", holders_state="running")
    with pytest.raises(volume.VolumeError, match="i-old holds it"):
        volume.ensure_volume(lives, head, "vol-0123", "i-new")
    assert lives.calls == []


class RealMachine(Machine):
    """A machine that takes itself for a real one, in a folder."""

    emulated = False


APT = """\
#!/bin/sh
# Installs what a package is named after, or what the files at hand are.
echo "apt-get $*" >>"{root}/calls"
for word; do
  case "$word" in
    /*.deb) cp "{root}/bin/true" "{root}/bin/$(basename "$word" .deb)" ;;
    slurmd | munge) {source} ;;
  esac
done
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RealMachine:
    """A machine without any of Slurm's programs."""
    (tmp_path / "bin").mkdir()
    for name in ("true", "systemctl"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/calls"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("cp", "basename"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(machine, "_SYSTEM_PROGRAMS", ())
    return RealMachine(root=tmp_path, run=tmp_path / "run")


def apt(bare: RealMachine, source: str) -> None:
    (bare.root / "bin/apt-get").write_text(APT.format(root=bare.root, source=source))
    (bare.root / "bin/apt-get").chmod(0o755)


def test_packages_of_the_bucket_are_installed_without_any_package_source(bare: RealMachine) -> None:
    apt(bare, "exit 100")
    store = Store()
    store.objects |= {f"{PACKAGES}{name}.deb": b"" for name in ("slurmd", "srun", "munged", "nft")}
    packages.ensure_packages(store, bare, "node", accounting=False)  # type: ignore[arg-type]
    calls = (bare.root / "calls").read_text().splitlines()
    # The services that the packages bring are kept from starting with somebody else's configuration.
    assert calls[0].startswith("systemctl mask slurmctld.service slurmd.service")
    assert [call.split()[3] for call in calls[1:]] == ["install"]
    (bare.root / "calls").unlink()
    packages.ensure_packages(store, bare, "node", accounting=False)  # type: ignore[arg-type]
    assert not (bare.root / "calls").exists(), "what is there is left alone"


def test_a_machine_leaves_the_packages_of_the_other_role_alone(bare: RealMachine) -> None:
    apt(bare, "exit 100")
    store = Store()
    places = {
        "slurmd": "node/",
        "srun": "",
        "munged": "",
        "nft": "",
        "slurmctld": "head/",
        "else": "archive/node/",
    }
    store.objects |= {f"{PACKAGES}{folder}{name}.deb": b"" for name, folder in places.items()}
    packages.ensure_packages(store, bare, "node", accounting=False)  # type: ignore[arg-type]
    (call,) = [line for line in (bare.root / "calls").read_text().splitlines() if "install" in line]
    files = [word.rpartition("/")[2] for word in call.split() if word.endswith(".deb")]
    assert sorted(files) == ["munged.deb", "nft.deb", "slurmd.deb", "srun.deb"]


def test_lists_that_somebody_else_updates_just_now_are_waited_for(
    bare: RealMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt(bare, "exit 100")
    source = f"""\
echo "apt-get $*" >>"{bare.root}/calls"
read -r tries <"{bare.root}/tries"
echo $((tries + 1)) >"{bare.root}/tries"
[ "$tries" -ge 4 ] || {{ echo "E: Could not get lock /var/lib/apt/lists/lock" >&2; exit 100; }}
for name in slurmd srun munged nft; do cp "{bare.root}/bin/true" "{bare.root}/bin/$name"; done
"""
    (bare.root / "tries").write_text("0\n")
    (bare.root / "bin/apt-get").write_text(f"#!/bin/sh\n{source}")
    monkeypatch.setattr(packages, "_PAUSE_SECONDS", 0.01)
    packages.ensure_packages(Store(), bare, "node", accounting=False)  # type: ignore[arg-type]
    words = [line.split()[3] for line in (bare.root / "calls").read_text().splitlines()[1:]]
    assert words == ["update", "install"] * 3


def test_what_no_source_brings_is_named_with_what_to_do(
    bare: RealMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_PATIENCE_SECONDS", 0.0)
    apt(bare, 'echo "E: Unable to locate package slurmd" >&2; exit 100')
    with pytest.raises(packages.PackagesMissingError) as caught:
        packages.ensure_packages(Store(), bare, "node", accounting=False)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "the packages munge, nftables, slurm-client, slurmd did not bring slurmd, srun, munged, nft: "
        "E: Unable to locate package slurmd; a machine that reaches no package source needs the .deb files "
        f"in s3://artifacts/{PACKAGES}"
    )


def test_facts_of_another_version_are_refused_and_new_keys_ignored() -> None:
    teams = {"vision": {"share": 1, "user": "ff-vision", "uid": 20_001, "colour": "red"}}
    told = cluster_told(teams=teams, weather="fine")
    assert parse_facts(told).teams == {"vision": TeamFacts(1, "ff-vision", 20_001)}
    with pytest.raises(NoClusterError, match="version 99"):
        parse_facts({**told, "version": 99})


@pytest.mark.slurm
@needs_slurm
class TestRefresh:
    """A cluster whose environment changes while it runs."""

    @pytest.fixture
    def slurm(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
        with slurm_cluster(nodes=2, gpus=0) as cluster:
            monkeypatch.setattr(refresh, "own_controller", lambda: CONTROLLER)
            monkeypatch.setattr(refresh, "read_machine", lambda: cluster.machine)
            monkeypatch.setattr(refresh, "read_node_config", lambda: None)
            monkeypatch.setattr(refresh, "read_facts", lambda bucket: cluster_facts())
            monkeypatch.setenv("SLURM_CONF", str(cluster.machine.slurm_settings / "slurm.conf"))
            refresh.note_applied(cluster.machine)
            yield cluster

    def test_it_takes_over_policy_and_nodes_while_jobs_go_on(
        self, slurm: SlurmCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        restarts: list[str] = []

        def restart(name: str) -> None:
            restarts.append(name)
            slurm.stop_controller()
            slurm.start_controller()

        monkeypatch.setattr(units, "restart", restart)
        bucket = _bucket(slurm)
        job = slurm.run("sbatch", "--parsable", "-N1", "--output=/dev/null", text="#!/bin/sh\nsleep 60\n")
        slurm.wait_job(job, ["RUNNING"])
        assert not refresh.refresh(bucket).changed
        _change(bucket, "KillWait=30", "KillWait=31")
        assert (refresh.refresh(bucket).changed, restarts) == (True, [])
        assert "KillWait                = 31 sec" in slurm.run("scontrol", "show", "config")
        _change(bucket, "gpu-[1-2]", "gpu-[1-3]")
        assert (refresh.refresh(bucket).changed, restarts) == (True, [units.SLURMCTLD])
        assert slurm.state("gpu-3") == "idle~"
        assert not refresh.refresh(bucket).changed
        assert slurm.run("squeue", "-h", "-j", job, "-o", "%T") == "RUNNING"

    def test_what_could_not_be_applied_is_tried_again(
        self, slurm: SlurmCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(program: str, arguments: list[str]) -> None:
            raise OSError("no answer")

        bucket = _bucket(slurm)
        _change(bucket, "KillWait=30", "KillWait=31")
        with monkeypatch.context() as broken:
            broken.setattr(tools, "run", refuse)
            with pytest.raises(OSError, match="no answer"):
                refresh.refresh(bucket)
        assert refresh.refresh(bucket).changed


def _bucket(slurm: SlurmCluster) -> Bucket:
    """Return an artifact bucket that says what the running cluster was made of."""
    store = Store()
    for name, text in slurm.rendered.items():
        store.objects[cluster_key(name)] = text.encode()
    return store  # type: ignore[return-value]


def _change(bucket: Bucket, before: str, after: str) -> None:
    objects: dict[str, bytes] = bucket.objects  # type: ignore[attr-defined]
    key = cluster_key("slurm.conf")
    assert before.encode() in objects[key]
    objects[key] = objects[key].replace(before.encode(), after.encode())
