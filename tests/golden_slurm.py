"""The rendered and composed texts of a Slurm cluster, and the golden files that they are compared with.

`python -m tests.golden_slurm` writes the files anew.
"""

from __future__ import annotations

import getpass
import platform
from pathlib import Path

from node.cluster import compose
from node.cluster.machine import Machine
from stacks.bundle import rendered_members
from templates.engine import render
from templates.slurm_files import CgroupConf, GresConf, SlurmConf, SlurmFleet

FOLDER = Path(__file__).parent / "golden" / "slurm"
CONTROLLER = compose.Controller("ip-10-20-0-7", "10.20.0.7")
REAL = Machine(root=Path("/"), run=Path("/run/fleetform"))
NAMESPACES = Machine(
    root=Path("/tmp/my project/nodes/i-1"),
    run=Path("/tmp/ff/1"),
    programs=Path("/tmp/my project/machines/vision"),
)
PORTS = Machine(
    root=Path("/tmp/nodes/i-1"),
    run=Path("/tmp/ff/1"),
    port_base=20_000,
    prefix=Path("/tmp/unpacked"),
    programs=Path("/tmp/machines/vision"),
)
FLEETS = (
    SlurmFleet(
        name="gpu",
        nodes=2,
        max_nodes=8,
        cpus=48,
        memory_mib=184_832,
        gpus=4,
        gpu_name="a10g",
        usd_per_hour=5.672,
    ),
    SlurmFleet(
        name="big",
        nodes=0,
        max_nodes=1,
        cpus=192,
        memory_mib=1_925_120,
        gpus=8,
        gpu_name="h100",
        usd_per_hour=55.04,
    ),
    SlurmFleet(
        name="cpu", nodes=1, max_nodes=1, cpus=8, memory_mib=30_000, gpus=0, gpu_name="", usd_per_hour=0.4
    ),
)


def slurm_conf(*, accounting: bool) -> str:
    """Return the environment's part of slurm.conf."""
    return render(
        SlurmConf(
            cluster="vision-lab",
            fleets=FLEETS,
            idle_seconds=600,
            resume_seconds=900,
            longest_minutes=10_080,
            accounting=accounting,
        )
    )


def texts() -> dict[str, str]:
    """Return every text by the name of its golden file."""
    conf, gres, cgroup = slurm_conf(accounting=True), render(GresConf(fleets=FLEETS)), render(CgroupConf())
    found = {"slurm.conf": conf, "slurm-without-accounting.conf": slurm_conf(accounting=False)}
    for name, machine, version in (
        ("21.08", REAL, (21, 8)),
        ("22.05", REAL, (22, 5)),
        ("23.11", REAL, (23, 11)),
        ("namespaces", NAMESPACES, (22, 5)),
        ("ports", PORTS, (22, 5)),
    ):
        lines = compose.machine_lines(machine, CONTROLLER, version, accounting=True)
        composed = compose.slurm_conf(conf, lines, machine)
        if machine.emulated:
            # Whoever runs the tests, on whatever computer.
            composed = composed.replace(f"User={getpass.getuser()}\n", "User=me\n")
            composed = composed.replace(f"/{platform.machine()}-linux-gnu", "/x86_64-linux-gnu")
        found[f"machine-{name}/slurm.conf"] = composed
        found[f"machine-{name}/gres.conf"] = compose.gres_conf(gres, machine)
        found[f"machine-{name}/cgroup.conf"] = compose.cgroup_conf(cgroup, machine, version)
    found |= {name: data.decode() for name, data, _ in rendered_members()}
    return found


def main() -> None:
    """Write the golden files."""
    for name, text in texts().items():
        file = FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


if __name__ == "__main__":
    main()
