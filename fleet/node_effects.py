"""What an apply would do to the machines that run, and whether a run is on those that it would end.

A group's machines are never replaced by Terraform; it only sets how many there are. So a change either ends
some (fewer nodes, a fleet taken out, a group made anew) or leaves those that run as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleet.cluster_files import read_nodes
from fleet.instances import instances, is_elastic, tag_of
from fleet.machine_prices import machine_group
from fleet.priced import Resource, blocks, counted, number
from fleet.run_store import RunStore, open_runs
from fleet.runs import find_run
from fleet.session import Session
from fleet.setting_changes import SettingChange
from stacks import naming
from stacks.problems import Problem, UserError


@dataclass(frozen=True, kw_only=True)
class RunningNode:
    """A node of a fleet that runs, or is starting."""

    instance_id: str
    fleet: str
    run_id: str
    """The active run that holds it, "" where none does."""
    other_runs: tuple[str, ...] = ()
    """Further active runs on it: under Slurm, runs may share a node."""
    elastic: bool = False
    """Whether it came with the queue, and is none of its fleet's group."""
    instance_type: str = ""
    name: str = ""
    """Its name in the queue, "" where it has none yet or there is no queue."""

    @property
    def number(self) -> int:
        """Its number in its fleet, from 1; 0 without a name."""
        number = self.name.rpartition("-")[2]
        return int(number) if number.isdecimal() else 0


@dataclass(frozen=True, kw_only=True)
class FleetEffect:
    """What an apply does to one fleet's nodes."""

    fleet: str
    running: int
    """Nodes that run now."""
    ends: int
    """How many of them it ends; the group chooses which."""
    starts: int
    """How many it starts."""
    keep_old: tuple[str, ...]
    """Settings of which running nodes keep the old value until they are replaced."""
    runs: tuple[str, ...]
    """The active runs on the fleet's nodes."""
    gives_way: int = 0
    """How many that came with the queue get no further runs: standing nodes take their numbers."""

    @property
    def words(self) -> tuple[str, ...]:
        """The effect as sentences, none where nothing happens to a node."""
        found, kept = [], self.running - self.ends
        if self.ends:
            on_it = f", and {_listed('the run', self.runs)} on the fleet" if self.runs else ""
            found.append(f"{_of(self.ends, 'running node is', 'running nodes are')} ended{on_it}")
        if self.starts:
            found.append(_of(self.starts, "node is started", "nodes are started"))
        if self.gives_way:
            what = _of(self.gives_way, "node that came", "nodes that came")
            found.append(f"{what} with the queue make way for standing ones once their runs are over")
        if self.keep_old and kept:
            whose = _of(kept, "running node keeps its", "running nodes keep their")
            found.append(f"{whose} old {', '.join(self.keep_old)} until replaced")
        return tuple(f"`{self.fleet}`: {each}" for each in found)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, the sentences too."""
        return {**asdict(self), "words": list(self.words)}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a fleet's group is declared to be."""

    wanted: int
    most: int
    """Nodes that may stay: those wanted, or the group's maximum where Terraform leaves the number alone."""
    elastic: int = 0
    """Nodes beyond the group that may stay: those that may come and go with the queue."""


def running_nodes(session: Session) -> list[RunningNode]:
    """Return the environment's nodes that run now, each with the active run that holds it."""
    found = {
        str(each["InstanceId"]): each
        for each in instances(session, ["pending", "running"])
        if tag_of(each, naming.TAG_ROLE) == naming.ROLE_NODE
    }
    holders = _active_holders(session) if found else {}
    return [
        RunningNode(
            instance_id=instance,
            fleet=tag_of(each, naming.TAG_FLEET),
            run_id=next(iter(holders.get(instance, ())), ""),
            other_runs=tuple(holders.get(instance, ()))[1:],
            elastic=is_elastic(each),
            instance_type=str(each["InstanceType"]),
            name=tag_of(each, naming.TAG_NODE),
        )
        for instance, each in sorted(found.items())
    ]


def _active_holders(session: Session) -> dict[str, list[str]]:
    """Return the active runs on each node; a claim, or the queue's word, of a run that is over is void."""
    store = open_runs(session)
    holders = {instance: [run_id] for instance, run_id in store.claims().items()}
    for instance, runs in nodes_in_queue(store).items():
        holders.setdefault(instance, []).extend(runs)
    known = {run_id for runs in holders.values() for run_id in runs}
    found = {run_id: find_run(store, run_id) for run_id in known}
    active = {run_id for run_id, run in found.items() if run is None or run.active}
    return {instance: [each for each in runs if each in active] for instance, runs in holders.items()}


