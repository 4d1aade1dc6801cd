"""The one door to Slurm's programs: what they print, read into values; the same from Slurm 21.08 to 23.11."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.cluster.machine import read_machine
from node.slurm.hostlist import compress, expand

__all__ = [
    "JobState", "NodeState", "SlurmError", "compress", "expand", "jobs", "nodes", "run",
    "update_node",
]  # fmt: skip

_NEEDED = ("PATH", "LD_LIBRARY_PATH", "SLURM_CONF")
"""What Slurm's programs need of their surroundings."""
_SEPARATOR = "\x1f"
"""Stands in no name, reason or path."""
_JOB_FIELDS = (
    "%A", "%F", "%K", "%j", "%T", "%r", "%D", "%N", "%Q", "%V", "%S", "%e", "%l", "%P", "%a", "%u",
)  # fmt: skip
"""squeue's letters for what a JobState is made of, in its order."""
_MINUTES = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")
_UNREACHED = re.compile(
    r"[Uu]nable to contact slurm controller|[Ss]ocket timed out|Connection (refused|reset|timed out)"
    r"|temporarily unable|Zero Bytes were transmitted|[Cc]ommunication (connection|shutdown) failure"
    r"|Message (send|receive) failure|[Mm]issing socket|Unable to connect"
    r"|Transport endpoint|[Cc]ould not establish a configuration source|Resource temporarily unavailable"
    r"|[Ss]lurm backup controller in standby|Insane message|[Pp]rotocol authentication error"
    r"|Unexpected message|Unspecified error|did not answer"
)
"""What Slurm's programs say where the controller could not be reached, or asks to be asked again."""


class SlurmError(Exception):
    """One of Slurm's programs failed, took too long, or is not there."""

    def __init__(self, program: str, code: int | None, stderr: str) -> None:
        """Note what failed; `code` is None where it did not come to an end."""
        self.program, self.code, self.stderr = program, code, stderr.strip()
        super().__init__(f"{program}: {self.reason}")

    @property
    def reason(self) -> str:
        """The last line of what the program said, without its own name before it."""
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        last = lines[-1] if lines else f"exit code {self.code}"
        return re.sub(rf"^({re.escape(self.program)}|slurm_\w+): (error: )?", "", last.strip())

    @property
    def passing(self) -> bool:
        """Whether Slurm's controller was not reached or busy, so that the same may go well a little later."""
        return self.code is None or _UNREACHED.search(self.stderr) is not None


@dataclass(frozen=True)
class NodeState:
    """One node as Slurm sees it."""

    name: str
    state: str
    """IDLE, MIXED, ALLOCATED, DOWN, ...: without its flags."""
    flags: frozenset[str]
    """CLOUD, DRAIN, POWERED_DOWN, POWERING_UP, ...; NOT_RESPONDING for what Slurm marks by an asterisk."""
    reason: str
    """Why it is down or drained; "" where it is not."""
    address: str


@dataclass(frozen=True)
class JobState:
    """One job, or one task of an array, as Slurm sees it."""

    job_id: int
    array_job_id: int
    """The array's id; the job's own where it is no array."""
    array_index: int | None
    name: str
    state: str
    """PENDING, CONFIGURING, RUNNING, COMPLETING, COMPLETED, FAILED, ..."""
    reason: str
    """Slurm's word for why it waits (`Resources`, `Priority`), "" without one."""
    nodes: int
    """How many it wants, or has."""
    node_names: str
    """Host list of the nodes that it has; "" before."""
    priority: int
    submitted: float | None
    """Seconds since the epoch, as the other times; None where Slurm knows none."""
    started: float | None
    """When it began, or of a job that waits when it may begin."""
    ended: float | None
    limit_minutes: float | None
    """None without a limit."""
    partition: str
    account: str
    user: str

    @property
    def target(self) -> str:
        """What Slurm's programs call it: a task that waits has the number of the whole array."""
        return str(self.job_id) if self.array_index is None else f"{self.array_job_id}_{self.array_index}"


