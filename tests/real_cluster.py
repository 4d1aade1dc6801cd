"""A head and a node of a real machine's kind, both on this one: what emulated machines cannot show.

Run by root in namespaces of its own, with folders of the system's replaced by empty ones:

    unshare --mount --net --pid --fork --mount-proc --kill-child python -m tests.real_cluster

There every daemon has the user and the paths of a machine in the cloud, the node asks its head for the
configuration, and teams have users of the operating system. It prints what it found, as JSON.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.cluster import accounting, munge_key, refresh, service, users
from node.cluster.facts import ClusterFacts, FleetFacts, TeamFacts
from node.cluster.machine import Machine, read_machine
from node.elastic.backoff import Backoff
from node.elastic.head import Head, state_folder
from node.elastic.keeper import Keeper
from node.elastic.resume import serve
from node.elastic.wants import Want
from tests.emptied_system import ADDRESS, empty_the_system, run
from tests.real_configuration import add_a_node, configure
from tests.slurm_cluster import wait_until

TEAMS = {"blue": TeamFacts(2, "ff-blue", 20_001), "green": TeamFacts(1, "ff-green", 20_002)}
_DO_NOTHING = "#!/bin/sh\nexit 0\n"


class NoMachines:
    """An EC2 without a machine, and with nothing to sell."""

    def get_paginator(self, _: str) -> NoMachines:
        return self

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        return [{"Reservations": []}]

    def create_fleet(self, **_: object) -> dict[str, Any]:
        missing = {"ErrorCode": "InsufficientInstanceCapacity", "ErrorMessage": "none left"}
        return {"Instances": [], "Errors": [missing]}


def start(make: Callable[[], service.Daemon], log: str) -> None:
    """Start a daemon as its unit would: a process of root's that becomes it."""
    if os.fork() == 0:
        output = os.open(f"/var/log/fleetform/{log}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        service.execute(make())


def start_cluster(machine: Machine) -> None:
    """Start head and node."""
    for name in ("prolog", "epilog", "resume", "suspend", "resume-failed", "await-nodes"):
        file = Path(machine.program(name))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_DO_NOTHING)
        file.chmod(0o755)
    machine.logs.mkdir(parents=True)
    users.ensure_users(machine, TEAMS)
    munge_key.install_key(machine, secrets.token_bytes(munge_key.KEY_BYTES))
    configure(machine, ADDRESS, 2)
    refresh.note_applied(machine)
    accounting.write_slurmdbd_conf(machine, socket.gethostname())
    start(lambda: service.munged(machine), "munged")
    start(lambda: service.mariadb(machine), "mariadb")
    start(lambda: service.slurmdbd(machine), "slurmdbd")
    accounting.set_up(machine, "real", TEAMS, default_team="blue")
    start(lambda: service.slurmctld(machine), "slurmctld")
    wait_until(lambda: "UP" in run("scontrol", "ping"), "slurmctld")
    run("scontrol", "update", "NodeName=gpu-1", f"NodeAddr={ADDRESS}", f"NodeHostname={socket.gethostname()}")
    run("scontrol", "update", "NodeName=gpu-1", "State=POWER_UP")
    start_node(machine)


def start_machines() -> dict[str, object]:
    """Look for machines as root, as the clerk does; then want one as the resume program, which is Slurm's."""
    fleet_facts = FleetFacts(
        nodes=1,
        max_nodes=2,
        cpus=2,
        memory_mib=2000,
        gpus=0,
        gpu_name="",
        instance_type="c5.large",
        launch_templates={"on_demand": "real-gpu"},
        subnet_ids=("subnet-a",),
        placement="together",
        purchases=("on_demand",),
    )
    facts = ClusterFacts(
        environment="real",
        region="us-east-1",
        resume_seconds=60,
        longest_minutes=600,
        accounting=True,
        default_team="blue",
        munge_secret="",
        state_volume="",
        teams=TEAMS,
        fleets={"gpu": fleet_facts},
    )
    head = Head(facts, NoMachines(), state_folder(), Path("/var/log/fleetform/elastic.log"))
    Keeper(head).look()
    process = os.fork()
    if process == 0:
        slurm = pwd.getpwnam("slurm")
        os.setgid(slurm.pw_gid)
        os.setuid(slurm.pw_uid)
        os._exit(0 if serve(head, Want("gpu", ("gpu-2",), {}, together=False)) else 1)
    _, status = os.waitpid(process, 0)
    held = Backoff(head.state).closed("gpu", 1)
    Keeper(head).look()  # nothing of Slurm's user keeps root from going on
    return {"status": status, "held": held.message if held else "", "log": head.log_file.read_text()}