def nodes_in_queue(store: RunStore) -> dict[str, list[str]]:
    """Return the runs on each node by its instance id, as the head tells of the queue; none without one."""
    told = read_nodes(store) or {"nodes": []}
    return {each["instance_id"]: list(each.get("runs", ())) for each in told["nodes"] if each["instance_id"]}


def targets(resources: Sequence[Resource]) -> dict[str, Target]:
    """Return what each fleet is declared to be by the fleet stack's synthesized resources."""
    found = {}
    for each in resources:
        if each.kind != "aws_autoscaling_group":
            continue
        group = machine_group(each, resources)
        ignored = [
            name for life in blocks(each.values, "lifecycle") for name in life.get("ignore_changes", ())
        ]
        left_alone = "desired_capacity" in ignored or each.values.get("desired_capacity") is None
        if not group.head:
            most = group.largest if left_alone else group.wanted
            # Nodes that a fleet may have and that are none of its group.
            elastic = max(0, group.largest - int(number(each.values.get("max_size"))))
            wanted = 0 if left_alone else group.wanted
            found[group.name] = Target(wanted=wanted, most=most, elastic=elastic)
    return found


def fleet_effects(
    nodes: Iterable[RunningNode],
    declared: Mapping[str, Target],
    settings: Iterable[SettingChange] = (),
    made_anew: Collection[str] = (),
) -> list[FleetEffect]:
    """Return what happens to each fleet; `made_anew` are those whose group Terraform replaces or destroys.

    Without `settings`, what only an edit of the file does to nodes is not seen.
    """
    by_fleet: dict[str, list[RunningNode]] = {name: [] for name in declared}
    for node in nodes:
        by_fleet.setdefault(node.fleet, []).append(node)
    listed = [each for each in settings if each.fleet and not each.whole_table]
    changed = [each for each in listed if each.change == "new machines only"]
    replaced = {*made_anew, *(each.fleet for each in listed if _rebalances(each))}
    effects = []
    for name, running in by_fleet.items():
        target = declared.get(name, Target(wanted=0, most=0))
        coming = [node for node in running if node.elastic]
        own = len(running) - len(coming)
        kept = 0 if name in replaced else min(own, target.most)
        stay, gives_way = _coming(coming, target)
        effects.append(
            FleetEffect(
                fleet=name,
                running=len(running),
                ends=len(running) - kept - stay,
                starts=max(0, target.wanted - kept),
                keep_old=tuple(each.setting for each in changed if each.fleet == name),
                runs=tuple(sorted({run for node in running for run in _runs_on(node)})),
                gives_way=gives_way,
            )
        )
    return effects


def _coming(nodes: Sequence[RunningNode], target: Target) -> tuple[int, int]:
    """Return how many nodes of the queue an apply leaves, and how many of these make way.

    Their numbers tell: the first of a fleet belong to standing nodes, and one past its size is no node.
    """
    within = sum(target.most < each.number <= target.most + target.elastic for each in nodes)
    gives_way = sum(0 < each.number <= target.most for each in nodes)
    nameless = sum(not each.number for each in nodes)
    return within + gives_way + min(nameless, max(0, target.elastic - within)), gives_way


def _runs_on(node: RunningNode) -> tuple[str, ...]:
    return (node.run_id, *node.other_runs) if node.run_id else ()


def _rebalances(change: SettingChange) -> bool:
    """Return whether Auto Scaling itself replaces running nodes, until they are bought as declared."""
    to_or_from_spot = change.setting == "purchase" and "spot" in (change.old, change.new)
    return to_or_from_spot or change.setting == "on_demand_base"


def require_no_run_ended(effects: Iterable[FleetEffect], anyway: str = "") -> tuple[str, ...]:
    """Raise UserError where nodes would end on which a run may be, unless `anyway` gives a reason.

    Returns what was overridden. Which node a group ends is its own choice, so any run on it is in danger.
    """
    problems = [
        Problem(
            what=f"{counted(each.ends, 'node')} of the {each.running} of the fleet {each.fleet} would be "
            f"ended, nobody knows which, and {_listed('the run', each.runs)} on the fleet",
            do="wait for it, end it with `fleetform cancel`, or say --anyway REASON, which is recorded",
            path=f"fleets.{each.fleet}.nodes",
        )
        for each in effects
        if each.ends and each.runs
    ]
    if problems and not anyway:
        raise UserError(problems)
    return tuple(problem.what for problem in problems)


def _of(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _listed(noun: str, names: Sequence[str]) -> str:
    return f"{noun} {names[0]} is" if len(names) == 1 else f"{noun}s {', '.join(names)} are"
