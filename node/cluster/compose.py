"""Slurm's configuration on one machine: what the environment decides, and what only the machine knows."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node.cluster.machine import Machine

Version = tuple[int, int]
CREDENTIAL_SECONDS = 5
"""How long a credential is good for: Slurm starts no requeued job before. It does not honour less than 5."""
CGROUP_V2_SINCE: Version = (22, 5)
"""Older versions know neither control groups v2, which Ubuntu 22.04 has, nor the setting CgroupPlugin."""
_NODE_LINE = re.compile(r"^NodeName=([a-z][a-z0-9]*)-(?:(\d+)|\[1-(\d+)\])(?= )", re.MULTILINE)
_DEVICES = re.compile(r"(?<=File=)/dev/nvidia(?:(\d+)|\[0-(\d+)\])$", re.MULTILINE)


@dataclass(frozen=True)
class Controller:
    """The head as Slurm's programs find it."""

    hostname: str
    """Its name without the domain, which slurmctld compares with its machine's."""
    address: str
    """Private IPv4 address."""


@dataclass(frozen=True, kw_only=True)
class MachineLines:
    """The lines of `slurm.conf` that only a machine knows, by Slurm's names; "" leaves one out."""

    slurmctld_host: str
    slurmctld_port: int
    slurmd_port: int
    slurm_user: str
    slurmd_user: str
    auth_type: str = "auth/munge"
    cred_type: str = "cred/munge"
    auth_info: str
    state_save_location: Path
    slurmd_spool_dir: Path
    slurmctld_pid_file: Path
    slurmd_pid_file: Path
    slurmctld_log_file: Path
    slurmd_log_file: Path
    log_time_format: str = "iso8601_ms"
    proctrack_type: str
    task_plugin: str
    job_acct_gather_type: str
    prolog: str
    epilog: str
    prolog_slurmctld: str
    resume_program: str
    resume_fail_program: str
    suspend_program: str
    accounting_storage_host: str
    accounting_storage_port: int
    accounting_storage_pass: str
    plugin_dir: str
    slurmd_parameters: str
    debug_flags: str
    disable_root_jobs: str

    def text(self) -> str:
        """Return the lines as Slurm reads them."""
        values = {_slurm_name(each.name): getattr(self, each.name) for each in dataclasses.fields(self)}
        return "".join(f"{name}={_literal(str(value))}\n" for name, value in values.items() if value)


def _slurm_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _literal(value: str) -> str:
    """Return a value that Slurm reads as one word, whatever the folder in it is called."""
    assert not re.search(r'["\n]', value), f"Slurm cannot read {value!r}"
    return f'"{value}"' if re.search(r"[\s#]", value) else value


def machine_lines(
    machine: Machine, controller: Controller, version: Version, accounting: bool
) -> MachineLines:
    """Return the lines of this machine; those of a real head hold for its nodes too, which ask it."""
    contained = not machine.emulated and version >= CGROUP_V2_SINCE
    gathered = "jobacct_gather/cgroup" if contained else "jobacct_gather/linux"
    socket = f"socket={machine.munge_socket}," if machine.emulated else ""
    return MachineLines(
        slurmctld_host=f"{controller.hostname}({controller.address})",
        slurmctld_port=machine.controller_port,
        slurmd_port=machine.node_port(0),
        slurm_user=machine.user("slurm"),
        slurmd_user=machine.user("root"),
        auth_info=f"{socket}cred_expire={CREDENTIAL_SECONDS}",
        state_save_location=machine.state / "slurmctld",
        slurmd_spool_dir=machine.spool / "%n",
        slurmctld_pid_file=machine.run / "slurm" / "slurmctld.pid",
        slurmd_pid_file=machine.run / "slurmd-%n.pid",
        slurmctld_log_file=machine.logs / "slurmctld.log",
        slurmd_log_file=machine.logs / "slurmd-%n.log",
        # Emulated machines may have no control groups at all.
        proctrack_type="proctrack/cgroup" if contained else "proctrack/linuxproc",
        task_plugin="" if machine.emulated else "task/cgroup,task/affinity" if contained else "task/affinity",
        job_acct_gather_type=gathered if accounting else "",
        prolog=machine.program("prolog"),
        epilog=machine.program("epilog"),
        # Without it a job whose nodes have just come is looked at again only half a minute later.
        prolog_slurmctld=machine.program("await-nodes"),
        resume_program=machine.program("resume"),
        resume_fail_program=machine.program("resume-failed"),
        suspend_program=machine.program("suspend"),
        accounting_storage_host=controller.address if accounting else "",
        accounting_storage_port=machine.database_port if accounting else 0,
        accounting_storage_pass=str(machine.munge_socket) if accounting and machine.emulated else "",
        plugin_dir=str(machine.plugins or ""),
        # Emulated machines declare cores that the hardware lacks, and each has paths of its own here.
        slurmd_parameters="config_overrides" if machine.emulated else "",
        debug_flags="NO_CONF_HASH" if machine.emulated else "",
        disable_root_jobs="" if machine.emulated else "YES",
    )


