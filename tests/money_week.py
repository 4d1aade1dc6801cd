"""A week of ten teams, drawn from a seed: what really happened, and the documents that tell of it.

What happened (`World.machines`, `World.holds`, ...) is for an independent recomputation; the documents are
what fleetform finds: `run.json`, receipts, EC2's descriptions, the trail, the ledger.
"""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from stacks import naming

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
BEGIN = datetime.datetime(2025, 3, 3, tzinfo=datetime.UTC)
END = BEGIN + datetime.timedelta(days=7)
T0, T1 = int(BEGIN.timestamp()) * SECOND, int(END.timestamp()) * SECOND
TYPES = {"g5.xlarge": 1, "g5.12xlarge": 4, "p4d.24xlarge": 8}
"""Instance types of the fleets and the GPUs of each."""
ENVIRONMENTS = {
    "vision": ("vision", ()), "speech": ("speech", ("audio",)), "search": ("search", ()),
    "ads": ("ads", ("bids",)),
    "maps": ("maps", ()), "video": ("video", ()), "robots": ("robots", ()), "chips": ("chips", ()),
}  # fmt: skip
"""Environment -> its team, and the further teams that share it: ten teams."""


@dataclass
class Machine:
    """A machine as it really was."""

    id: str
    environment: str
    fleet: str
    type: str
    begin: int
    end: int | None
    source: str
    holds: list[Hold] = field(default_factory=list)


@dataclass
class Hold:
    """What an attempt really held."""

    environment: str
    team: str
    person: str
    run: str
    fleet: str
    machines: list[Machine]
    begin: int
    end: int | None
    node_ms: int
    uses: dict[str, tuple[int, int]]
    """Use -> share as a fraction."""
    files_usd: Decimal = Decimal(0)


