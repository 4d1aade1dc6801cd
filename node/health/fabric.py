"""Whether the nodes of a job reach each other as fast as their type should, before the job starts.

Every node's prolog calls `check_fabric`. The first node judges; each node is told what became of it. A set of
nodes that has passed is not tested again for CACHE_SECONDS, unless one of them was started anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.health import meeting, ring
from node.health.all_reduce import Measured, measure, measure_alone
from node.health.meeting import Line, MeetingError, Message
from node.health.verdict import Verdict, judge

CACHE_SECONDS = 12 * 3600.0
_TEST_SECONDS = 240.0
"""For all measurements: with what comes before them they end within Slurm's PrologEpilogTimeout."""
_ALONE_SECONDS = 160.0
"""For what a node measures by itself; a new machine reads torch from a disk that is still being filled."""
_SLACK_SECONDS = 10.0


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
        self._measured, self._port = Measured("", "", 0.0), 0

    def test(self) -> Verdict:
        """Meet, measure unless it was measured before, and return what this node is to do."""
        party = self._party
        try:
            with contextlib.ExitStack() as servers:
                self._server = servers.enter_context(meeting.listen(party.address, 0))
                hello = {
                    "rank": party.rank,
                    "boot": party.boot,
                    "ring": [party.address, int(self._server.getsockname()[1])],
                    "gpus": party.gpus,
                    "busy": party.busy,
                    "sick": party.sick,
                }
                if party.rank:
                    return self._follow(hello)
                ports = meeting.meeting_ports(party.job_id)
                return self._lead(hello, servers.enter_context(meeting.listen_first(party.address, ports)))
        except OSError as error:  # jobs of others may hold the ports
            return Verdict(warning=f"not tested: no port could be opened on {party.address}: {error}")

    def _follow(self, hello: Message) -> Verdict:
        party = self._party
        until = time.monotonic() + self._join + _TEST_SECONDS + _SLACK_SECONDS
        try:
            ports = meeting.meeting_ports(party.job_id)
            line = meeting.join(party.first, ports, party.key, hello, self._join)
        except MeetingError as error:
            return Verdict(warning=f"the first node, {party.names[0]}, was not met: {error}")
        try:
            while True:
                order = line.receive(max(1.0, until - time.monotonic()))
                if order.get("do") == "end":
                    return Verdict.read(order)
                line.send(self._measure(order).to_message())
        except MeetingError as error:
            return Verdict(warning=f"the first node, {party.names[0]}, went away: {error}")
        finally:
            line.close()

    def _lead(self, hello: Message, server: socket.socket) -> Verdict:
        party = self._party
        self._port = int(server.getsockname()[1])
        others = set(range(1, len(party.names)))
        with server:
            # One that is sick itself only lets the others go that come by.
            found = meeting.gather(server, party.key, others, 3.0 if party.sick else self._join)
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
            # Whose fault that is nobody can tell: Slurm's own watch over nodes decides.
            return {0: Verdict(absent=tuple(missing), warning=f"not met: {', '.join(missing)}")}
        key = _key(party.names, hellos)
        if (known := _read(self._cache / f"{key}.json")) is not None:
            return {0: Verdict(note="tested before", gbs=known.get("gbs"))}
        told = self._measure_all(hellos, lines)
        verdicts, passed, gbs = judge(party.names, told, party.least_gbs)
        if passed and not any(each.get("busy") for each in hellos.values()):
            _write(self._cache / f"{key}.json", {"gbs": gbs, "nodes": list(party.names)})
        return verdicts

    def _measure_all(self, hellos: dict[int, Message], lines: dict[int, Line]) -> dict[int, Measured | None]:
        """Have every node measure, this one too, as long as all is well; None for one that told nothing."""
        until = time.monotonic() + _TEST_SECONDS
        gpus = min(int(each.get("gpus") or 0) for each in hellos.values())
        rings = [hellos[rank]["ring"] for rank in range(len(hellos))]
        orders: list[tuple[Message, float]] = [({"do": "ring", "rings": rings}, ring.STEP_SECONDS)]
        if gpus:
            orders.append(({"do": "alone", "gpus": gpus}, _ALONE_SECONDS))
            orders.append(({"do": "together", "gpus": gpus, "port": self._port}, _TEST_SECONDS))
        told: dict[int, Measured | None] = {}
        for order, seconds in orders:
            left = min(seconds, until - time.monotonic() - _SLACK_SECONDS)
            told = self._ask({**order, "seconds": left, "least_gbs": self._party.least_gbs}, lines)
            if not all(each is not None and each.is_well for each in told.values()):
                break
        return told

    def _ask(self, order: Message, lines: dict[int, Line]) -> dict[int, Measured | None]:
        """Have every node carry out one measurement at the same time."""
        until = time.monotonic() + float(order["seconds"]) + _SLACK_SECONDS
        told: dict[int, Measured | None] = dict.fromkeys((0, *lines))
        for line in lines.values():
            with contextlib.suppress(MeetingError):
                line.send(order)
        told[0] = self._measure(order)
        for rank, line in lines.items():
            with contextlib.suppress(MeetingError, KeyError, TypeError, ValueError):
                told[rank] = Measured.read(line.receive(max(1.0, until - time.monotonic())))
        return told

    def _measure(self, order: Message) -> Measured:
        """Carry out one measurement; returns what has come of all of them so far."""
        party, seconds = self._party, float(order["seconds"])
        if order["do"] == "ring":
            addresses = tuple((str(host), int(port)) for host, port in order["rings"])
            turn = ring.exchange(ring.Place(self._server, party.rank, addresses, party.key), seconds)
            self._measured = Measured(turn.sent, turn.received, turn.seconds)
            return self._measured
        so_far, gpus = self._measured, int(order["gpus"])
        if order["do"] == "alone":
            return measure_alone(so_far, python=self._python, gpus=gpus, seconds=seconds)
        return measure(
            so_far,
            python=self._python,
            rank=party.rank,
            count=len(party.names),
            gpus=gpus,
            first=(party.first, int(order["port"])),
            least_gbs=float(order["least_gbs"]),
            seconds=seconds,
        )


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
