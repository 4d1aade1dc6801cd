"""A bare Slurm cluster on this machine: our own configuration and daemons, each node on a port of its own.

It is what an environment's machines make of `templates/slurm/` and `node/cluster/`, without a cloud: no
clerk, no agent, no user data. Tests and benchmarks share it:

    with slurm_cluster(nodes=3, gpus=2) as slurm:
        slurm.run("sbatch", "--wrap", "hostname")
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.cluster import accounting as accounts
from node.cluster import compose, service
from node.cluster.facts import TeamFacts
from node.cluster.machine import Machine
from templates.engine import render
from templates.slurm_files import PROGRAMS, AwaitNodes, CgroupConf, GresConf, SlurmConf, SlurmFleet

MARK = "FLEETFORM_TEST_SLURM"
"""Set on every daemon of a cluster: its folder."""
NODE_MARK = "FLEETFORM_TEST_SLURM_NODE"
"""Set on a node's daemon: its name."""
DAEMONS = ("slurmctld", "slurmd", "munged")
CONTROLLER = compose.Controller(socket.gethostname().partition(".")[0], "127.0.0.1")
_DO_NOTHING = "#!/bin/sh\nexit 0\n"
_START_SECONDS = 30.0
_FIRST_PORT, _WINDOW, _WINDOWS = 10_000, 600, 16
"""Below the ports that runs meet at, from 20000 on."""
_OWN_PORTS = 20
"""Of the head's daemons, which come before the nodes', and of nodes that a test adds."""


def slurm_is_installed() -> bool:
    """Return whether this machine has Slurm's daemons."""
    return all(shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in DAEMONS)


def fleet(
    name: str = "gpu", *, nodes: int = 3, max_nodes: int = 0, gpus: int = 2, cpus: int = 4
) -> SlurmFleet:
    """Return a fleet of small emulated nodes."""
    return SlurmFleet(
        name=name,
        nodes=nodes,
        max_nodes=max_nodes or nodes,
        cpus=cpus,
        memory_mib=2000,
        gpus=gpus,
        gpu_name="a10g" if gpus else "",
        usd_per_hour=1.006,
    )


