"""Slurm's texts: what an environment decides of its configuration; programs and units of its machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

DEFAULT_MINUTES = 60
"""Time limit of a job that names none; runs always name one."""
_BILLED_PER_USD = 1000
"""Billing units of a US dollar: fair share then counts what a machine costs, to a tenth of a cent."""


@dataclass(frozen=True, kw_only=True)
class SlurmFleet:
    """One fleet as Slurm sees it: a partition of its name, with the nodes NAME-1 to NAME-<max_nodes>."""

    name: str
    nodes: int
    """Nodes that always stand; the others come with the queue."""
    max_nodes: int
    cpus: int
    """vCPUs of a node."""
    memory_mib: int
    """Memory of a node that jobs may have, MiB."""
    gpus: int
    gpu_name: str
    """Slurm's type of them, `a10g`; "" without."""
    usd_per_hour: float
    """List price of a node: what its use counts in the fair share."""

    @property
    def node_names(self) -> str:
        """All its nodes as a host list, `gpu-[1-8]`."""
        return _names(self.name, self.max_nodes)

    @property
    def standing_names(self) -> str:
        """Its nodes that always stand; "" where there are none."""
        return _names(self.name, self.nodes) if self.nodes else ""

    @property
    def gres(self) -> str:
        """A node's accelerators, `gpu:a10g:4`."""
        return f"gpu:{self.gpu_name}:{self.gpus}"

    @property
    def gpu_files(self) -> str:
        """Device files of a node's accelerators, `/dev/nvidia[0-3]`."""
        return "/dev/nvidia0" if self.gpus == 1 else f"/dev/nvidia[0-{self.gpus - 1}]"

    @property
    def billing(self) -> str:
        """What a job is billed an hour: a node's price by its accelerators, or else by its cores."""
        kind, count = ("GRES/gpu", self.gpus) if self.gpus else ("CPU", self.cpus)
        return f"{kind}={self.usd_per_hour * _BILLED_PER_USD / count:.3f}"


def _names(fleet: str, count: int) -> str:
    return f"{fleet}-1" if count == 1 else f"{fleet}-[1-{count}]"


@dataclass(frozen=True, kw_only=True)
class SlurmConf:
    """`slurm.conf` without what only a machine knows; node/cluster/compose.py adds that."""

    template: ClassVar[str] = "slurm/slurm.conf.j2"

    cluster: str
    """The environment's name."""
    fleets: tuple[SlurmFleet, ...]
    """At least one; the first is the default partition."""
    idle_seconds: int
    """After so long without a job an elastic node is ended."""
    resume_seconds: int
    """So long a node may take from its launch until it answers."""
    longest_minutes: int
    """Longest time limit that a job may ask for."""
    accounting: bool
    """Whether slurmdbd keeps accounts: shares of teams, priorities, history."""
    default_minutes: int = DEFAULT_MINUTES
    standing: tuple[str, ...] = ()
    """Host lists of the nodes that are never ended for idleness; made from the fleets."""

    def __post_init__(self) -> None:
        """Derive what the template needs of the fleets."""
        names = tuple(fleet.standing_names for fleet in self.fleets if fleet.nodes)
        object.__setattr__(self, "standing", names)


@dataclass(frozen=True, kw_only=True)
class GresConf:
    """`gres.conf`: the accelerators of each fleet's nodes, as device files."""

    template: ClassVar[str] = "slurm/gres.conf.j2"

    fleets: tuple[SlurmFleet, ...]


@dataclass(frozen=True)
class CgroupConf:
    """`cgroup.conf`; the same in every environment, a machine adds what its version of Slurm needs."""

    template: ClassVar[str] = "slurm/cgroup.conf.j2"


@dataclass(frozen=True, kw_only=True)
class SlurmProgram:
    """A program that Slurm calls without arguments of ours: it runs one module of the node bundle."""

    template: ClassVar[str] = "slurm/program.sh.j2"

    purpose: str
    """What it is for, a sentence."""
    module: str
    """Module of `node/`, `health.prolog`."""


@dataclass(frozen=True)
class JobScript:
    """The batch script of every run; it takes nothing of a user's."""

    template: ClassVar[str] = "slurm/job.sh.j2"


