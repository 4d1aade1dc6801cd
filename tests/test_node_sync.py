"""The run directory goes home while it is written: nothing half, nothing twice, all of it listed."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest

from fleet import aws
from fleet.cloud import Cloud
from node import store, sync
from node.config import NodeConfig
from node.inputs import InputError, fetch_inputs
from node.store import Bucket
from node.sync import FolderSync

pytestmark = pytest.mark.sandbox


@pytest.fixture
def bucket(sandbox: Cloud) -> Bucket:
    s3 = aws.client(sandbox, "s3", "us-east-1")
    name = f"sync-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return Bucket(s3, name)


def write(folder: Path, name: str, text: str = "x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(bucket: Bucket) -> set[str]:
    return {key.removeprefix("runs/r/") for key in bucket.sizes("runs/r/")}


def test_a_changed_file_is_sent_again_and_an_unchanged_one_is_not(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "FRESH_SECONDS", 0.0)
    sent: list[str] = []
    upload = Bucket.upload

    def counted(self: Bucket, path: Path, key: str) -> tuple[int, str]:
        sent.append(key)
        return upload(self, path, key)

    monkeypatch.setattr(Bucket, "upload", counted)
    log = write(tmp_path, "logs/node-0.log", "one\n")
    write(tmp_path, "summary.json")
    syncing = FolderSync(bucket, "r", tmp_path, 0)
    syncing.step()
    syncing.step()
    assert sorted(sent) == ["runs/r/logs/node-0.log", "runs/r/summary.json"]
    log.write_text("one\ntwo\n")
    syncing.step()
    assert sent[2:] == ["runs/r/logs/node-0.log"]
    assert bucket.get("runs/r/logs/node-0.log") == b"one\ntwo\n"


def test_a_growing_file_rests_between_two_sends_but_not_at_the_end(bucket: Bucket, tmp_path: Path) -> None:
    log = write(tmp_path, "metrics.jsonl", "1\n")
    syncing = FolderSync(bucket, "r", tmp_path, 0)
    syncing.step()
    log.write_text("1\n2\n")
    syncing.step()
    assert bucket.get("runs/r/metrics.jsonl") == b"1\n"
    syncing.finish(0)
    assert bucket.get("runs/r/metrics.jsonl") == b"1\n2\n"


def test_a_checkpoint_is_sent_once_its_manifest_is_there_and_the_manifest_goes_last(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    upload = Bucket.upload
    monkeypatch.setattr(
        Bucket, "upload", lambda self, path, key: (order.append(path.name), upload(self, path, key))[1]
    )
    write(tmp_path, "checkpoints/step-1/z.distcp")
    syncing = FolderSync(bucket, "r", tmp_path, 0)
    syncing.step()
    assert names(bucket) == set()
    write(tmp_path, "checkpoints/step-1/manifest.json")
    syncing.step()
    assert order == ["z.distcp", "manifest.json"]


def test_a_checkpoint_that_the_trainer_removed_is_removed_from_the_bucket(
    bucket: Bucket, tmp_path: Path
) -> None:
    for step in (1, 2):
        write(tmp_path, f"checkpoints/step-{step}/data.distcp")
        write(tmp_path, f"checkpoints/step-{step}/manifest.json")
    syncing = FolderSync(bucket, "r", tmp_path, 0)
    syncing.step()
    for name in ("data.distcp", "manifest.json"):
        (tmp_path / "checkpoints/step-1" / name).unlink()
    listed = {file["key"] for file in syncing.finish(0)}
    assert names(bucket) == {"checkpoints/step-2/data.distcp", "checkpoints/step-2/manifest.json"}
    assert listed == {f"runs/r/{name}" for name in names(bucket)}


def test_a_model_is_sent_only_when_the_job_has_ended(bucket: Bucket, tmp_path: Path) -> None:
    write(tmp_path, "model/model.safetensors")
    syncing = FolderSync(bucket, "r", tmp_path, 0)
    syncing.step()
    assert names(bucket) == set()
    syncing.finish(0)
    assert names(bucket) == {"model/model.safetensors"}


def test_work_in_progress_is_never_sent(bucket: Bucket, tmp_path: Path) -> None:
    write(tmp_path, ".model.tmp/weights")
    write(tmp_path, "summary.json.tmp")
    FolderSync(bucket, "r", tmp_path, 0).finish(0)
    assert names(bucket) == set()


def test_checkpoints_of_other_programs_go_home_at_the_job_s_end(bucket: Bucket, tmp_path: Path) -> None:
    for name in (
        "checkpoints/epoch-1/model.pt",
        "checkpoints/checkpoint-500/optimizer.pt",
        ".hydra/config.yaml",
    ):
        write(tmp_path, name)
    syncing = FolderSync(bucket, "r", tmp_path, 0)
    syncing.step()
    assert names(bucket) == set()
    listed = {file["key"].removeprefix("runs/r/") for file in syncing.finish(0)}
    assert listed == names(bucket) == {
        "checkpoints/epoch-1/model.pt", "checkpoints/checkpoint-500/optimizer.pt", ".hydra/config.yaml",
    }  # fmt: skip
    assert syncing.left_out() == []


def test_a_link_to_a_file_goes_home_as_that_file(bucket: Bucket, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", "best.pt", "weights")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "best.pt").symlink_to(outside)
    FolderSync(bucket, "r", tmp_path / "run", 0).finish(0)
    assert bucket.get("runs/r/best.pt") == b"weights"


def test_what_stays_on_the_node_is_named_and_data_told_from_rubbish(bucket: Bucket, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for name in ("checkpoints/step-9/x.pt", ".cache/hub/blob", "half.pt.tmp"):
        write(run, name)
    write(tmp_path, "scratch/huge.pt")
    (run / "latest").symlink_to(run / "checkpoints" / "step-9")
    (run / "scratch").symlink_to(tmp_path / "scratch")
    (run / "nothing").symlink_to(tmp_path / "nothing")
    syncing = FolderSync(bucket, "r", run, 0)
    syncing.finish(0)
    assert names(bucket) == {"checkpoints/step-9/x.pt"}
    assert {each.path: each.data for each in syncing.left_out()} == {
        ".cache/": False, "half.pt.tmp": False, "latest": False, "nothing": False, "scratch": True,
    }  # fmt: skip


def test_no_file_of_a_job_takes_the_place_of_another_node_s_or_of_the_run_s_own(
    bucket: Bucket, tmp_path: Path
) -> None:
    for rank in (0, 1):
        for name in (
            "checkpoints/epoch-1/model.pt",
            "logs/train.log",
            f"logs/node-{rank}.log",
            "events.jsonl",
        ):
            write(tmp_path / str(rank), name, f"of {rank}")
        write(tmp_path / str(rank), "outputs/node-0.json")
        FolderSync(bucket, "r", tmp_path / str(rank), rank).finish(0)
    assert names(bucket) == {
        "checkpoints/epoch-1/model.pt", "node-1/checkpoints/epoch-1/model.pt", "logs/train.log",
        "node-1/logs/train.log", "logs/node-0.log", "logs/node-1.log", "node-0/events.jsonl",
        "node-1/events.jsonl", "node-0/outputs/node-0.json", "node-1/outputs/node-0.json",
    }  # fmt: skip
    assert bucket.get("runs/r/checkpoints/epoch-1/model.pt") == b"of 0"


def test_another_node_s_files_do_not_write_over_those_of_the_first(bucket: Bucket, tmp_path: Path) -> None:
    write(tmp_path, "result.txt", "mine")
    write(tmp_path, "logs/node-1.log")
    FolderSync(bucket, "r", tmp_path, 1).finish(0)
    assert names(bucket) == {"node-1/result.txt", "logs/node-1.log"}


def test_the_list_holds_size_and_digest_of_what_was_sent(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small enough to go up in one request, and large enough to go up in parts.
    monkeypatch.setattr(store, "PART_BYTES", 1000)
    write(tmp_path, "small", "s")
    write(tmp_path, "large", "l" * 5000)
    listed = {file["key"]: file for file in FolderSync(bucket, "r", tmp_path, 0).finish(0)}
    for name, text in (("small", "s"), ("large", "l" * 5000)):
        file = listed[f"runs/r/{name}"]
        assert file["sha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert file["size"] == len(text) == bucket.sizes("runs/r/")[f"runs/r/{name}"]


@pytest.mark.parametrize("part_bytes", [1000, 1 << 20], ids=["in parts", "whole"])
def test_checkpoints_are_tagged_so_that_they_can_age_and_the_model_is_not(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    monkeypatch.setattr(store, "PART_BYTES", part_bytes)
    for name in ("checkpoints/step-1/manifest.json", "model/checkpoints.bin", "summary.json"):
        write(tmp_path, name, "x" * 5000)
    for rank in (0, 1):
        FolderSync(bucket, "tagged", tmp_path, rank).finish(0)
    tagged = {
        key: bucket.s3.get_object_tagging(Bucket=bucket.name, Key=key)["TagSet"]
        for key in bucket.sizes("runs/tagged/")
    }
    assert len(tagged) == 6
    for key, tags in tagged.items():
        expected = [{"Key": "fleetform", "Value": "checkpoint"}] if "/checkpoints/" in key else []
        assert tags == expected, key


def test_a_bucket_that_refuses_stops_neither_the_job_nor_goes_unsaid_at_the_end(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "summary.json")
    syncing = FolderSync(Bucket(bucket.s3, "no-such-bucket-anywhere"), "r", tmp_path, 0)
    syncing.step()
    assert "trying again" in capsys.readouterr().err
    with pytest.raises(Exception, match="NoSuchBucket"):
        syncing.finish(0)


DATASETS = "sync-tests-datasets"


def config(root: Path) -> NodeConfig:
    return NodeConfig(
        "lab", "us-east-1", "bucket", DATASETS, "node", "gpu", "lab-run-node", "", "python3", root
    )


def test_a_damaged_dataset_is_refused_and_not_kept(bucket: Bucket, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"data").hexdigest()
    files = [{"name": "d.bin", "size": 4, "sha256": digest}]
    bucket.put("runs/r/run.json", _json({"dataset": {"name": "d", "sha256": "abc", "files": files}}))
    bucket.put("runs/r/launch.sh", b"true")
    datasets = Bucket(bucket.s3, DATASETS)
    datasets.s3.create_bucket(Bucket=DATASETS)
    datasets.put("abc/d.bin", b"DATA")
    with pytest.raises(InputError, match="damaged"):
        fetch_inputs(bucket, config(tmp_path), "r")
    datasets.put("abc/d.bin", b"data")
    folder = fetch_inputs(bucket, config(tmp_path), "r").data_dir
    assert (folder / "d.bin").read_bytes() == b"data"
    datasets.delete("abc/d.bin")  # what is here and whole is not fetched again
    assert fetch_inputs(bucket, config(tmp_path), "r").data_dir == folder


def test_code_with_another_digest_is_not_unpacked(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("runs/r/run.json", _json({"code": {"sha256": "0" * 64}}))
    bucket.put("runs/r/launch.sh", b"true")
    bucket.put("runs/r/code.tar.gz", b"something else")
    with pytest.raises(InputError, match="damaged"):
        fetch_inputs(bucket, config(tmp_path), "r")


def _json(data: object) -> bytes:
    import json

    return json.dumps(data).encode()


def test_what_the_trainer_has_sent_itself_is_not_sent_again_but_listed(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = "checkpoints/step-4"
    for name in ("__0_0.distcp", "__1_0.distcp", "manifest.json"):
        write(tmp_path, f"{folder}/{name}", name)
    for name, body in (("__0_0.distcp", b"__0_0.distcp"), ("__1_0.distcp", b"another one!")):
        digest = hashlib.sha256(body).hexdigest()
        key = f"runs/r/{folder}/{name}"
        bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=body, Metadata={"sha256": digest})
    uploaded: list[str] = []
    upload = Bucket.upload

    def counted(self: Bucket, path: Path, key: str) -> tuple[int, str]:
        uploaded.append(key)
        return upload(self, path, key)

    monkeypatch.setattr(Bucket, "upload", counted)
    syncing = FolderSync(bucket, "r", tmp_path, 1, checkpoint_seconds=3600)
    syncing.step()
    assert uploaded == []  # the trainer may still be at it
    syncing._checkpoint_seconds = 0.0
    syncing.step()
    assert uploaded == [f"runs/r/node-1/{folder}/{name}" for name in ("__1_0.distcp", "manifest.json")]
    listed = {file["key"]: file["sha256"] for file in syncing.finish(1)}
    own = hashlib.sha256(b"__0_0.distcp").hexdigest()
    assert listed[f"runs/r/{folder}/__0_0.distcp"] == own
    assert len(uploaded) == 2 and len(listed) == 3