@dataclass
class World:
    """Everything that happened, and everything that tells of it."""

    machines: list[Machine] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    stood: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """When each environment stood."""
    runs: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Environment -> `RUN/FILE` -> document."""
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Run -> events, where it left no receipt."""
    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Run -> lines of its `metrics.jsonl`, where they are asked for."""
    ledger: list[dict[str, Any]] = field(default_factory=list)


def text(time: int) -> str:
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=time)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Week:
    """Draws a world."""

    def __init__(self, seed: int) -> None:
        self.random, self.world = random.Random(seed), World()
        self._number = 0

    def draw(self) -> World:
        """Return what happened."""
        for name, (team, further) in ENVIRONMENTS.items():
            self.world.runs[name] = {}
            teams = [team, *further]
            fleets = {"gpu": self.random.choice(list(TYPES)), "big": self.random.choice(list(TYPES))}
            for begin, end in self._stood(name):
                self._machine(name, "", "m6i.large", begin + 2 * MINUTE, end - MINUTE, "ec2")
                for fleet, kind in fleets.items():
                    self._fleet(name, teams, fleet, kind, begin + 5 * MINUTE, end)
        for machine in self.world.machines:
            if machine.source == "runs" and machine.holds:
                machine.begin = min(hold.begin for hold in machine.holds)
                machine.end = max(hold.end or 0 for hold in machine.holds)
        self.world.machines = [each for each in self.world.machines if each.source != "runs" or each.holds]
        return self.world

    def _stood(self, name: str) -> list[tuple[int, int]]:
        """Draw when the environment stood, and write it into the ledger; some are torn down in the week."""
        first = T0 - self.random.randint(1, 60) * HOUR
        down = T0 + self.random.randint(60, 150) * HOUR + self.random.randrange(HOUR)
        again = down + self.random.randint(4, 14) * HOUR
        spans = {0: [(first, T1 + 9 * HOUR)], 1: [(first, down)], 2: [(first, down), (again, T1 + HOUR)]}
        found = spans[self.random.randrange(3)]
        stacks = list(naming.environment_stacks(name))
        for begin, end in found:
            built = {"stacks": {stack: {} for stack in stacks}}
            self._entry(begin, "environment.up", "started", name, {})
            self._entry(begin + 4 * MINUTE, "environment.up", "succeeded", name, built)
            self._entry(end - 3 * MINUTE, "environment.down", "started", name, {})
            self._entry(end, "environment.down", "succeeded", name, {"destroyed": stacks[::-1]})
        self.world.stood[name] = found
        return found

    def _entry(self, time: int, event: str, outcome: str, target: str, details: dict[str, Any]) -> None:
        self.world.ledger.append(
            {
                "time": text(time), "event": event, "outcome": outcome, "target": target,
                "actor": {"identity": "tests"}, "details": details,
            }
        )  # fmt: skip

    def _fleet(self, name: str, teams: list[str], fleet: str, kind: str, begin: int, end: int) -> None:
        """Draw generations of machines that came and went together, with the runs on them."""
        while begin < end - HOUR:
            until = min(end - 10 * MINUTE, begin + self.random.randint(2, 40) * HOUR)
            source = self.random.choice(["ec2", "trail", "trail", "runs"])
            if begin < T0 and source == "trail":  # its start is older than what is read of the trail
                source = "ec2"
            nodes = [
                self._machine(name, fleet, kind, begin, until, source)
                for _ in range(self.random.randint(1, 4))
            ]
            free = dict.fromkeys(range(len(nodes)), begin + self.random.randrange(20 * MINUTE))
            while min(free.values()) < until:
                self._run(name, teams, nodes, free, until)
            if until >= end - HOUR and source != "runs":  # somebody forgot them at the teardown
                for machine in nodes[: self.random.randint(0, len(nodes))]:
                    machine.end = (end + self.random.randint(1, 30) * HOUR) // SECOND * SECOND
            begin = until + self.random.randrange(5 * HOUR)

    def _machine(self, name: str, fleet: str, kind: str, begin: int, end: int, source: str) -> Machine:
        self._number += 1
        whole = begin // SECOND * SECOND, end // SECOND * SECOND  # EC2 and the trail tell whole seconds
        machine = Machine(f"i-{self._number:017x}", name, fleet, kind, *whole, source)
        self.world.machines.append(machine)
        return machine

    def _run(
        self, name: str, teams: list[str], nodes: list[Machine], free: dict[int, int], until: int
    ) -> None:
        chosen = self.random.sample(sorted(free), self.random.randint(1, len(free)))
        begin = max(free[each] for each in chosen) + self.random.randrange(90 * MINUTE)
        end = begin + self.random.randrange(SECOND, 9 * HOUR)
        if end > until - MINUTE:
            for each in chosen:
                free[each] = until
            return
        for each in chosen:
            free[each] = end
        team = self.random.choice(teams)
        prefix = "" if team == teams[0] else f"{team}-"
        self._number += 1
        moment = datetime.datetime.fromtimestamp(begin / SECOND, datetime.UTC)
        run = f"{prefix}{moment:%Y%m%d-%H%M%S}-r{self._number:05d}"
        person = f"{team}.{self.random.choice(['kim', 'lee', 'park', 'choi'])}"
        self._tell(
            name, team, person, run, [nodes[each] for each in chosen], begin, end, own=team == teams[0]
        )

    # ------------------------------------------------------------------------------ documents

    def _tell(
        self, name: str, team: str, person: str, run: str, nodes: list[Machine], begin: int, end: int,
        *, own: bool,
    ) -> None:  # fmt: skip
        """Write a run's documents, and what it really was."""
        story = self.random.choices(
            ["good", "silent", "no start", "cancelled", "resumed", "lost", "requeued", "idle"],
            [48, 10, 14, 8, 8, 5, 7, 9],
        )[0]
        role = f"arn:aws:sts::123456789012:assumed-role/{name}-member-us-east-1/{person}"
        document: dict[str, Any] = {
            "run_id": run, "recipe": "digits", "script": "", "fleet": nodes[0].fleet, "nodes": len(nodes),
            "procs_per_node": 1, "max_minutes": 1440, "instance_type": nodes[0].type, "array": None,
            "price_usd_per_hour": 99.0, "fsx_gib": 0, "submitted": text(begin - MINUTE),
            "team": "" if own else team, "actor": role, "asked_by": None,
        }  # fmt: skip
        if self.random.random() < 0.3:
            document |= {
                "actor": "arn:aws:iam::123456789012:user/console",
                "asked_by": {"id": "1", "name": person},
            }
        about = {"environment": name, "team": team, "person": person, "run": run, "fleet": nodes[0].fleet}
        files = self.world.runs[name]
        if story == "lost":
            placed = {"nodes": [{"rank": at, "instance_id": each.id} for at, each in enumerate(nodes)]}
            self.world.events[run] = [
                {"time": text(begin), "event": "PROVISIONING", "detail": placed},
                {"time": text(begin + SECOND // 2), "event": "RUNNING", "detail": {}},
                {"time": text(end), "event": "FAILED", "detail": {"cause": "lost"}},
            ]
            self._hold(about, nodes, begin, end, 1.0, {"overhead": (1, 1)})
        elif story == "idle":
            self._stopped_as_idle(about, run, nodes, begin, end)
        elif story == "resumed":
            middle = begin + (end - begin) // 3
            later = middle + (end - middle) // 5
            first, spent = self._receipt(run, "PREEMPTED", nodes, begin, middle, None, 1.0)
            goodput, shares = self._goodput()
            second, more = self._receipt(run, "SUCCEEDED", nodes, later, end, goodput, 1.0)
            second["attempts"] = [{"cost": first["cost"]}, {"cost": second["cost"]}]
            second["cost"] = {"node_seconds": (spent + more) / SECOND, "usd": None, "usd_per_node_hour": 99.0}
            files[f"{run}/attempts/1/receipt.json"], files[f"{run}/receipt.json"] = first, second
            document["attempt"] = 2
            self._hold(about, nodes, begin, middle, 1.0, shares[0])
            self._hold(about, nodes, later, end, 1.0, shares[1])
        else:
            self._ended(story, about, run, nodes, begin, end)
        files[f"{run}/run.json"] = document

    def _stopped_as_idle(
        self, about: dict[str, str], run: str, nodes: list[Machine], begin: int, end: int
    ) -> None:
        """Write the receipt of a run that was stopped as idle: since which minute, or step, it says."""
        last, wall = begin + self.random.randrange(end - begin), end - begin
        if self.random.random() < 0.5:
            last = last // MINUTE * MINUTE
            moment = datetime.datetime.fromtimestamp(last / SECOND, datetime.UTC)
            cause = f"idle: no training step since {moment:%Y-%m-%d %H:%M} UTC, the last was step 7"
            last = max(begin, last)
        else:
            cause = "idle: its loss is no number since step 8"
            steps = ((6, begin, 1.0), (7, last, 1.0), (8, end, None))
            self.world.metrics[run] = [{"step": at, "time": text(ms), "loss": loss} for at, ms, loss in steps]
        good = self.random.randrange(last - begin + 1)
        goodput = {"wall_seconds": wall / SECOND, "buckets": {"productive": good / SECOND, "other": 1.0}}
        receipt, _ = self._receipt(run, "TIMED_OUT", nodes, begin, end, goodput, 1.0)
        self.world.runs[about["environment"]][f"{run}/receipt.json"] = {**receipt, "cause": cause}
        uses = {"useful": (good, wall), "idle": (end - last, wall), "overhead": (last - begin - good, wall)}
        self._hold(about, nodes, begin, end, 1.0, uses)

    def _ended(
        self, story: str, about: dict[str, str], run: str, nodes: list[Machine], begin: int, end: int
    ) -> None:  # fmt: skip
        """Write the one receipt of a run."""
        outcome = {"no start": "FAILED", "cancelled": "CANCELLED"}.get(story, "SUCCEEDED")
        density = 0.5 if story == "requeued" else 1.0
        goodput, shares = self._goodput()
        share = shares[outcome == "SUCCEEDED"]
        if story == "silent":
            goodput, share = {}, {"useful": (1, 1)}
        if story == "no start":
            share = {"failed_launch": (1, 1)}
        receipt, _ = self._receipt(run, outcome, nodes, begin, end, goodput, density)
        usd = Decimal(0)
        if self.random.random() < 0.15:
            usd = Decimal(self.random.randrange(1, 90_000)) / 10_000
            receipt["file_system"] = {"usd": float(usd)}
        self.world.runs[about["environment"]][f"{run}/receipt.json"] = receipt
        self._hold(about, nodes, begin, end, density, share, usd)

    def _goodput(self) -> tuple[dict[str, Any], list[dict[str, tuple[int, int]]]]:
        """Draw where a run's time went; return what of it was useful to a run that failed, and to another."""
        names = ("productive", "runtime", "checkpoint_save", "program_startup", "wasted_progress")
        spent = {each: self.random.randrange(1, 10_000_000) for each in names}
        wall, shares = sum(spent.values()), []
        for good in (spent["productive"], spent["productive"] + spent["runtime"]):
            shares.append({"useful": (good, wall), "overhead": (wall - good, wall)})
        buckets = {each: value / SECOND for each, value in spent.items()}
        return {"wall_seconds": wall / SECOND, "buckets": buckets}, shares

    def _receipt(
        self, run: str, outcome: str, nodes: list[Machine], begin: int, end: int,
        goodput: dict[str, Any] | None, density: float,
    ) -> tuple[dict[str, Any], int]:  # fmt: skip
        node_ms = int((end - begin) * density) * len(nodes)
        phases = {"submitted": text(begin - MINUTE), "claimed": text(begin), "started": text(begin + 1)}
        if outcome != "FAILED":
            phases["first_step"] = text(begin + 2)
        return {
            "run_id": run, "outcome": outcome, "phases": {**phases, "ended": text(end)},
            "nodes": [{"rank": rank, "instance_id": each.id} for rank, each in enumerate(nodes)],
            "cost": {"node_seconds": node_ms / SECOND, "usd_per_node_hour": 99.0, "usd": 1.0},
            "goodput": goodput or None,
        }, node_ms  # fmt: skip

    def _hold(
        self, about: dict[str, str], nodes: list[Machine], begin: int, end: int, density: float,
        uses: dict[str, tuple[int, int]], usd: Decimal = Decimal(0),
    ) -> None:  # fmt: skip
        node_ms = int((end - begin) * density) * len(nodes)
        hold = Hold(**about, machines=nodes, begin=begin, end=end, node_ms=node_ms, uses=uses, files_usd=usd)
        self.world.holds.append(hold)
        for each in nodes:
            each.holds.append(hold)