def slurm_conf(rendered: str, lines: MachineLines, machine: Machine) -> str:
    """Return the whole `slurm.conf`: the environment's, its nodes with ports where they share them, ours."""
    return f"{_with_ports(rendered, machine)}\n# What only this machine knows.\n{lines.text()}"


def _with_ports(rendered: str, machine: Machine) -> str:
    if not machine.port_base:
        return rendered
    index = 0

    def with_port(line: re.Match[str]) -> str:
        nonlocal index
        count = int(line[3]) if line[3] else 1
        first, last = machine.node_port(index), machine.node_port(index + count - 1)
        index += count
        return f"{line[0]} Port={first}" if count == 1 else f"{line[0]} Port=[{first}-{last}]"

    return _NODE_LINE.sub(with_port, rendered)


def gres_conf(rendered: str, machine: Machine) -> str:
    """Return `gres.conf`, on an emulated machine with devices of its own in place of the hardware's."""
    if not machine.emulated:
        return rendered
    return _DEVICES.sub(lambda found: found[0].replace("/dev/", f"{device_folder(machine)}/"), rendered)


def cgroup_conf(rendered: str, machine: Machine, version: Version) -> str:
    """Return `cgroup.conf`; what finds out which control groups there are fails where there are none."""
    if version < CGROUP_V2_SINCE:
        return rendered
    return f"{rendered}CgroupPlugin={'cgroup/v1' if machine.emulated else 'autodetect'}\n"


def device_folder(machine: Machine) -> Path:
    """Return where an emulated machine has its accelerators: device files that take anything."""
    return machine.root / "dev" / "fleetform"


def make_devices(rendered_gres: str, machine: Machine) -> None:
    """Make the accelerators of an emulated machine; plain files Slurm would not take for devices."""
    folder = device_folder(machine)
    folder.mkdir(parents=True, exist_ok=True)
    counts = [int(found[2] or found[1]) + 1 for found in _DEVICES.finditer(rendered_gres)]
    for index in range(max(counts, default=0)):
        device = folder / f"nvidia{index}"
        if not device.is_symlink():
            device.symlink_to("/dev/null")


def slurm_version(machine: Machine) -> Version:
    """Return the version of Slurm on this machine, `(22, 5)`. Raises ProgramMissingError."""
    name = next((each for each in ("slurmctld", "slurmd") if machine.has(each)), "scontrol")
    said = subprocess.run(
        [machine.executable(name), "-V"],
        capture_output=True,
        text=True,
        check=True,
        env=machine.variables(),
        timeout=20,
    ).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    assert found, said
    return int(found[1]), int(found[2])


def write_configuration(
    machine: Machine,
    rendered: Mapping[str, str],
    controller: Controller,
    *,
    accounting: bool,
    version: Version | None = None,
) -> None:
    """Write Slurm's configuration of this machine.

    `rendered` has the environment's text of each file of facts.CONFIGURATION.
    """
    known = version or slurm_version(machine)
    lines = machine_lines(machine, controller, known, accounting)
    if machine.emulated:
        make_devices(rendered["gres.conf"], machine)
    texts = {
        "slurm.conf": slurm_conf(rendered["slurm.conf"], lines, machine),
        "gres.conf": gres_conf(rendered["gres.conf"], machine),
        "cgroup.conf": cgroup_conf(rendered["cgroup.conf"], machine, known),
    }
    machine.slurm_settings.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        _write(machine.slurm_settings / name, text)


def _write(file: Path, text: str) -> None:
    """Replace the file where it says something else."""
    if file.is_file() and file.read_text() == text:
        return
    part = file.with_name(f".{file.name}")
    part.write_text(text)
    part.replace(file)