@dataclass
class SlurmCluster:
    """A cluster that runs. Everything of it lies in `base`, which goes with it."""

    base: Path
    machine: Machine
    fleets: Sequence[SlurmFleet]
    accounting: bool
    rendered: dict[str, str] = field(default_factory=dict)
    """The environment's texts that the configuration was composed from."""
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """Running daemons by `munged`, `slurmctld`, ..., a node's by its name."""

    @property
    def nodes(self) -> list[str]:
        """Names of all nodes that can be."""
        return [f"{each.name}-{n}" for each in self.fleets for n in range(1, each.max_nodes + 1)]

    @property
    def standing(self) -> list[str]:
        """Names of the nodes that stand from the start."""
        return [f"{each.name}-{n}" for each in self.fleets for n in range(1, each.nodes + 1)]

    @property
    def variables(self) -> dict[str, str]:
        """Environment of whatever is to use the cluster (`SLURM_CONF`, ...)."""
        return {**self.machine.variables(), MARK: str(self.base)}

    def run(
        self, program: str, *arguments: str, text: str = "", check: bool = True, timeout: float = 60
    ) -> str:
        """Run one of Slurm's programs and return what it printed, without the last newline."""
        done = subprocess.run(
            [program, *arguments],
            input=text,
            capture_output=True,
            text=True,
            env=self.variables,
            cwd=self.base,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{program} {arguments}: {done.stderr or done.stdout}"
        return done.stdout.rstrip("\n") if done.returncode == 0 else done.stderr.rstrip("\n")

    def start(self, name: str, daemon: service.Daemon, **extra: str) -> None:
        """Start a daemon in the background."""
        with (self.machine.logs / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                list(daemon.argv),
                env={**daemon.environment, MARK: str(self.base), **extra},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.base,
                start_new_session=True,
            )

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self.start("slurmctld", service.slurmctld(self.machine))
        wait_until(lambda: "UP" in self.run("scontrol", "ping", check=False), "slurmctld")

    def reconfigure(self, lines: str) -> None:
        """Have the daemons take over these lines; each replaces one before."""
        with (self.machine.slurm_settings / "slurm.conf").open("a") as file:
            file.write(lines)
        self.run("scontrol", "reconfigure")

    def stop_controller(self) -> None:
        """Stop slurmctld as a shutdown would; it saves its state."""
        process = self.daemons.pop("slurmctld")
        process.terminate()
        process.wait()

    def kill_controller(self) -> None:
        """Kill slurmctld as a crash would."""
        self.kill("slurmctld")

    def start_node(self, name: str) -> None:
        """Start the daemon of a node."""
        self.start(name, service.slurmd(self.machine, service.NodeStart(name, "")), **{NODE_MARK: name})

    def power_up(self, names: Sequence[str]) -> None:
        """Do what the head does for nodes whose machines have come."""
        joined = ",".join(names)
        hosts, addresses = (",".join([value] * len(names)) for value in (socket.gethostname(), "127.0.0.1"))
        self.run("scontrol", "update", f"NodeName={joined}", f"NodeAddr={addresses}", f"NodeHostname={hosts}")
        self.run("scontrol", "update", f"NodeName={joined}", "State=POWER_UP")

    def kill_node(self, name: str) -> None:
        """End everything on a node at once, its jobs too, as a power loss would."""
        process = self.daemons.pop(name, None)
        kill_marked(NODE_MARK, name, within=self.base)
        if process is not None:
            process.wait()

    def kill(self, name: str) -> None:
        """Kill one daemon."""
        process = self.daemons.pop(name)
        process.kill()
        process.wait()

    def state(self, name: str) -> str:
        """Return a node's state as sinfo's long form says it, `idle`, `down*`."""
        return self.run("sinfo", "--noheader", "--Node", f"--nodes={name}", "--format=%T")

    def wait_idle(self, names: Sequence[str] = (), seconds: float = _START_SECONDS) -> None:
        """Wait until the nodes (all that stand) are idle."""
        wanted = set(names or self.standing)

        def idle() -> bool:
            rows = self.run("sinfo", "--noheader", "--Node", "--format=%N %T", check=False).split("\n")
            return wanted <= {row.split()[0] for row in rows if row.endswith(" idle")}

        wait_until(idle, f"{sorted(wanted)} to be idle", seconds)

    def wait_job(self, job: str, states: Sequence[str], seconds: float = 60) -> None:
        """Wait until a job is in one of the states (`RUNNING`)."""

        def there() -> bool:
            # Without `check`: on a busy machine the controller may be late with one answer.
            asked = ("--noheader", "--states=all", f"--jobs={job}", "--format=%T")
            return self.run("squeue", *asked, check=False) in states

        def told() -> str:
            return self.run("scontrol", "show", "job", job, check=False)

        wait_until(there, f"job {job} to be {states}", seconds, told)

    def log(self, name: str) -> str:
        """Return a daemon's log and what it printed."""
        files = [self.machine.logs / f"{name}.log", self.machine.logs / f"slurmd-{name}.log"]
        files.append(self.machine.logs / f"{name}.out")
        return "".join(file.read_text(errors="replace") for file in files if file.is_file())

    def close(self) -> None:
        """End every process of the cluster, and remove its folder."""
        for process in self.daemons.values():
            process.kill()
        kill_marked(MARK, str(self.base))
        for process in self.daemons.values():
            process.wait()
        shutil.rmtree(self.base, ignore_errors=True)


@contextlib.contextmanager
def slurm_cluster(
    nodes: int = 3,
    *,
    gpus: int = 2,
    cpus: int = 4,
    fleets: Sequence[SlurmFleet] = (),
    accounting: bool = False,
    teams: Mapping[str, int] | None = None,
    idle_seconds: int = 600,
    resume_seconds: int = 60,
    extra: str = "",
    programs: Mapping[str, str] | None = None,
    wait: bool = True,
    stand: bool = True,
) -> Iterator[SlurmCluster]:
    """Start a cluster of one fleet `gpu`, or of the given ones, and end it with everything of it.

    `extra`: lines for the end of slurm.conf (`SlurmdTimeout=5`; a line there replaces one before).
    `programs`: text of the scripts that Slurm calls, by name (`prolog`); one not given does nothing.
    `teams`: with accounting, the shares of the accounts by name. `wait`: until all standing nodes are idle.
    `stand`: start the nodes that stand; else whoever calls it does.
    """
    base = Path(tempfile.mkdtemp(prefix="ff-slurm-"))  # 0700, short: a socket's path has 107 bytes at most
    fleets = fleets or [fleet(nodes=nodes, gpus=gpus, cpus=cpus)]
    port, mark = _take_ports(_OWN_PORTS + sum(each.max_nodes for each in fleets))
    machine = Machine(root=base, run=base / "run", port_base=port, programs=base / "programs")
    cluster = SlurmCluster(base, machine, fleets, accounting)
    try:
        _configure(cluster, idle_seconds, resume_seconds, extra, programs or {})
        cluster.start("munged", service.munged(machine))
        if accounting:
            _start_accounting(cluster, teams or {"blue": 1})
        cluster.start_controller()
        if stand and cluster.standing:
            cluster.power_up(cluster.standing)
            for name in cluster.standing:
                cluster.start_node(name)
        if stand and wait and cluster.standing:
            cluster.wait_idle()
        yield cluster
    finally:
        cluster.close()
        mark.close()


def _configure(
    cluster: SlurmCluster, idle_seconds: int, resume_seconds: int, extra: str, programs: Mapping[str, str]
) -> None:
    machine = cluster.machine
    for folder in (machine.run, machine.settings, machine.logs, machine.state):
        folder.mkdir(parents=True, exist_ok=True)
    machine.munge_key.write_bytes(secrets.token_bytes(128))
    machine.munge_key.chmod(0o400)
    # As on an emulated machine: Slurm starts a program that says whose it is, and that one the bundle's.
    awaits = f"#!/bin/sh\nexport FLEETFORM_ROOT={machine.root}\n{render(AwaitNodes())}"
    for name in (*PROGRAMS, "await-nodes"):
        script = Path(machine.program(name))
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(programs.get(name, awaits if name == "await-nodes" else _DO_NOTHING))
        script.chmod(0o755)
    fleets = tuple(cluster.fleets)
    cluster.rendered = {
        "slurm.conf": render(
            SlurmConf(
                cluster="bare",
                fleets=fleets,
                idle_seconds=idle_seconds,
                resume_seconds=resume_seconds,
                longest_minutes=600,
                accounting=cluster.accounting,
            )
        ),
        "gres.conf": render(GresConf(fleets=fleets)),
        "cgroup.conf": render(CgroupConf()),
    }
    compose.write_configuration(machine, cluster.rendered, CONTROLLER, accounting=cluster.accounting)
    if extra:
        with (machine.slurm_settings / "slurm.conf").open("a") as file:
            file.write(extra.rstrip("\n") + "\n")


def _start_accounting(cluster: SlurmCluster, teams: Mapping[str, int]) -> None:
    machine = cluster.machine
    accounts.write_slurmdbd_conf(machine, socket.gethostname())
    cluster.start("mariadb", service.mariadb(machine))
    cluster.start("slurmdbd", service.slurmdbd(machine))
    facts = {name: TeamFacts(share, getpass.getuser(), os.getuid()) for name, share in teams.items()}
    accounts.set_up(machine, "bare", facts, default_team=next(iter(teams)))


def _take_ports(count: int) -> tuple[int, socket.socket]:
    """Return the first of so many ports in a row that nobody uses, and what keeps other clusters off them.

    That is a socket on the last port of their window, for as long as it is open.
    """
    assert count < _WINDOW, f"{count} ports are more than a window has"
    lot = secrets.randbelow(_WINDOWS)
    for number in range(_WINDOWS):
        base = _FIRST_PORT + (lot + number) % _WINDOWS * _WINDOW
        with contextlib.suppress(OSError):
            mark = socket.create_server(("", base + _WINDOW - 1))
            if all(map(_is_free, range(base, base + count))):
                return base, mark
            mark.close()
    raise OSError("no free window of ports")


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_server(("", port)):
        return True
    return False


def wait_until(
    there: Callable[[], bool], what: str, seconds: float = _START_SECONDS, told: Callable[[], object] = str
) -> None:
    """Wait until something holds. Raises TimeoutError after `seconds`, with what it looked like last."""
    deadline, pause = time.monotonic() + seconds, 0.05
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}; {told()}")
        time.sleep(pause)
        # Looks are programs and calls, which share their cores with what is waited for.
        pause = min(1.2 * pause, 0.15)


def kill_marked(variable: str, value: str, *, within: Path | None = None) -> None:
    """Kill every process with that environment variable, and whatever descends from one."""
    for _ in range(50):
        left = _marked(variable, value, within)
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _marked(variable: str, value: str, within: Path | None) -> set[int]:
    wanted = [f"{variable}={value}".encode(), *([f"{MARK}={within}".encode()] if within else [])]
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError, IndexError, ValueError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state == "Z":
                    continue
                parents[int(entry.name)] = int(parent)
                marks = (entry / "environ").read_bytes().split(b"\0")
                if all(mark in marks for mark in wanted):
                    found.add(int(entry.name))
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


needs_slurm = pytest.mark.skipif(not slurm_is_installed(), reason="Slurm's daemons are not installed")
"""Marks a test that starts a cluster: `pytestmark = [pytest.mark.slurm, needs_slurm]`."""
