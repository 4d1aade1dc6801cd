"""The test of the network between a job's nodes: how they meet, measure, and what is remembered."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from node.health import fabric, meeting, ring
from node.health.fabric import Party, check_fabric
from node.health.machine import ANSWER_SECONDS
from node.health.meeting import MeetingError
from node.health.verdict import Verdict

NAMES = ("gpu-1", "gpu-2", "gpu-3")
_jobs = iter(range(100, 100_000))


FAKE_PYTHON = """#!/bin/sh
# Stands for a node's Python with torch: fails alone, together, or leaves rank 0's result.
case " $* " in
  *" --nnodes "*) failing="$0.fails-together" ;;
  *) failing="$0.fails-alone" ;;
esac
if [ -e "$failing" ]; then
  cat "$failing" >&2
  exit 1
fi
while [ "$1" != --out ]; do shift; done
echo '{"busbw_gbs": 77.0, "pairs": []}' >"$2"
"""


def parties(count: int = 3) -> list[Party]:
    """Return the parties of a job of its own on that many nodes, each with a loopback address."""
    job = next(_jobs)
    while not _is_free(meeting.meeting_ports(job)[0]):
        job = next(_jobs)
    return [
        Party(
            job_id=job,
            rank=rank,
            names=NAMES[:count],
            address=f"127.0.0.{rank + 1}",
            first="127.0.0.1",
            boot=f"boot-{rank}",
        )
        for rank in range(count)
    ]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def pythons(folder: Path, count: int = 3) -> list[str]:
    """Return stand-ins for the nodes' Pythons; a file beside one, `.fails-alone`, makes it fail."""
    made = [folder / f"python-{rank}" for rank in range(count)]
    for each in made:
        each.write_text(FAKE_PYTHON)
        each.chmod(0o755)
    return [str(each) for each in made]


def meet(
    found: list[Party], cache: Path, join_seconds: float = 5.0, python: list[str] | None = None
) -> list[Verdict]:
    """Let the parties meet, each in a thread, and return their verdicts."""
    verdicts: dict[int, Verdict] = {}

    def act(party: Party) -> Callable[[], None]:
        def run() -> None:
            interpreter = python[party.rank] if python else "python"
            verdicts[party.rank] = check_fabric(party, cache / f"{party.rank}", interpreter, join_seconds)

        return run

    threads = [threading.Thread(target=act(party)) for party in found]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    return [verdicts[party.rank] for party in found]


def test_nodes_that_reach_each_other_pass_and_are_not_tested_again(tmp_path: Path) -> None:
    assert meet(parties(), tmp_path) == [Verdict()] * 3
    again = meet(parties(), tmp_path)
    assert again[0].note == "tested before" and again[1:] == [Verdict()] * 2


def test_a_node_that_was_started_anew_is_tested_again(tmp_path: Path) -> None:
    meet(parties(), tmp_path)
    anew = parties()
    anew[1] = replace(anew[1], boot="another")
    assert meet(anew, tmp_path)[0].note == ""


def test_what_could_not_be_measured_is_not_remembered(tmp_path: Path) -> None:
    found = parties()
    found[2] = replace(found[2], busy=True)
    meet(found, tmp_path)
    assert meet(parties(), tmp_path)[0].note == ""


def test_a_sick_node_lets_the_others_go_at_once(tmp_path: Path) -> None:
    for sick in (0, 2):
        found = parties()
        found[sick] = replace(found[sick], sick="gpu-ecc: GPU 1")
        begun = time.monotonic()
        assert meet(found, tmp_path / str(sick), join_seconds=30.0) == [Verdict()] * 3
        assert time.monotonic() - begun < 20, "nobody waits for the time that a meeting may take"


def test_one_that_does_not_come_is_named_and_absence_alone_drains_nobody(tmp_path: Path) -> None:
    first, second, _ = parties()
    told = meet([first, second], tmp_path, join_seconds=0.5)
    assert told[0].absent == ("gpu-3",) and not told[0].bad and not told[1].bad
    alone = meet([parties()[0]], tmp_path, 0.3)[0]
    assert not alone.bad and alone.warning == "not met: gpu-2, gpu-3"
    assert "gpu-1, was not met" in meet([parties()[1]], tmp_path, 0.3)[0].warning


def test_what_comes_to_a_meeting_uninvited_is_ignored(tmp_path: Path) -> None:
    found = parties(2)
    port = meeting.meeting_ports(found[0].job_id)[0]
    verdicts: list[Verdict] = []
    leading = threading.Thread(
        target=lambda: verdicts.append(check_fabric(found[0], tmp_path, "python", 10.0))
    )
    leading.start()
    with pytest.raises(MeetingError, match="was not reached"):
        meeting.join("127.0.0.1", [port], b"another key", {"rank": 1, "boot": "", "gpus": 0}, 0.5)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b'{"rank": 1}\n', b"[]\n"):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(garbage)
    with contextlib.ExitStack() as strangers:
        for _ in range(40):  # one byte each, and no end of a line
            strangers.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(b"x")
        # A second for each would be more than the meeting has.
        assert check_fabric(found[1], tmp_path, "python", 5.0) == Verdict()
    leading.join(20)
    assert verdicts == [Verdict()]