def run(
    program: str,
    arguments: Sequence[str],
    *,
    timeout_s: float = 20.0,
    text: str = "",
    variables: Mapping[str, str] | None = None,
) -> str:
    """Run one of Slurm's programs with `text` on its standard input and return what it printed.

    Its environment is ours; with `variables` these, and of ours only what Slurm's programs need to be found.
    Raises SlurmError.
    """
    own = read_machine().variables()
    kept = own if variables is None else {name: own[name] for name in _NEEDED if name in own}
    environment = {**kept, **(variables or {}), "SLURM_TIME_FORMAT": "%s"}
    try:
        done = subprocess.run(
            [program, *arguments], input=text, capture_output=True, text=True, check=False,
            timeout=timeout_s, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SlurmError(program, None, f"{program} did not answer within {timeout_s:g} s") from error
    except OSError as error:
        raise SlurmError(program, 127, str(error)) from error
    if done.returncode != 0:
        raise SlurmError(program, done.returncode, done.stderr or done.stdout)
    return done.stdout


def jobs(states: str = "all", timeout_s: float = 30.0) -> list[JobState]:
    """Return the jobs in those states (squeue's names, comma-separated), each task of an array by itself."""
    # A job's name is its user's, who may have put a line of squeue into it: how a record begins is a secret.
    mark = secrets.token_hex(8)
    layout = _SEPARATOR.join((mark, *_JOB_FIELDS))
    arguments = ["--noheader", "--array", "--all", f"--states={states}", f"--format={layout}"]
    printed = run("squeue", arguments, timeout_s=timeout_s)
    records = (record.split(_SEPARATOR)[1:] for record in printed.split(mark)[1:])
    return [_job(record) for record in records if len(record) == len(_JOB_FIELDS) and record[0].isdigit()]


def _job(line: Sequence[str]) -> JobState:
    (job_id, array_id, index, name, state, reason, count, names, priority, submitted, started, ended, limit,
     partition, account, user) = (word.strip() for word in line)  # fmt: skip
    return JobState(
        job_id=int(job_id),
        array_job_id=int(array_id) if array_id.isdigit() else int(job_id),
        array_index=int(index) if index.isdigit() else None,
        name=name,
        state=state,
        reason="" if reason == "None" else reason,
        nodes=int(count) if count.isdigit() else 0,
        node_names="" if names in ("(null)", "n/a") else names,
        priority=int(priority) if priority.isdigit() else 0,
        submitted=_moment(submitted),
        started=_moment(started),
        ended=_moment(ended),
        limit_minutes=_minutes(limit),
        partition=partition,
        account="" if account == "(null)" else account,
        user=user,
    )


def _moment(text: str) -> float | None:
    return float(text) if text.isdigit() and int(text) > 0 else None


def _minutes(text: str) -> float | None:
    found = _MINUTES.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return days * 1440 + hours * 60 + minutes + seconds / 60


def nodes(names: str = "") -> list[NodeState]:
    """Return every node of the cluster, also those that are powered down; or those of a host list alone."""
    which = ["node", names] if names else ["nodes"]
    printed = run("scontrol", ["--all", "--oneliner", "show", *which])
    return [_node(line) for line in printed.splitlines() if line.startswith("NodeName=")]


def _node(line: str) -> NodeState:
    def field(name: str) -> str:
        found = re.search(rf"(?:^| ){name}=(\S+)", line)
        return found[1] if found else ""

    state, *flags = field("State").split("+")
    if state.endswith(("*", "~", "#", "!", "%", "$", "@", "^", "-")):
        flags += ["NOT_RESPONDING"] if state.endswith("*") else []
        state = state[:-1]
    because = re.search(r" Reason=(.*?)(?: \[[^\]]*\])?\s*$", line)
    reason = because[1] if because and because[1] != "(null)" else ""
    return NodeState(field("NodeName"), state, frozenset(flags), reason, field("NodeAddr"))


def update_node(name: str, **fields: str) -> None:
    """Change a node, or each of a host list: `update_node("gpu-1", State="DRAIN", Reason="health: ...")`."""
    changes = [f"{key}={' '.join(value.split())}" for key, value in fields.items()]
    run("scontrol", ["update", f"NodeName={name}", *changes])
