"""The agent of a node: what it publishes and when, and how it finds a head that has moved."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from node.agent import main, registration
from node.agent.head import LOOK_SECONDS, HeadWatch
from node.agent.metadata import Metadata
from node.agent.publish import BUSY_SECONDS, IDLE_SECONDS, QUIET_SECONDS, Publisher, noticeable
from node.agent.spot import look, recommendation
from node.agent.usage import Usage, parse_gpu_usage
from node.config import read_node_config
from node.layout import epoch_seconds
from node.slurm.tools import NodeState
from node.store import Bucket
from tests.metadata_service import MetadataService, metadata_service

__all__ = ["metadata_service"]


class Written:
    """Stands for S3: remembers what is put."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> dict[str, str]:  # noqa: N803 - boto3's names
        self.bodies[Key] = Body
        return {"ETag": '"1"'}


def numbers(
    *, runs: tuple[str, ...] = ("r1",), cpu: float = 50.0, gpu: float | None = 80.0
) -> dict[str, Any]:
    """Return a machine's numbers."""
    return {
        "cpu_percent": cpu, "memory_mib": 1000, "received_mb_s": 0.0, "sent_mb_s": 0.0, "runs": list(runs),
        "gpus": [{"busy_percent": gpu, "memory_mib": None}],
    }  # fmt: skip


def test_a_machine_with_a_run_is_written_often_when_something_changes_and_seldom_when_not() -> None:
    s3 = Written()
    publisher = Publisher(Bucket(s3, "b"), "gpu-1")
    assert publisher.offer(numbers(), 100.0)
    assert list(s3.bodies) == ["cluster/stats/gpu-1.json"]
    assert b'"name": "gpu-1", "time": "1970-01-01T00:01:40.000Z"' in s3.bodies["cluster/stats/gpu-1.json"]
    assert not publisher.offer(numbers(cpu=51.0), 100.0 + BUSY_SECONDS)
    assert publisher.offer(numbers(cpu=61.0), 101.0 + BUSY_SECONDS)
    assert not publisher.offer(numbers(cpu=61.0), 100.0 + QUIET_SECONDS)
    assert publisher.offer(numbers(cpu=61.0), 102.0 + BUSY_SECONDS + QUIET_SECONDS)


def test_a_machine_without_a_run_is_written_once_a_minute_and_at_once_when_a_run_comes() -> None:
    publisher = Publisher(Bucket(Written(), "b"), "gpu-1")
    assert publisher.offer(numbers(runs=(), cpu=0.0), 0.0)
    assert not publisher.offer(numbers(runs=(), cpu=90.0), IDLE_SECONDS - 1)
    assert publisher.offer(numbers(runs=("r1",)), IDLE_SECONDS - 1)
    assert publisher.offer(numbers(runs=()), IDLE_SECONDS)


def test_a_gpu_that_becomes_busy_is_noticeable_and_one_that_tells_nothing_is_not() -> None:
    assert noticeable(numbers(gpu=0.0), numbers(gpu=90.0))
    assert not noticeable(numbers(gpu=None), numbers(gpu=None))