def test_a_port_that_another_job_holds_keeps_nobody_from_meeting(tmp_path: Path) -> None:
    found = parties()
    with meeting.listen("127.0.0.1", meeting.meeting_ports(found[0].job_id)[0]):
        # The stranger takes connections and says nothing.
        assert meet(found, tmp_path, join_seconds=20.0) == [Verdict()] * 3
    ports = meeting.meeting_ports(parties()[0].job_id)
    assert len(set(ports)) == len(ports) > 1


def test_where_all_ports_are_taken_no_node_is_drained(tmp_path: Path) -> None:
    found = parties(2)
    with contextlib.ExitStack() as others:
        for port in meeting.meeting_ports(found[0].job_id):
            others.enter_context(meeting.listen("127.0.0.1", port))
        told = meet(found, tmp_path, join_seconds=0.5)
    assert [each.bad for each in told] == ["", ""]
    assert "no port could be opened" in told[0].warning


def test_a_stranger_on_a_ring_s_port_takes_nobody_s_turn() -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(meeting.listen("127.0.0.1", 0)) for _ in range(2)]
        addresses = tuple(("127.0.0.1", int(each.getsockname()[1])) for each in servers)
        for address in addresses:
            stack.enter_context(socket.create_connection(address)).sendall(b"mine\n")
        places = [ring.Place(server, rank, addresses, b"key") for rank, server in enumerate(servers)]
        with ThreadPoolExecutor(2) as pool:
            turns = list(pool.map(ring.exchange, places))
    assert [(each.sent, each.received) for each in turns] == [("", "")] * 2


def test_who_has_heard_a_greeting_cannot_pass_it_on() -> None:
    hello: dict[str, object] = {"rank": 1}
    with meeting.listen("127.0.0.1", 0) as server:
        line = meeting.Line(socket.create_connection(server.getsockname()), b"key")
        line.send({**hello, "port": 1})  # said on another port
        assert meeting.gather(server, b"key", {1}, 0.3) == {}
        line.close()


def test_a_line_that_ends_or_is_silent_is_told() -> None:
    with meeting.listen("127.0.0.1", 0) as server:
        line = meeting.Line(socket.create_connection(server.getsockname()), b"")
        with pytest.raises(MeetingError, match="no word within"):
            line.receive(0.05)
        server.accept()[0].close()
        with pytest.raises(MeetingError, match="has gone"):
            line.receive(5.0)
        line.close()


def turn(sent: str = "", received: str = "") -> ring.Turn:
    """Return how an exchange went."""
    return ring.Turn(sent, received, 0.01)


def test_a_node_with_trouble_in_both_directions_is_to_blame_and_not_its_neighbours() -> None:
    turns = {0: turn(sent="timed out"), 1: turn("timed out", "timed out"), 2: turn(received="timed out")}
    assert set(ring.broken(turns)) == {1}
    assert set(ring.broken({0: turn(), 1: turn(sent="timed out"), 2: turn(received="timed out")})) == {2}
    assert ring.broken({0: turn(), 1: turn(), 2: turn()}) == {}


def test_a_link_that_nobody_takes_from_ends_in_time() -> None:
    with meeting.listen("127.0.0.1", 0) as own, meeting.listen("127.0.0.1", 0) as deaf:
        addresses = (own.getsockname()[:2], deaf.getsockname()[:2])
        found = ring.exchange(ring.Place(own, 0, addresses, b"key"), seconds=0.3)
    assert found.sent and found.received and found.seconds < 5


def test_gpus_are_tried_alone_and_then_together(tmp_path: Path) -> None:
    python = pythons(tmp_path)
    found = [replace(party, gpus=2) for party in parties()]
    assert meet(found, tmp_path / "well", python=python) == [Verdict(gbs=77.0)] * 3
    (tmp_path / "python-1.fails-together").write_text("NCCL error")
    found = [replace(party, gpus=2) for party in parties()]
    told = meet(found, tmp_path / "together", python=python)
    assert [each.warning for each in told] == ["an all-reduce failed: NCCL error"] * 3
    (tmp_path / "python-1.fails-alone").write_text("CUDA error")
    found = [replace(party, gpus=2) for party in parties()]
    told = meet(found, tmp_path / "together", python=python)
    assert told[1].bad == "an all-reduce among its own GPUs failed: CUDA error"
    assert told[0] == told[2] == Verdict()


def test_all_measurements_end_before_slurm_loses_patience() -> None:
    text = (Path(__file__).parent.parent / "templates" / "slurm" / "slurm.conf.j2").read_text()
    patience = int(text.split("PrologEpilogTimeout=")[1].split()[0])
    test = meeting.JOIN_SECONDS + fabric._TEST_SECONDS + fabric._SLACK_SECONDS
    assert test + 2 * ANSWER_SECONDS <= patience
