"""S2: a node is lost in the middle of a run, without a word or after EC2's notice: when does it go on?

One long run trains on two of four machines of the embedded cloud, each with its own slurmd, agent and runner.
In each round one of its two machines, in turn the one with the batch step and the other, loses its power, or
gets the notice of a spot instance. The clock runs from that moment until the run's command has been started
again on its nodes, as its launcher notes it (goodput.jsonl), and until the first step, which the imports of
torch come before. Lost is a step that was in a checkpoint of the bucket at that moment and is done again.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.slurm.lab import embedded_cloud
from benchmarks.trainer.results import Row, median
from fleet.job import JobSpec
from fleet.queue_acts import queue_teller
from fleet.run_control import cancel
from fleet.runs import read_events
from fleet.submit import submit
from sandbox import daemon
from tests.slurm_cluster import wait_until
from tests.slurm_environment import SlurmEnvironment, build

ROUNDS = 20
NODES, MACHINES = 2, 4
GOAL_SECONDS = {"kill": 20.0, "notice": 15.0}
WORDS = {"kill": "node killed", "notice": "spot notice"}
NOTICE_SECONDS = 120.0
"""EC2's notice: the machine is taken so long after it."""
SETTINGS = (
    "samples=1000000000", "global_batch=32", "model.channels=8", "log_every=50", "checkpoint_every=50",
    "device=cpu",
)  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """One round."""

    started: float
    """Seconds until the run's command had been started again."""
    stepped: float
    """Seconds until its first step."""
    lost: int
    """Steps done again although a checkpoint had them."""
    again: int
    """Steps done again."""


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return what the losses cost, without and with notice."""
    with embedded_cloud("slurm") as (project, cloud):
        fleets = {"gpu": {"nodes": MACHINES, "max_nodes": MACHINES, "purchase": "spot"}}
        environment = build(cloud, project, "bench", fleets, accounting=False)
        return [row for way in GOAL_SECONDS for row in _rows(way, _campaign(environment, way, rounds))]


def _rows(way: str, found: list[Loss]) -> list[Row]:
    started, stepped = [each.started for each in found], [each.stepped for each in found]
    good = sum(each.started <= GOAL_SECONDS[way] and not each.lost for each in found)
    return [
        Row(
            id="S2",
            what=f"{WORDS[way]} to the run's next start, {len(found)} times",
            value=f"{median(started):.1f} s (slowest {max(started):.1f})",
            baseline=f"first step after {median(stepped):.1f} s (slowest {max(stepped):.1f})",
            goal=f"<= {GOAL_SECONDS[way]:.0f} s, {len(found)} of {len(found)}",
            met=good == len(found),
        ),
        Row(
            id="S2",
            what=f"{WORDS[way]}: steps lost that a checkpoint had",
            value=str(sum(each.lost for each in found)),
            baseline=f"steps done again: {median([each.again for each in found]):.0f} a time",
            goal="0",
            met=not any(each.lost for each in found),
        ),
    ]


def _campaign(environment: SlurmEnvironment, way: str, rounds: int) -> list[Loss]:
    """Lose a machine of one run, again and again."""
    job = JobSpec(
        environment=environment.name, recipe="digits", overrides=SETTINGS, nodes=NODES, procs_per_node=1
    )
    run_id = submit(environment.session, environment.outputs, job).run_id
    found: list[Loss] = []
    begin = time.time()
    for number in range(rounds):
        _await_progress(environment, run_id, begin)
        begin, loss = _lose(environment, run_id, way, number % NODES)
        found.append(loss)
        print(f"{way} {number + 1}: {loss}", file=sys.stderr, flush=True)
    session = environment.session
    cancel(environment.store, session.ledger, run_id, session.caller, tell=queue_teller(session))
    wait_until(lambda: _all_are(environment, ("idle",)), "the nodes to be free", 120)
    return found


def _lose(environment: SlurmEnvironment, run_id: str, way: str, rank: int) -> tuple[float, Loss]:
    """Lose the machine of a rank; return the moment, and what it came to."""
    node = next(each["node"] for each in _nodes(environment, run_id) if each["rank"] == rank)
    saved = max(_checkpoints(environment, run_id))
    begin = time.time()
    if way == "kill":
        environment.kill(node)
    else:
        home = environment.session.project.home
        daemon.interrupt(home, environment.machines("node")[node], NOTICE_SECONDS)
    first = _after(environment, run_id, "first_step", begin)
    started = _after(environment, run_id, "job_started", begin)
    restored = _after(environment, run_id, "restored", begin)
    lost = max(0, saved - int(restored["step"]))
    again = max(0, _last_step(environment, run_id, started["time"]) - int(restored["step"]))
    return begin, Loss(started["time"] - begin, first["time"] - begin, lost, again)


def _await_progress(environment: SlurmEnvironment, run_id: str, since: float) -> None:
    """Wait until the run has saved since then and there are as many machines as before."""

    def saved() -> bool:
        return any(each["event"] == "saved" and each["time"] > since for each in _told(environment, run_id))

    wait_until(saved, "a checkpoint", 120)
    newest = max(each["step"] for each in _told(environment, run_id) if each["event"] == "saved")
    wait_until(
        lambda: max(_checkpoints(environment, run_id), default=0) >= newest, "it to be in the bucket", 60
    )
    wait_until(lambda: _all_are(environment, ("idle", "alloc", "mix")), "the machines to be whole", 120)


def _all_are(environment: SlurmEnvironment, states: tuple[str, ...]) -> bool:
    found = environment.states()
    return len(found) == MACHINES and all(state in states for state in found.values())


def _nodes(environment: SlurmEnvironment, run_id: str) -> list[dict[str, Any]]:
    """Return the nodes that the run has now, by rank."""
    events = [each for each in read_events(environment.store, run_id) if each["event"] == "PROVISIONING"]
    nodes: list[dict[str, Any]] = [each for each in events if each["detail"].get("nodes")][-1]["detail"][
        "nodes"
    ]
    return nodes


def _told(environment: SlurmEnvironment, run_id: str) -> list[dict[str, Any]]:
    """Return the events of the run's goodput.jsonl."""
    found = []
    for line in (environment.store.get(run_id, "goodput.jsonl") or b"").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:  # the last one is on its way
            continue
    return found


def _after(environment: SlurmEnvironment, run_id: str, event: str, begin: float) -> dict[str, Any]:
    """Wait for an event of the program after that moment, and return it."""

    def there() -> list[dict[str, Any]]:
        told = _told(environment, run_id)
        return [each for each in told if each["event"] == event and each["time"] > begin]

    wait_until(lambda: bool(there()), f"{event} after the loss", 180)
    return there()[0]


def _last_step(environment: SlurmEnvironment, run_id: str, end: float) -> int:
    """Return the last step that is known to have been done before the program's next start."""
    told = _told(environment, run_id)
    return max(
        (int(each["to"]) for each in told if each["event"] == "steps" and each["time"] < end), default=0
    )


def _checkpoints(environment: SlurmEnvironment, run_id: str) -> list[int]:
    """Return the steps of the checkpoints that are whole in the bucket."""
    return [
        int(name.split("/")[-2].removeprefix("step-"))
        for name in environment.store.sizes(run_id, "checkpoints/")
        if name.endswith("/manifest.json")
    ]