def test_usage_counts_what_the_kernel_counts_between_two_looks(tmp_path: Path) -> None:
    system = tmp_path / "system"
    proc = system / "proc"
    (proc / "net").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 4096000 kB\nMemAvailable: 1024000 kB\n")

    def kernel(busy: int, idle: int, received: int, written: int) -> None:
        (proc / "stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n")
        (proc / "net" / "dev").write_text(
            "Inter-|   Receive\n face |bytes\n"
            "    lo: 99999999 0 0 0 0 0 0 0 99999999 0 0 0 0 0 0 0\n"
            f"  ens5: {received} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        )
        (proc / "diskstats").write_text(
            f" 259 0 nvme0n1 1 0 0 0 1 0 {written} 0 0 0 0\n 259 1 nvme0n1p1 1 0 0 0 1 0 {written} 0 0 0 0\n"
        )

    kernel(100, 100, 0, 0)
    usage = Usage(tmp_path, Path("/"), system)
    kernel(175, 125, 5_000_000, 1000)
    found = usage.look()
    assert found["cpu_percent"] == 75.0
    assert (found["memory_mib"], found["memory_total_mib"]) == (3000, 4000)
    assert found["received_mb_s"] > 0 and found["sent_mb_s"] == 0
    assert found["written_mb_s"] > 0 and found["read_mb_s"] == 0
    assert found["gpus"] == [] and found["runs"] == []


def test_usage_names_the_runs_of_this_machine_alone(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    programs = []
    for root, run in ((mine, "20261122-mine"), (other, "20261122-other")):
        root.mkdir()
        # What a runner looks like in the process table.
        argv = [sys.executable, "-c", "import time; time.sleep(60)", "node.runner", "--run-id", run, "--x"]
        programs.append(subprocess.Popen(argv, env={**os.environ, "FLEETFORM_ROOT": str(root)}))
    try:
        assert Usage(mine, mine).look()["runs"] == ["20261122-mine"]
    finally:
        for each in programs:
            each.kill()
            each.wait()


def test_what_a_gpu_does_not_tell_is_none() -> None:
    text = (
        "0, NVIDIA H100 80GB HBM3, 97, 61234, 81559, 689.12, 64\n1, NVIDIA A10G, [N/A], 0, 23028, [N/A], 20\n"
    )
    first, second = parse_gpu_usage(text)
    assert (first["busy_percent"], first["watts"]) == (97.0, 689.12)
    assert (second["busy_percent"], second["watts"], second["memory_total_mib"]) == (None, None, 23028.0)


def test_the_notice_is_read_with_a_token_and_is_none_before_it_comes(
    metadata_service: MetadataService,
) -> None:
    metadata = Metadata(metadata_service.environment)
    assert look(metadata) is None
    metadata_service.values["spot/instance-action"] = (
        '{"action": "terminate", "time": "2026-11-22T21:00:00Z"}'
    )
    notice = look(metadata)
    assert notice is not None and notice.at == epoch_seconds("2026-11-22T21:00:00Z")
    assert str(notice) == "EC2 takes the machine at 2026-11-22T21:00:00Z (terminate)"
    assert metadata_service.tokens == 1, "the token is kept"
    assert recommendation(metadata) == ""
    metadata_service.values["events/recommendations/rebalance"] = '{"noticeTime": "2026-11-22T20:00:00Z"}'
    assert recommendation(metadata) == "2026-11-22T20:00:00Z"


def test_a_token_that_is_no_longer_taken_is_renewed(metadata_service: MetadataService) -> None:
    metadata = Metadata(metadata_service.environment)
    assert metadata.get("instance-id") == "i-1"
    metadata_service.forget_tokens()
    with pytest.raises(OSError, match="401"):
        metadata.get("instance-id")
    assert metadata.get("instance-id") == "i-1"


class Heads:
    """The head as EC2 knows it, and how often slurmd was told to look for it."""

    def __init__(self) -> None:
        self.address, self.asked, self.followed = "127.0.0.1", 0, 0

    def find(self) -> str:
        self.asked += 1
        return self.address

    def follow(self) -> None:
        self.followed += 1


def test_a_head_that_answers_is_not_asked_about_and_one_that_moved_is_followed(tmp_path: Path) -> None:
    heads = Heads()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        watch = HeadWatch(tmp_path / "head", port, heads.find, heads.follow)
        assert [watch.look() <= LOOK_SECONDS * 1.3 for _ in range(3)] == [True] * 3
        assert (heads.asked, heads.followed) == (1, 0)
    with socket.create_server(("127.0.0.9", port)):
        heads.address = "127.0.0.9"
        watch.look()
        assert (heads.asked, heads.followed) == (2, 1)
        watch.look()
        assert (heads.asked, heads.followed) == (2, 1)
        # An agent that was started anew knows whom slurmd follows.
        again = HeadWatch(tmp_path / "head", port, heads.find, heads.follow)
        again.look()
        assert heads.followed == 1


def test_while_there_is_no_head_it_is_asked_for_less_and_less(tmp_path: Path) -> None:
    heads = Heads()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    watch = HeadWatch(tmp_path / "head", port, heads.find, heads.follow)
    pauses = [watch.look() for _ in range(8)]
    assert pauses[-1] > 80 and heads.followed == 0


def test_a_cloud_that_refuses_to_tell_of_the_head_is_asked_less_and_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(ec2: object, environment: str) -> None:
        raise OSError("Request limit exceeded")

    monkeypatch.setattr(main, "find_head", throttled)
    (tmp_path / "etc/fleetform").mkdir(parents=True)
    names = ("environment", "region", "artifact_bucket", "dataset_bucket", "role", "node_document", "python")
    (tmp_path / "etc/fleetform/node.json").write_text(json.dumps(dict.fromkeys(names, "x")))
    monkeypatch.setenv("FLEETFORM_ROOT", str(tmp_path))
    look = main.follow_head(read_node_config(), None)
    pauses = [look() for _ in range(8)]
    assert pauses[0] < 30 and pauses[-1] > 80


def test_a_node_that_slurm_has_forgotten_registers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {"CLOUD", "POWERED_DOWN"}
    registered: list[int] = []
    monkeypatch.setattr(
        registration, "nodes", lambda name: [NodeState(name, "IDLE", frozenset(flags), "", "127.0.0.1")]
    )
    watch = registration.Registration("gpu-1", lambda: registered.append(1))
    watch.look()
    assert not registered, "a boot passes through that state"
    watch.look()
    assert registered == [1]
    flags.discard("POWERED_DOWN")
    for _ in range(3):
        watch.look()
    assert registered == [1]
