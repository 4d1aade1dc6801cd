"""Launchers of several machines, here on one, that lose ranks and each other."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.launch_jobs import SCRIPTS, Job, wait_until
from trainer.launch.wire import Client, Line, Server

STEPS = str(SCRIPTS / "steps.py")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def node(rank: int, port: int, *script: str, **environment: str) -> Job:
    options = ["--nnodes", "2", "--node-rank", str(rank), "--master-port", str(port), "--run-id", "r-1"]
    return Job(*options, "--join-minutes", "1", *script, **environment)


@pytest.mark.torch
def test_a_rank_and_each_machines_launcher_can_be_killed_and_the_job_goes_on(tmp_path: Path) -> None:
    port, script = free_port(), (STEPS, str(tmp_path), "400")
    with contextlib.ExitStack() as stack:

        def start(rank: int) -> Job:
            return stack.enter_context(node(rank, port, *script))

        first, second = start(0), start(1)
        first.wait_for(lambda job: job.steps)
        second.kill("rank 1")
        first.wait_for(lambda job: job.said and len(job.steps) > 20)
        assert first.said[0].startswith("attempt 1 ended: rank 1 (node 1) was ended by SIGKILL in step ")

        second.process.kill()
        second = start(1)
        first.wait_for(lambda job: len(job.said) == 2)
        assert first.said[1].startswith("attempt 2 ended: node 1 was lost: ")
        before = len(first.steps)
        first.wait_for(lambda job: len(job.steps) > before + 10)

        first.process.kill()
        second.wait_for(lambda job: "machine 0's launcher is gone; waiting for it" in job.said)
        first = start(0)
        assert first.wait() == 0
        assert second.wait() == 0
    assert first.steps[0] > before  # it went on where the others had stopped
    assert first.steps[-1] == 400


@pytest.mark.torch
def test_a_spot_notice_on_one_machine_stops_all_of_them_within_its_deadline(tmp_path: Path) -> None:
    port, script = free_port(), (STEPS, str(tmp_path), "100000")
    with notices() as (endpoint, give), contextlib.ExitStack() as stack:
        first = stack.enter_context(node(0, port, *script))
        second = stack.enter_context(node(1, port, *script, AWS_EC2_METADATA_SERVICE_ENDPOINT=endpoint))
        first.wait_for(lambda job: job.steps)
        give({"action": "terminate", "time": in_seconds(120)})
        assert first.wait() == 75
        assert second.wait() == 75
    for job in (first, second):
        left = [int(line.split()[2]) for line in job.lines if line.startswith("stopping with")]
        assert len(left) == 1 and 90 <= left[0] <= 110
    assert first.said[-1].startswith("stopped: spot notice on node 1: terminate; saved")


@pytest.mark.torch
def test_a_launcher_with_other_numbers_is_refused_and_the_right_one_is_taken(tmp_path: Path) -> None:
    port = free_port()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(node(0, port, STEPS, str(tmp_path), "3"))
        wrong = stack.enter_context(node(1, port, "--nproc-per-node", "2", STEPS, str(tmp_path), "3"))
        assert wrong.wait() == 2
        assert wrong.said == ["failed: machine 0 refuses this one: --nproc-per-node: 2, but machine 0 has 1"]
        right = stack.enter_context(node(1, port, STEPS, str(tmp_path), "3"))
        assert (first.wait(), right.wait()) == (0, 0)


@contextlib.contextmanager
def notices() -> Iterator[tuple[str, Callable[[dict[str, str]], None]]]:
    """Serve instance metadata as EC2 does; yield its address, and what gives the notice."""
    given: list[bytes] = []

    class Metadata(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
            self.answer(200, b"a-token")

        def do_GET(self) -> None:
            if self.headers["X-aws-ec2-metadata-token"] != "a-token":
                self.answer(401, b"")
            elif self.path == "/latest/meta-data/spot/instance-action" and given:
                self.answer(200, given[0])
            else:
                self.answer(404, b"")

        def answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", lambda notice: given.append(json.dumps(notice).encode())
    server.shutdown()
    thread.join()
    server.server_close()


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


HELLO = {"is": "hello", "run_id": "r-1", "node": 1, "nnodes": 2, "nproc_per_node": 1}


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\xff\xfe\n",
        b"[1, 2]\n",
        b"null\n",
        b"{" * 100000 + b"\n",
        b'{"is": "hello", "run_id": "another", "node": 1}\n',
        json.dumps({**HELLO, "is": "ended"}).encode() + b"\n",
        b"",
    ],
)
def test_a_stranger_is_told_nothing_and_does_no_harm(words: bytes) -> None:
    events: list[tuple[str, Any]] = []
    port = free_port()
    Server(HELLO, 2, lambda kind, value: events.append((kind, value))).listen(port, 1.0)
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.settimeout(20)
        stranger.sendall(words)
        stranger.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(100) == b""
    client = Client(HELLO, ("127.0.0.1", port), lambda kind, value: events.append((kind, value)))
    client.start()
    client.be_free()
    wait_until(lambda: [kind for kind, _ in events if kind == "joined"], 10)
    client.close()
    wait_until(lambda: "lost" in [kind for kind, _ in events], 10)
    assert [kind for kind, _ in events if kind in ("joined", "message", "lost")] == ["joined", "lost"]


@pytest.mark.parametrize("fault", [{"node": 0}, {"node": 2}, {"node": True}, {"node": "1"}, {"nnodes": 3}])
def test_a_hello_with_other_numbers_is_answered_with_what_differs(fault: dict[str, Any]) -> None:
    port = free_port()
    Server(HELLO, 2, lambda kind, value: None).listen(port, 1.0)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        line = Line(connection)
        line.send({**HELLO, **fault})
        answer = line.receive()
    assert answer is not None and answer["do"] == "refuse"
    assert (
        f"--{next(iter(fault)).replace('node', 'node-rank', 1) if 'node' in fault else 'nnodes'}"
        in answer["why"]
    )


def test_a_launcher_joins_again_only_when_its_ranks_have_ended() -> None:
    events: list[str] = []
    port = free_port()
    Server(HELLO, 2, lambda kind, value: kind == "joined" and value[1].close()).listen(port, 1.0)
    client = Client(HELLO, ("127.0.0.1", port), lambda kind, value: events.append(kind))
    client.start()
    time.sleep(0.5)
    assert events == []
    for times in (1, 2):
        client.be_free()
        wait_until(lambda times=times: events == ["linked", "unlinked"] * times, 10)
        time.sleep(0.5)
        assert events == ["linked", "unlinked"] * times
    client.close()