def start_node(machine: Machine) -> None:
    """Start the node's daemon where there is no configuration but the head's, and wait until it is idle."""
    start(lambda: service.slurmd(machine, service.NodeStart("gpu-1", ADDRESS)), "slurmd")
    wait_until(lambda: run("sinfo", "-h", "-n", "gpu-1", "-o", "%T") == "idle", "the node")


def find() -> dict[str, object]:
    """Return what is so on such machines."""
    elastic = start_machines()
    daemons = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            name = (entry / "comm").read_text().strip()
            if name in ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd"):
                daemons[name] = entry.owner()
    submit = ("sbatch", "--wait", "--output=/tmp/out-%u", "--chdir=/", "--wrap", "id -un; id -gn; id -Gn")
    return {
        "daemons": daemons,
        "elastic": elastic,
        "teams_job": run(*submit, "--uid=ff-blue", "--gid=ff-blue", "--account=blue"),
        "teams_job_said": run("cat", "/tmp/out-ff-blue"),
        "roots_job": run("srun", "--account=blue", "id", "-un"),
        "as_another": run("sbatch", "--uid=ff-blue", "--account=blue", "--wrap", "id", user="ff-green"),
        "anothers_account": run("sbatch", "--account=blue", "--wrap", "id", user="ff-green"),
        "nobodys_job": run("sbatch", "--wrap", "id", user="nobody"),
        "others_jobs": _others_jobs(),
        "others_folder": run("ls", "/var/fleetform/teams/20001", user="ff-green"),
        "key": run("cat", "/etc/fleetform/munge.key", user="ff-green"),
        "accounting_file": run("cat", "/etc/slurm/slurmdbd.conf", user="ff-green"),
        "database": run("mariadb", f"--socket={service.mariadb_socket(read_machine())}", user="ff-green"),
        "changes_node": run(
            "scontrol", "update", "NodeName=gpu-1", "State=DOWN", "Reason=x", user="ff-green"
        ),
        "from_the_head": sorted(file.name for file in Path("/var/spool/slurmd/gpu-1/conf-cache").iterdir()),
    }


def _others_jobs() -> dict[str, str]:
    """Return what one team's user sees, and can do, of another's job that runs."""
    team = ("--uid=ff-blue", "--account=blue")
    job = run("sbatch", "--parsable", "--output=/dev/null", *team, "--wrap", "sleep 60")
    wait_until(lambda: run("squeue", "-h", "-j", job, "-o", "%T") == "RUNNING", "a job")
    found = {
        "seen": run("squeue", "-h", user="ff-green"),
        "cancelled": run("scancel", job, user="ff-green"),
        "recorded": run("sacct", "-nX", "-a", "-o", "user", user="ff-green"),
        "entered": run("srun", f"--jobid={job}", "--overlap", "id", user="ff-green"),
        "after": run("squeue", "-h", "-j", job, "-o", "%T"),
    }
    run("scancel", job)
    return found


def main() -> None:
    """Make the machines, and print what is so on them."""
    for name in [each for each in os.environ if each.startswith(("FLEETFORM_", "SLURM_"))]:
        del os.environ[name]
    empty_the_system()
    machine = read_machine()

    def controller() -> service.Daemon:
        return service.slurmctld(machine)

    try:
        start_cluster(machine)
        found = find()
        # Last, for what was found before is of two nodes.
        found["node_added"] = add_a_node(machine, ADDRESS, lambda: start(controller, "slurmctld"))
        json.dump(found, sys.stdout)
    except Exception:
        for log in sorted(Path("/var/log/fleetform").iterdir()):
            print(f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
