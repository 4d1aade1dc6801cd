"""What a run asks of the cluster, checked: whoever submits it is not trusted, and wrote `run.json` alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from node.cluster.facts import ClusterFacts, FleetFacts
from node.layout import epoch_seconds

RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
TEAM = re.compile(r"[a-z][a-z0-9]{0,19}")
_OWN_RUN_ID = re.compile(r"[0-9][a-z0-9-]{0,62}")
"""Of the default team; a further team's begins with the team's name."""
_FLEET = re.compile(r"[a-z][a-z0-9-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:#@+-]{0,254}")
PRIORITIES = ("low", "normal", "high")
MOST_TASKS = 1000
"""Tasks of an array: each is a run with a directory of its own."""
LAST_INDEX = 10_000
"""Of a task: the largest that `MaxArraySize` of slurm.conf lets through."""
MOST_REQUEUES = 20
_MOST_AFTER = 50


class RefusedError(Exception):
    """The run can't be taken; the message names every reason."""


@dataclass(frozen=True)
class Array:
    """The tasks of a run that is many."""

    first: int
    last: int
    at_once: int
    """How many of them may run at a time; 0 for as many as there is room for."""

    @property
    def indices(self) -> range:
        """The numbers of its tasks."""
        return range(self.first, self.last + 1)


@dataclass(frozen=True)
class Request:
    """A run's checked wishes."""

    run_id: str
    team: str
    user: str
    """Of the operating system, whom its job belongs to."""
    fleet: str
    nodes: int
    gpus: int
    """GPUs on each node; 0 where the fleet has none."""
    cpus: int
    """Cores on each node where it shares the node; 0 for all of them."""
    limit_minutes: float
    priority: str
    begin: float | None
    """Seconds since the epoch before which it does not start."""
    after: tuple[str, ...]
    after_any: bool
    """Whether those may also have failed."""
    array: Array | None
    requeues: int
    """How many crashes it may have."""
    image: str
    attempt: int


def belongs(run_id: str, team: str, facts: ClusterFacts) -> bool:
    """Return whether the run's id is one of the team's."""
    if team == facts.default_team:
        return _OWN_RUN_ID.fullmatch(run_id) is not None
    return RUN_ID.fullmatch(run_id) is not None and run_id.startswith(f"{team}-")


