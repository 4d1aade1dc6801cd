"""The daemons of a machine of a cluster: the arguments, environment and user that each is started with."""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.cluster.machine import Machine

READY_SECONDS = 60.0
"""How long a daemon waits for what it needs of another; then it fails, and is started again."""
_POLL_SECONDS = 0.05
_REAL_STORAGE = ("--innodb-buffer-pool-size=256M", "--innodb-log-file-size=64M")
"""MariaDB's memory for pages and its log; slurmdbd advises at least 128 MiB and 64 MiB."""
_EMULATED_STORAGE = ("--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M")


class NotReadyError(Exception):
    """What a daemon needs is not there; one line."""


@dataclass(frozen=True)
class Daemon:
    """A daemon as it is to be started, in the foreground."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    user: str = ""
    """User that it is started as; "" where it changes to its own by itself."""


@dataclass(frozen=True)
class NodeStart:
    """What slurmd needs to know: which node it is, and where its controller is."""

    name: str
    controller: str
    """Address of the controller, asked for the configuration; "" where this machine composed its own."""


def munged(machine: Machine) -> Daemon:
    """Return the daemon that proves who sent what to whom, by the key that all machines have."""
    user = machine.user("munge")
    folder = make_folder(machine.munge_socket.parent, user, 0o755)
    seed = make_folder(machine.run if machine.emulated else Path("/var/lib/munge"), user, 0o700)
    argv = [machine.executable("munged"), "--foreground", f"--socket={machine.munge_socket}"]
    argv += [f"--key-file={machine.munge_key}", f"--pid-file={folder / 'munged.pid'}"]
    # It mistrusts a socket that not every user reaches; on an emulated machine just that is wanted.
    argv += [f"--seed-file={seed / 'munge.seed'}", *(["--force"] if machine.emulated else [])]
    return Daemon(argv, machine.variables(), user)


def mariadb(machine: Machine) -> Daemon:
    """Return the accounting's database, reached by a socket alone; it is made where there is none yet."""
    user = machine.user("mysql")
    data = make_folder(machine.state / "mariadb", user, 0o700)
    make_folder(machine.run, "", 0o755)
    sockets = make_folder(machine.run / "mariadb", user, 0o755)
    if not (data / "mysql").is_dir():
        _make_database(machine, data, user)
    argv = [machine.executable("mariadbd"), "--no-defaults", *_database_base(machine), f"--datadir={data}"]
    argv += [f"--user={user}"]
    argv += [f"--socket={sockets / 'mariadb.sock'}", f"--pid-file={sockets / 'mariadbd.pid'}"]
    argv += ["--skip-networking", *_storage(machine)]
    # slurmdbd's long transactions; its advice.
    argv += ["--innodb-lock-wait-timeout=900"]
    return Daemon(argv, machine.variables())


def _make_database(machine: Machine, data: Path, user: str) -> None:
    """Make an empty database whose one account is slurmdbd's user of the operating system."""
    part = make_folder(data.with_name("mariadb.new"), user, 0o700)
    subprocess.run(
        [
            machine.executable("mariadb-install-db"),
            "--no-defaults",
            *_database_base(machine),
            f"--datadir={part}",
            f"--user={user}",
            "--auth-root-authentication-method=socket",
            f"--auth-root-socket-user={machine.user('slurm')}",
            "--skip-test-db",
            *_storage(machine),
        ],
        check=True,
        env=machine.variables(),
        stdout=subprocess.DEVNULL,
    )
    # Whole or not at all: a head may die over it.
    data.rmdir()
    part.rename(data)


def _database_base(machine: Machine) -> list[str]:
    """Return what tells MariaDB of unpacked packages where its own files are."""
    return [f"--basedir={machine.prefix / 'usr'}"] if machine.prefix else []


def _storage(machine: Machine) -> tuple[str, ...]:
    return _EMULATED_STORAGE if machine.emulated else _REAL_STORAGE


def mariadb_socket(machine: Machine) -> Path:
    """Return where the accounting's database listens."""
    return machine.run / "mariadb" / "mariadb.sock"


def slurmdbd(machine: Machine) -> Daemon:
    """Return the accounting daemon; accounting.py has written its configuration."""
    wait_for(machine.munge_socket.exists, "munged")
    wait_for(mariadb_socket(machine).exists, "MariaDB")
    variables = {**machine.variables(), "MYSQL_UNIX_PORT": str(mariadb_socket(machine))}
    variables["SLURM_CONF"] = str(machine.slurm_settings / "slurm.conf")
    return Daemon([machine.executable("slurmdbd"), "-D"], variables)


def slurmctld(machine: Machine) -> Daemon:
    """Return the controller; it keeps its state on the state volume."""
    wait_for(machine.munge_socket.exists, "munged")
    user = machine.user("slurm")
    make_folder(machine.run, "", 0o755)
    for folder in (machine.state / "slurmctld", machine.state / "elastic"):
        make_folder(folder, user, 0o700)
    for log in ("slurmctld.log", "elastic.log"):
        make_file(machine.logs / log, user)
    make_folder(machine.run / "slurm", user, 0o755)
    configuration = str(machine.slurm_settings / "slurm.conf")
    return Daemon([machine.executable("slurmctld"), "-D", "-f", configuration], machine.variables())


def slurmd(machine: Machine, start: NodeStart) -> Daemon:
    """Return a node's daemon."""
    wait_for(machine.munge_socket.exists, "munged")
    make_folder(machine.run, "", 0o755)
    spool = make_folder(machine.spool, "", 0o755)
    argv = [machine.executable("slurmd"), "-D", "-N", start.name]
    if start.controller:
        argv += ["--conf-server", f"{start.controller}:{machine.controller_port}"]
    else:
        argv += ["-f", str(machine.slurm_settings / "slurm.conf")]
    if not _has_steps(spool / start.name, start.name):
        # Slurm takes a node for started only when it says so. One on which a job goes on has not been.
        argv.append("-b")
    if machine.prefix:
        argv += ["-d", machine.executable("slurmstepd")]
    return Daemon(argv, machine.variables())


def _has_steps(spool: Path, name: str) -> bool:
    """Return whether steps of jobs run here: each has a socket `NODE_JOB.STEP` in slurmd's folder."""
    return any(entry.is_socket() for entry in spool.glob(f"{name}_*.*"))


def execute(daemon: Daemon) -> None:
    """Become the daemon; does not return."""
    if daemon.user and os.getuid() == 0 and daemon.user != "root":
        entry = pwd.getpwnam(daemon.user)
        os.initgroups(daemon.user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    os.execve(daemon.argv[0], list(daemon.argv), dict(daemon.environment))  # noqa: S606


def wait_for(is_there: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Wait until something is there. Raises NotReadyError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_there():
        if time.monotonic() > deadline:
            raise NotReadyError(f"{what} is not ready after {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


def make_folder(folder: Path, user: str, mode: int) -> Path:
    """Make a folder that belongs to the user ("" for whoever runs this), and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(mode)
    _own(folder, user)
    return folder


def make_file(file: Path, user: str) -> None:
    """Make an empty file of the user's, in a folder that need not be the user's, unless it is there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    _own(file, user)


def _own(path: Path, user: str) -> None:
    if user and os.getuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)