@dataclass(frozen=True)
class AwaitNodes:
    """What slurmctld runs before a job: it ends when the job's nodes answer."""

    template: ClassVar[str] = "slurm/await_nodes.sh.j2"


@dataclass(frozen=True, kw_only=True)
class MetadataRule:
    """Rules of nftables: which users may ask a machine's metadata service, and so have the machine's role."""

    template: ClassVar[str] = "slurm/metadata.nft.j2"

    users: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A systemd service of a machine of a cluster; the same in every environment."""

    template: ClassVar[str] = "slurm/unit.service.j2"

    name: str
    """`fleetform-slurmctld`."""
    description: str
    command: str
    """What `fleetform-node` runs: `service slurmctld`."""
    after: tuple[str, ...] = ()
    """Names of the units that are started before it."""
    on_state_volume: bool = False
    """Whether it keeps something on the head's state volume, and waits for it."""
    once: bool = False
    """Whether it ends when it has succeeded, and is only then not started again."""
    kill_mode: str = "mixed"
    delegate: bool = False
    """Whether it has control groups of its own to deal out, as slurmd for its jobs."""


PROGRAMS = {
    "prolog": SlurmProgram(purpose="Looks a node over before a job gets it", module="health.prolog"),
    "epilog": SlurmProgram(purpose="Cleans a node up after a job", module="health.epilog"),
    "resume": SlurmProgram(purpose="Starts machines for the nodes that it is told", module="elastic.resume"),
    "suspend": SlurmProgram(purpose="Ends the machines of idle nodes", module="elastic.suspend"),
    "resume-failed": SlurmProgram(
        purpose="Hears of nodes that did not come up in time", module="elastic.resume_failed"
    ),
}
"""Slurm's programs by the file in `bin/` of the node bundle."""

METADATA_RULES = {
    # What starts and ends machines is called by slurmctld, as its user.
    "metadata-head.nft": MetadataRule(users=("root", "slurm")),
    "metadata-node.nft": MetadataRule(users=("root",)),
}
"""The rules of a machine by their file in `rules/` of the node bundle, one for each role."""

BOOT_UNIT = Unit(
    name="fleetform-boot",
    description="Makes this machine a part of its cluster",
    command="boot",
    once=True,
)
"""What makes a machine a head node or a node, tried until it is one; user data starts it."""

HEAD_UNITS = (
    Unit(
        name="fleetform-munged",
        description="Proof of identity between Slurm's daemons",
        command="service munged",
    ),
    Unit(
        name="fleetform-mariadb",
        description="Database of Slurm's accounting",
        command="service mariadb",
        on_state_volume=True,
    ),
    Unit(
        name="fleetform-slurmdbd",
        description="Slurm's accounting",
        command="service slurmdbd",
        after=("fleetform-munged", "fleetform-mariadb"),
    ),
    Unit(
        name="fleetform-slurmctld",
        description="Slurm's controller",
        command="service slurmctld",
        after=("fleetform-munged", "fleetform-slurmdbd"),
        on_state_volume=True,
        # What it has started for nodes that come and go is in the middle of its work, and ends by itself.
        kill_mode="process",
    ),
    Unit(
        name="fleetform-clerk",
        description="Takes runs to Slurm and tells of them",
        command="slurm.clerk",
        after=("fleetform-slurmctld",),
        on_state_volume=True,
    ),
)
"""What runs on a head node, in the order of its start."""
NODE_UNITS = (
    HEAD_UNITS[0],
    Unit(
        name="fleetform-metadata",
        description="What runs get in place of the machine's metadata, the role of their team among it",
        command="metadata.server",
    ),
    Unit(
        name="fleetform-slurmd",
        description="Slurm's daemon of a node",
        command="service slurmd",
        after=("fleetform-munged", "fleetform-metadata"),
        # Jobs go on while it is started again.
        kill_mode="process",
        delegate=True,
    ),
    Unit(
        name="fleetform-agent",
        description="Watches the node for its head and for interruptions",
        command="agent.main",
        after=("fleetform-slurmd",),
    ),
)
"""What runs on a node, in the order of its start."""