def check(run: Mapping[str, Any], run_id: str, team: str, facts: ClusterFacts) -> Request:
    """Return what `run.json` asks for. Raises RefusedError with every reason against it."""
    problems = list(_problems(run, run_id, team, facts))
    if problems:
        raise RefusedError("; ".join(problems))
    fleet = facts.fleets[run["fleet"]]
    asked = run.get("gpus_per_node")
    gpus = fleet.gpus if asked is None else int(asked)
    shares = gpus < fleet.gpus
    array = run.get("array")
    return Request(
        run_id=run_id,
        team=team,
        user=facts.teams[team].user,
        fleet=run["fleet"],
        nodes=run["nodes"],
        gpus=gpus,
        cpus=max(1, fleet.cpus * max(1, gpus) // fleet.gpus) if shares else 0,
        limit_minutes=float(run["max_minutes"]),
        priority=run.get("priority") or "normal",
        begin=epoch_seconds(run["begin"]) if run.get("begin") else None,
        after=tuple(run.get("after") or ()),
        after_any=bool(run.get("after_any")),
        array=Array(array["first"], array["last"], array.get("at_once", 0)) if array else None,
        requeues=int(run.get("requeues", 3)),
        image=run.get("container") or "",
        attempt=int(run.get("attempt", 1)),
    )


def _problems(run: Mapping[str, Any], run_id: str, team: str, facts: ClusterFacts) -> Iterator[str]:
    if run.get("run_id") != run_id:
        yield "its run.json is another run's"
    if (run.get("team") or facts.default_team) != team:
        yield f"its run.json is not of the team {team}"
    for field in ("submitted", "resumed"):
        if run.get(field) and not _is_time(run[field]):
            yield f"it can't have been {field} at {run[field]!r}"
    if run.get("fsx_gib"):
        yield "file systems of a run's own are not made under Slurm; use one of the environment's"
    name = run.get("fleet")
    if not _matches(_FLEET, name) or name not in facts.fleets:
        yield f"there is no fleet {name!r}; there are {', '.join(sorted(facts.fleets))}"
    else:
        yield from _size_problems(run, str(name), facts.fleets[str(name)])
    yield from _limit_problems(run, facts)
    yield from _order_problems(run, team, facts)
    for field, pattern in (("container", IMAGE), ("recipe", None), ("script", None)):
        value = run.get(field) or ""
        if not isinstance(value, str) or (value and pattern is not None and not pattern.fullmatch(value)):
            yield f"{field} can't be {value!r}"
    if run.get("container") and not facts.containers:
        yield "containers need enroot and pyxis on the nodes, which this environment does not say that it has"
    digest = run.get("job_digest")
    if digest and not _matches(_DIGEST, digest):  # names an object that others read, too
        yield f"job_digest can't be {digest!r}"
    packages = run.get("packages")
    if packages is not None and not (
        isinstance(packages, dict) and _matches(_DIGEST, packages.get("sha256"))
    ):
        yield f"packages can't be {packages!r}"


def _size_problems(run: Mapping[str, Any], name: str, fleet: FleetFacts) -> Iterator[str]:
    nodes = run.get("nodes")
    if not _whole(nodes, 1):
        yield f"{nodes!r} nodes can't run anything"
    elif nodes > fleet.max_nodes:
        yield f"it wants {nodes} nodes, and the fleet {name} has {fleet.max_nodes} at most"
    gpus = run.get("gpus_per_node")
    if gpus is not None and not (_whole(gpus, 0) and gpus <= fleet.gpus):
        yield f"it wants {gpus!r} GPUs of each node, and the nodes of the fleet {name} have {fleet.gpus}"
    processes = run.get("procs_per_node")
    if not _whole(processes, 1):
        yield f"{processes!r} processes on a node can't run anything"


def _limit_problems(run: Mapping[str, Any], facts: ClusterFacts) -> Iterator[str]:
    minutes = run.get("max_minutes")
    if not isinstance(minutes, int | float) or isinstance(minutes, bool) or not minutes > 0:
        yield f"a limit of {minutes!r} minutes is not possible"
    elif minutes > facts.longest_minutes:
        yield f"a limit of {minutes:g} minutes is more than the {facts.longest_minutes} that are allowed"
    if not _whole(run.get("requeues", 3), 0) or run.get("requeues", 3) > MOST_REQUEUES:
        yield f"it can't be started again {run.get('requeues')!r} times; at most {MOST_REQUEUES}"
    if not _whole(run.get("attempt", 1), 1):
        yield f"{run.get('attempt')!r} is no attempt"
    if (run.get("priority") or "normal") not in PRIORITIES:
        yield f"there is no priority {run.get('priority')!r}; there are {', '.join(PRIORITIES)}"


def _order_problems(run: Mapping[str, Any], team: str, facts: ClusterFacts) -> Iterator[str]:
    begin = run.get("begin") or ""
    if begin and not _is_time(begin):
        yield f"it can't begin at {begin!r}"
    after = run.get("after") or []
    if not isinstance(after, list) or len(after) > _MOST_AFTER:
        yield f"it can't come after {after!r}"
    else:
        others = [each for each in after if not (isinstance(each, str) and belongs(each, team, facts))]
        for each in others:
            yield f"it can't come after {each!r}, which is no run of the team {team}"
    array = run.get("array")
    if array is not None:
        yield from _array_problems(array)


def _array_problems(array: object) -> Iterator[str]:
    if not isinstance(array, dict):
        yield f"{array!r} is no array"
        return
    first, last, at_once = array.get("first"), array.get("last"), array.get("at_once", 0)
    if not (_whole(first, 0) and _whole(last, 0) and _whole(at_once, 0) and first <= last):
        yield f"{array!r} is no array"
    elif last - first >= MOST_TASKS or last > LAST_INDEX:
        yield f"an array has {MOST_TASKS} tasks at most, numbered up to {LAST_INDEX}"


def _whole(value: Any, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and epoch_seconds(value) > 0
    except (ValueError, OverflowError):
        return False
