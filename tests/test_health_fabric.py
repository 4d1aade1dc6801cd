"""The test of the network between a job's nodes: who is to blame, and what is remembered."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from node.health import meeting, ring
from node.health.all_reduce import Measured
from node.health.fabric import Party, check_fabric
from node.health.meeting import MeetingError
from node.health.reasons import HEALTH, reason
from node.health.verdict import Verdict, judge, slow_nodes

NAMES = ("gpu-1", "gpu-2", "gpu-3")
WELL = Measured(sent="", received="", seconds=0.01)
_jobs = iter(range(100, 100_000))


def parties(count: int = 3) -> list[Party]:
    """Return the parties of a job of its own on that many nodes, each with a loopback address."""
    job = next(_jobs)
    while not _is_free(meeting.meeting_port(job)):
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


def meet(found: list[Party], cache: Path, join_seconds: float = 5.0) -> list[Verdict]:
    """Let the parties meet, each in a thread, and return their verdicts."""
    verdicts: dict[int, Verdict] = {}

    def act(party: Party) -> Callable[[], None]:
        def run() -> None:
            verdicts[party.rank] = check_fabric(party, cache / f"{party.rank}", "python", join_seconds)

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


def test_one_that_does_not_come_is_named_and_one_that_nobody_reaches_is_bad(tmp_path: Path) -> None:
    first, second, _ = parties()
    told = meet([first, second], tmp_path, join_seconds=0.5)
    assert told[0].absent == ("gpu-3",) and not told[0].bad and not told[1].bad
    assert meet([parties()[0]], tmp_path, 0.3)[0].bad == "2 of 2 other nodes could not reach it"
    assert "gpu-1, was not met" in meet([parties()[1]], tmp_path, 0.3)[0].note


def test_what_comes_to_a_meeting_uninvited_is_ignored(tmp_path: Path) -> None:
    found = parties(2)
    port = meeting.meeting_port(found[0].job_id)
    verdicts: list[Verdict] = []
    leading = threading.Thread(
        target=lambda: verdicts.append(check_fabric(found[0], tmp_path, "python", 5.0))
    )
    leading.start()
    stranger = meeting.join("127.0.0.1", port, b"another key", {"rank": 1, "boot": "", "gpus": 0})
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b'{"rank": 1}\n', b"[]\n"):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(garbage)
    assert check_fabric(found[1], tmp_path, "python", 5.0) == Verdict()
    leading.join(20)
    stranger.close()
    assert verdicts == [Verdict()]


def test_a_line_that_ends_or_is_silent_is_told() -> None:
    with meeting.listen("127.0.0.1", 0) as server:
        line = meeting.join("127.0.0.1", server.getsockname()[1], b"", {"rank": 1})
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
    assert set(ring.broken({0: turn(), 1: None, 2: turn()})) == {1}
    assert ring.broken({0: turn(), 1: turn(), 2: turn()}) == {}


def test_a_link_that_nobody_takes_from_ends_in_time() -> None:
    with meeting.listen("127.0.0.1", 0) as own, meeting.listen("127.0.0.1", 0) as deaf:
        found = ring.exchange(own, deaf.getsockname()[:2], seconds=0.3)
    assert found.sent and found.received and found.seconds < 5


def measured(gbs: float | None, pairs: tuple[tuple[int, int, float], ...] = ()) -> dict[int, Measured | None]:
    """Return what three nodes tell where the all-reduce reached that many GB/s."""
    return {0: replace(WELL, gbs=gbs, pairs=pairs), 1: WELL, 2: WELL}


def test_a_fabric_that_is_fast_enough_passes() -> None:
    verdicts, passed, gbs = judge(NAMES, measured(77.9), 25.0)
    assert (passed, gbs) == (True, 77.9)
    assert verdicts == dict.fromkeys(range(3), Verdict(gbs=77.9))


def test_one_slow_node_is_drained_and_the_others_are_not() -> None:
    pairs = ((0, 1, 4.0), (1, 2, 4.2), (2, 0, 78.0))
    verdicts, passed, _ = judge(NAMES, measured(4.0, pairs), 25.0)
    assert not passed and set(verdicts) == {1}
    assert "4.0 GB/s, expected are 25.0, with every other node" in verdicts[1].bad


def test_where_all_are_slow_the_job_is_refused_and_no_node_is_drained() -> None:
    pairs = ((0, 1, 4.0), (1, 2, 4.2), (2, 0, 4.1))
    verdicts, passed, _ = judge(NAMES, measured(4.0, pairs), 25.0)
    assert not passed and [each.bad for each in verdicts.values()] == ["", "", ""]
    assert all("is the Elastic Fabric Adapter used" in each.refused for each in verdicts.values())
    assert slow_nodes(((0, 1, 4.0),), 25.0) == set(), "of two nodes nobody can tell which"


def test_on_cpus_only_failures_are_judged() -> None:
    assert judge(NAMES, measured(None), 0.0)[1]
    assert judge(NAMES, measured(0.01), 0.0)[1]


def test_an_all_reduce_that_fails_is_told_with_the_reason() -> None:
    told = measured(None)
    told[2] = replace(WELL, error="NCCL error: unhandled system error")
    verdicts, passed, _ = judge(NAMES, told, 25.0)
    assert not passed and "unhandled system error" in verdicts[0].refused


def test_a_verdict_travels_whole() -> None:
    verdict = Verdict(bad="slow", note="x", gbs=4.0)
    assert Verdict.read(verdict.to_message()) == verdict


def test_a_reason_is_one_short_line_that_scontrol_takes() -> None:
    told = reason(HEALTH, "GPU 1: \"row\"\n'x' \\ ü" + "y" * 500)
    assert told.startswith("health: GPU 1: row x yyy") and len(told) == 200
    assert "\n" not in told and '"' not in told
