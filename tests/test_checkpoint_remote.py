"""Checkpoints in S3: sent and verified, found by a machine that has none, left out where damaged."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fleet.cloud import Cloud
from tests.checkpoint_ranks import digest_at, new_checkpointer, progress, run_ranks, small_state
from tests.sandbox_helpers import admin, api
from tests.test_checkpoint_ranks import STATES, sharded_state
from trainer.aws import client
from trainer.checkpoints import remote
from trainer.checkpoints.checkpointer import Checkpointer
from trainer.checkpoints.remote import Remote, RemoteError
from trainer.configs.settings import ConfigError
from trainer.distributed import World

pytestmark = [pytest.mark.torch, pytest.mark.sandbox]
ALONE = World(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))
BUCKET = "checkpoints"


@pytest.fixture
def url(sandbox: Cloud, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """A prefix of this test's own in the sandbox, where AWS's variables lead."""
    for name, value in sandbox.variables.items():
        monkeypatch.setenv(name, value)
    client.cache_clear()
    api(sandbox, "s3").create_bucket(Bucket=BUCKET)
    yield f"s3://{BUCKET}/{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}/checkpoints"
    admin(sandbox, "DELETE", "faults")
    client.cache_clear()


def keys(sandbox: Cloud, url: str) -> list[str]:
    """Return what lies below the URL."""
    prefix = url.removeprefix(f"s3://{BUCKET}/") + "/"
    listed = api(sandbox, "s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [entry["Key"].removeprefix(prefix) for entry in listed]


def saver_of(folder: Path, url: str | None, **more: Any) -> tuple[Checkpointer, Any]:
    """Return a prepared checkpointer and its state."""
    saver, state = new_checkpointer(ALONE, folder, remote=url, **more), small_state()
    saver.resume(state)  # type: ignore[arg-type]
    saver.prepare(state)  # type: ignore[arg-type]
    return saver, state


def save(saver: Checkpointer, state: Any, *steps: int) -> bool:
    """Save steps, each committed before the next; return whether all is well."""
    well = True
    for step in steps:
        state.set(step)
        saver.save(progress(step))
        well = saver.wait() and well
    return well


def resumed(folder: Path, url: str | None) -> tuple[int, str, str]:
    """Resume; return the step, the digest of the state and where it came from."""
    saver, state = new_checkpointer(ALONE, folder, remote=url), small_state()
    found = saver.resume(state)  # type: ignore[arg-type]
    saver.close()
    assert found is None or found == progress(found.step)
    return found.step if found else 0, state.digest(), saver.source


def test_a_machine_that_has_none_goes_on_from_the_newest_checkpoint_at_the_remote(
    sandbox: Cloud, url: str, tmp_path: Path
) -> None:
    saver, state = saver_of(tmp_path / "first", url)
    assert save(saver, state, 1, 2, 3)
    saver.close()
    assert (saver.costs.uploaded_step, saver.costs.committed_step, saver.costs.saves) == (3, 3, 3)
    files = [".metadata", "__0_0.distcp", "manifest.json"]
    assert keys(sandbox, url) == [f"step-{step}/{name}" for step in (2, 3) for name in files]
    assert resumed(tmp_path / "second", url) == (3, digest_at(3), "remote")
    assert resumed(tmp_path / "second", None) == (3, digest_at(3), "folder")
    assert resumed(tmp_path / "first", url) == (3, digest_at(3), "folder")


def test_every_object_says_what_it_is_for_those_who_read_and_clean_the_bucket(
    sandbox: Cloud, url: str, tmp_path: Path
) -> None:
    saver, state = saver_of(tmp_path, url)
    assert save(saver, state, 1)
    saver.close()
    s3, prefix = api(sandbox, "s3"), url.removeprefix(f"s3://{BUCKET}/")
    for name in (".metadata", "__0_0.distcp", "manifest.json"):
        at = {"Bucket": BUCKET, "Key": f"{prefix}/step-1/{name}"}
        content = (tmp_path / "checkpoints" / "step-1" / name).read_bytes()
        assert s3.get_object_tagging(**at)["TagSet"] == [{"Key": "fleetform", "Value": "checkpoint"}]
        assert s3.head_object(**at)["Metadata"]["sha256"] == hashlib.sha256(content).hexdigest()
        assert s3.get_object(**at)["Body"].read() == content


def test_a_refused_upload_is_told_and_leaves_the_local_checkpoint_and_the_next_goes_on(
    sandbox: Cloud, url: str, tmp_path: Path
) -> None:
    saver, state = saver_of(tmp_path, url)
    fault = {
        "service": "s3",
        "action": "PutObject",
        "resource": "step-1/",
        "code": "AccessDenied",
        "status": 403,
    }
    admin(sandbox, "POST", "faults", fault)
    with pytest.warns(UserWarning, match="step 1 is not sent: rank 0: .*AccessDenied"):
        assert not save(saver, state, 1)
    assert (saver.costs.committed_step, saver.costs.uploaded_step, saver.costs.failures) == (1, 0, 1)
    assert resumed(tmp_path, url)[0] == 1
    assert save(saver, state, 2)
    saver.close()
    assert saver.costs.uploaded_step == 2


def test_a_throttled_and_interrupted_upload_arrives_in_the_end(
    sandbox: Cloud, url: str, tmp_path: Path
) -> None:
    for code, status in (("SlowDown", 503), ("InternalError", 500)):
        admin(
            sandbox,
            "POST",
            "faults",
            {"service": "s3", "action": "PutObject", "code": code, "status": status, "count": 2},
        )
    saver, state = saver_of(tmp_path / "first", url)
    assert save(saver, state, 1)
    saver.close()
    assert resumed(tmp_path / "second", url) == (1, digest_at(1), "remote")


@pytest.mark.parametrize("damage", ["changed", "cut", "gone", "no manifest"])
def test_a_damaged_remote_checkpoint_is_left_out_and_the_one_before_is_used(
    damage: str, sandbox: Cloud, url: str, tmp_path: Path
) -> None:
    saver, state = saver_of(tmp_path / "first", url)
    assert save(saver, state, 1, 2)
    saver.close()
    s3, prefix = api(sandbox, "s3"), url.removeprefix(f"s3://{BUCKET}/")
    at = {"Bucket": BUCKET, "Key": f"{prefix}/step-2/__0_0.distcp"}
    content = bytearray(s3.get_object(**at)["Body"].read())
    content[len(content) // 2] ^= 1
    if damage == "changed":
        s3.put_object(Body=bytes(content), **at)
        with pytest.warns(UserWarning, match="step-2 is left out: rank 0: .* is not what was sent"):
            assert resumed(tmp_path / "second", url) == (1, digest_at(1), "remote")
        return
    if damage == "cut":
        s3.put_object(Body=bytes(content[:-1]), **at)
    elif damage == "gone":
        s3.delete_object(**at)
    else:
        s3.delete_object(Bucket=BUCKET, Key=f"{prefix}/step-2/manifest.json")
    assert resumed(tmp_path / "second", url) == (1, digest_at(1), "remote")


def test_a_remote_that_cannot_be_reached_is_told_and_what_is_here_counts(
    sandbox: Cloud, url: str, tmp_path: Path
) -> None:
    saver, state = saver_of(tmp_path, None)
    assert save(saver, state, 1)
    saver.close()
    fault = {"service": "s3", "action": "ListObjectsV2", "code": "AccessDenied", "status": 403}
    admin(sandbox, "POST", "faults", fault)
    with pytest.warns(UserWarning, match="cannot be looked into, so only what is here counts"):
        assert resumed(tmp_path, url)[0] == 1


def test_a_save_during_an_upload_is_sent_after_it_and_training_waits_for_neither(
    sandbox: Cloud, url: str, tmp_path: Path
) -> None:
    fault = {"service": "s3", "action": "PutObject", "resource": "step-1/", "code": "SlowDown", "status": 503}
    admin(sandbox, "POST", "faults", fault | {"count": 3, "delay_s": 0.3})
    saver, state = saver_of(tmp_path, url, keep=1)
    for step in (1, 2, 3):
        state.set(step)
        saver.save(progress(step))
        while saver.costs.committed_step < step:
            if saver.written():
                saver.commit()
    assert saver.costs.uploaded_step == 0
    assert saver.wait()
    saver.close()
    assert saver.costs.uploaded_step == 3 and saver.costs.failures == 0
    assert {key.partition("/")[0] for key in keys(sandbox, url)} == {"step-3"}


def test_waiting_ends_at_the_deadline_with_what_is_safe_by_then(
    sandbox: Cloud, url: str, tmp_path: Path
) -> None:
    saver, state = saver_of(tmp_path, url, bytes_per_second=30_000)
    state.set(1)
    saver.save(progress(1))
    assert not saver.wait(2.5)  # one and a half seconds of writing, as many of sending
    saver.close()
    assert (saver.costs.committed_step, saver.costs.uploaded_step) == (1, 0)
    assert resumed(tmp_path, None)[0] == 1


def test_starting_over_clears_the_remote(sandbox: Cloud, url: str, tmp_path: Path) -> None:
    saver, state = saver_of(tmp_path, url)
    assert save(saver, state, 1)
    saver.clear()
    saver.close()
    assert keys(sandbox, url) == []


def test_starting_over_is_refused_where_the_remote_s_checkpoints_would_stay(
    sandbox: Cloud, url: str, tmp_path: Path
) -> None:
    saver, state = saver_of(tmp_path, url)
    assert save(saver, state, 1)
    fault = {"service": "s3", "action": "DeleteObject", "code": "AccessDenied", "status": 403}
    admin(sandbox, "POST", "faults", fault)
    with pytest.raises(ConfigError, match=r"the checkpoints there cannot be deleted: .*AccessDenied"):
        saver.clear()
    saver.close()


def test_a_large_file_goes_in_parts_and_comes_back(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PART_BYTES", 5 << 20)  # the least that S3 takes
    content = os.urandom(12 << 20)
    (tmp_path / "large").write_bytes(content)
    digest, there = hashlib.sha256(content).hexdigest(), Remote(url)
    there.upload(1, tmp_path / "large", "large", digest)
    there.download(1, {"large": {"sha256": digest}}, tmp_path / "back")
    assert (tmp_path / "back" / "large").read_bytes() == content
    with pytest.raises(RemoteError, match="is not what was written"):
        there.upload(2, tmp_path / "large", "large", "0" * 64)
    with pytest.raises(RemoteError, match="is not what was sent"):
        there.download(1, {"large": {"sha256": "0" * 64}}, tmp_path / "back")


def save_apart(world: World, folder: Path, url: str | None, *steps: int) -> list[str]:
    """Save a sharded state on a machine of its own; return what lies there afterwards."""
    state: Any = sharded_state()
    saver = new_checkpointer(world, folder, remote=url)
    try:
        found = saver.resume(state)
        assert found is None or state.digest() == digest_at(found.step, sharded_state())
        saver.prepare(state)
        for step in steps:
            state.set(step)
            saver.save(progress(step))
            assert saver.wait()
    finally:
        saver.close()
    where = folder / "checkpoints"
    return [saver.source, *(sorted(path.name for path in where.iterdir()) if where.is_dir() else [])]


def test_machines_without_a_common_folder_save_shards_at_the_remote_and_go_on_from_there(
    sandbox: Cloud, url: str, tmp_path: Path
) -> None:
    run_ranks(save_apart, 2, tmp_path, url, 1, 2, machines=True)
    files = [".metadata", "__0_0.distcp", "__1_0.distcp", "manifest.json"]
    assert keys(sandbox, url) == [f"step-{step}/{name}" for step in (1, 2) for name in files]
    manifest = Remote(url).newest()
    assert manifest is not None and manifest.world_size == 2 and json.dumps(manifest.extras)
    answers = run_ranks(save_apart, 2, tmp_path, url, 3, machines=True)
    assert [answer[0] for answer, _ in answers] == ["remote", "remote"]
    assert STATES["sharded"] is sharded_state


def test_machines_without_a_common_folder_or_a_remote_are_told_what_to_set(tmp_path: Path) -> None:
    for error, _ in run_ranks(save_apart, 2, tmp_path, None, 1, machines=True):
        assert isinstance(error, ConfigError)
        assert "do not share this folder" in error.problems[0]
        assert "FLEETFORM_CHECKPOINTS_URL" in error.problems[0]


def test_a_url_that_is_none_of_s3_is_the_user_s_mistake(tmp_path: Path) -> None:
    for wrong in ("/mnt/checkpoints", "s3://", "gs://bucket/x"):
        with pytest.raises(ConfigError, match="is not of the form s3://bucket/prefix"):
            new_checkpointer(ALONE, tmp_path, remote=wrong)
