"""Whether the nodes of a job reach each other as fast as their type should, before the job starts.

Every node's prolog calls `check_fabric`. The first node judges; each node is told what became of it. A set of
nodes that has passed is not tested again for CACHE_SECONDS, unless one of them was started anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.health import meeting, ring
from node.health.all_reduce import Measured, measure
from node.health.meeting import Line, MeetingError, Message
from node.health.verdict import Verdict, judge

CACHE_SECONDS = 12 * 3600.0
_TEST_SECONDS = 240.0


@dataclass(frozen=True)
class Party:
    """This node among those of the job."""

    job_id: int
    rank: int
    names: tuple[str, ...]
    """All nodes, in the order of their ranks."""
    address: str
    """This node's own."""
    first: str
    """Rank 0's address."""
    boot: str
    """Another one after each start of the machine."""
    key: bytes = b""
    """What only the prologs of this job can know."""
    gpus: int = 0
    """GPUs here that a test may use: 0 where there are none, or where somebody uses them."""
    busy: bool = False
    """Whether there are GPUs that could not be tested."""
    least_gbs: float = 0.0
    """GB/s that an all-reduce between GPUs has to reach; 0 judges failures alone."""
    sick: str = ""
    """Why this node will not run the job anyway."""


class Fabric:
    """One node's part of the test."""

    def __init__(self, party: Party, cache: Path, python: str, join_seconds: float) -> None:
        self._party, self._cache, self._python, self._join = party, cache, python, join_seconds

    def test(self) -> Verdict:
        """Meet, measure unless it was measured before, and return what this node is to do."""
        try:
            with meeting.listen(self._party.address, 0) as server:
                port = int(server.getsockname()[1])
                hello = {
                    "rank": self._party.rank,
                    "boot": self._party.boot,
                    "ring": [self._party.address, port],
                    "gpus": self._party.gpus,
                    "busy": self._party.busy,
                    "sick": self._party.sick,
                }
                self._server = server
                return self._lead(hello) if self._party.rank == 0 else self._follow(hello)
        except OSError as error:
            return Verdict(bad=f"no port could be opened on {self._party.address}: {error}")

    def _follow(self, hello: Message) -> Verdict:
        party = self._party
        try:
            port = meeting.meeting_port(party.job_id)
            line = meeting.join(party.first, port, party.key, hello, self._join)
        except MeetingError as error:
            # Whose fault that is the first node can tell: it hears nobody, or all but this one.
            return Verdict(note=f"the first node, {party.names[0]}, was not met: {error}")
        try:
            while True:
                order = line.receive(_TEST_SECONDS)
                if order.get("do") != "measure":
                    return Verdict.read(order)
                line.send(self._measure(order))
        except MeetingError as error:
            return Verdict(note=f"the first node, {party.names[0]}, went away: {error}")
        finally:
            line.close()

    def _lead(self, hello: Message) -> Verdict:
        party = self._party
        count = len(party.names)
        with meeting.listen(party.address, meeting.meeting_port(party.job_id)) as server:
            # One that is sick itself only lets the others go that come by.
            found = meeting.gather(server, party.key, count - 1, 3.0 if party.sick else self._join)
        hellos = {0: hello, **{rank: message for rank, (_, message) in found.items()}}
        lines = {rank: line for rank, (line, _) in found.items()}
        try:
            verdicts = self._decide(hellos, lines)
            for rank, line in lines.items():
                with contextlib.suppress(MeetingError):
                    line.send(verdicts.get(rank, Verdict()).to_message())
            return verdicts.get(0, Verdict())
        finally:
            for line in lines.values():
                line.close()

    def _decide(self, hellos: dict[int, Message], lines: dict[int, Line]) -> dict[int, Verdict]:
        """Return what each rank that is not simply well is to do."""
        party = self._party
        if any(each.get("sick") for each in hellos.values()):
            return {}  # the job will not start here: Slurm is being told why
        missing = [name for rank, name in enumerate(party.names) if rank not in hellos]
        if missing:
            return self._blame_absence(missing)
        key = _key(party.names, hellos)
        if (known := _read(self._cache / f"{key}.json")) is not None:
            return {0: Verdict(note="tested before", gbs=known.get("gbs"))}
        told = self._measure_all(hellos, lines)
        verdicts, passed, gbs = judge(party.names, told, party.least_gbs)
        if passed and not any(each.get("busy") for each in hellos.values()):
            _write(self._cache / f"{key}.json", {"gbs": gbs, "nodes": list(party.names)})
        return verdicts

    def _blame_absence(self, missing: list[str]) -> dict[int, Verdict]:
        """Judge who is to blame where not all have come: who hears less than half of the others is."""
        others = len(self._party.names) - 1
        if 2 * len(missing) > others and others > 1:
            why = f"{len(missing)} of {others} other nodes could not reach it"
            return {0: Verdict(bad=why)}
        return {0: Verdict(absent=tuple(missing), note=f"not met: {', '.join(missing)}")}

    def _measure_all(self, hellos: dict[int, Message], lines: dict[int, Line]) -> dict[int, Measured | None]:
        """Have every node measure, this one too; None for one that told nothing."""
        gpus = min(int(each.get("gpus") or 0) for each in hellos.values())
        rings = [hellos[rank]["ring"] for rank in range(len(hellos))]
        order: Message = {"do": "measure", "gpus": gpus, "rings": rings, "least_gbs": self._party.least_gbs}
        told: dict[int, Measured | None] = dict.fromkeys(hellos)
        for line in lines.values():
            with contextlib.suppress(MeetingError):
                line.send(order)
        told[0] = Measured.read(self._measure(order))
        until = time.monotonic() + _TEST_SECONDS
        for rank, line in lines.items():
            with contextlib.suppress(MeetingError, KeyError, TypeError, ValueError):
                told[rank] = Measured.read(line.receive(max(1.0, until - time.monotonic())))
        return told

    def _measure(self, order: Message) -> Message:
        """Carry out a measurement; returns what to tell the first node."""
        party, rings = self._party, [(str(host), int(port)) for host, port in order["rings"]]
        turn = ring.exchange(self._server, rings[(party.rank + 1) % len(rings)])
        measured = Measured(turn.sent, turn.received, turn.seconds)
        if int(order["gpus"]) and not turn.sent and not turn.received:
            measured = measure(
                measured,
                python=self._python,
                rank=party.rank,
                count=len(rings),
                gpus=int(order["gpus"]),
                first=(party.first, meeting.meeting_port(party.job_id)),
                least_gbs=float(order["least_gbs"]),
            )
        return measured.to_message()


def check_fabric(
    party: Party, cache: Path, python: str, join_seconds: float = meeting.JOIN_SECONDS
) -> Verdict:
    """Return what this node is to do; never raises for what the network does.

    `cache` is a folder that only root can write; `python` is the interpreter that has torch.
    """
    return Fabric(party, cache, python, join_seconds).test()


def _key(names: tuple[str, ...], hellos: dict[int, Message]) -> str:
    """Return what stands for these nodes since their last start."""
    text = json.dumps([[name, str(hellos[rank].get("boot"))] for rank, name in enumerate(names)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        if time.time() - path.stat().st_mtime < CACHE_SECONDS:
            kept = json.loads(path.read_text())
            return kept if isinstance(kept, dict) else None
    return None


def _write(path: Path, kept: dict[str, Any]) -> None:
    """Keep a result; the test has passed all the same where the disk refuses."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in path.parent.glob("*.json"):
            if time.time() - old.stat().st_mtime > CACHE_SECONDS:
                old.unlink(missing_ok=True)
        path.write_text(json.dumps(kept))
