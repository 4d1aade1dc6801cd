"""A log is in the bucket a moment after it was written, however long it is, and is read to the last byte."""

from __future__ import annotations

import random
import threading
import uuid
from pathlib import Path

import pytest

from fleet import aws
from fleet.cloud import Cloud
from fleet.fetch import fetch
from fleet.follow import follow, read_logs
from fleet.run_logs import extent, log_pieces, read_from
from fleet.run_store import RunStore
from fleet.tail import LogText
from node import log_stream
from node.log_stream import LogStream, bring_log
from node.store import Bucket
from node.sync import FolderSync
from tests.sandbox_helpers import wait_for

pytestmark = pytest.mark.sandbox
RUN = {
    "run_id": "r", "fleet": "gpu", "recipe": "digits", "script": "", "nodes": 1, "procs_per_node": 1,
    "actor": "tests", "submitted": "2026-01-01T00:00:00.000Z",
}  # fmt: skip


@pytest.fixture
def store(sandbox: Cloud) -> RunStore:
    name = f"logs-{uuid.uuid4().hex[:12]}"
    aws.client(sandbox, "s3", "us-east-1").create_bucket(Bucket=name)
    made = RunStore(sandbox, "us-east-1", name)
    made.put("r", "run.json", RUN)
    return made


@pytest.fixture
def bucket(store: RunStore) -> Bucket:
    return Bucket(store.s3, store.bucket)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few hundred bytes a long log."""
    monkeypatch.setattr(log_stream, "WHOLE_BYTES", 100)
    monkeypatch.setattr(log_stream, "BLOCK_BYTES", 300)
    monkeypatch.setattr(log_stream, "MOST_PARTS", 5)
    monkeypatch.setattr(log_stream, "SEND_SECONDS", 0.0)


def objects(store: RunStore) -> dict[str, int]:
    return {name.removeprefix("logs/node-0."): size for name, size in store.sizes("r", "logs/").items()}


def text_of(store: RunStore) -> str:
    return "".join(piece.text for piece in read_logs(store, "r"))


def test_a_short_log_is_one_object(store: RunStore, bucket: Bucket, tmp_path: Path, small: None) -> None:
    path = tmp_path / "node-0.log"
    stream = LogStream(bucket, "r", 0, path)
    stream.step()  # it is not there yet
    path.write_text("one\n")
    stream.step()
    path.write_text("one\ntwo\n")
    stream.step()
    stream.step()
    assert (objects(store), text_of(store)) == ({"log": 8}, "one\ntwo\n")


def test_a_long_log_is_read_whole_at_every_moment_of_its_growth(
    store: RunStore, bucket: Bucket, tmp_path: Path, small: None
) -> None:
    path, dice, written = tmp_path / "node-0.log", random.Random(7), ""
    stream = LogStream(bucket, "r", 0, path)
    most = 0
    for number in range(45):
        written += f"{number} " + "ü" * dice.randrange(60) + "\n"
        path.write_text(written)
        stream.step()
        while stream._told < len(written.encode()):
            stream.step()
        assert text_of(store) == written
        most = max(most, len(objects(store)))
    assert len(written) > 1000 and most < 20, "parts are joined to blocks"
    assert all(size <= 600 for size in objects(store).values())


def test_a_reader_misses_no_byte_while_parts_are_joined(
    store: RunStore, bucket: Bucket, tmp_path: Path, small: None
) -> None:
    path = tmp_path / "node-0.log"
    stream, over = LogStream(bucket, "r", 0, path), threading.Event()
    lines = "".join(f"line {number}\n" for number in range(150))

    def write() -> None:
        for start in range(0, len(lines), 40):
            with path.open("a") as file:
                file.write(lines[start : start + 40])
            stream.step()
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    got = b""
    while not over.is_set() or len(got) < len(lines):
        pieces = log_pieces(store.sizes("r", "logs/")).get(0, [])
        got += read_from(store, "r", pieces, len(got))
    writer.join()
    assert got.decode() == lines


def test_at_the_end_the_log_is_one_object_again(
    store: RunStore, bucket: Bucket, tmp_path: Path, small: None
) -> None:
    path = tmp_path / "logs" / "node-0.log"
    path.parent.mkdir()
    sync, over = FolderSync(bucket, "r", tmp_path, 0), threading.Event()
    thread = sync.keep_up(over)
    for number in range(20):
        with path.open("a") as file:
            file.write(f"{number} {'x' * 40}\n")
    wait_for(lambda: len(objects(store)) > 1)
    over.set()
    thread.join()
    listed = sync.finish(1.0)
    (sent,) = listed
    assert (sent["key"], sent["size"]) == ("runs/r/logs/node-0.log", path.stat().st_size)
    assert objects(store) == {"log": path.stat().st_size}
    assert text_of(store) == path.read_text()


def test_the_log_of_a_node_that_died_is_read_fetched_and_gone_on_with(
    store: RunStore, bucket: Bucket, tmp_path: Path, small: None
) -> None:
    first = tmp_path / "a.log"
    first.write_text("")
    stream, text = LogStream(bucket, "r", 0, first), ""
    for number in range(30):
        text += f"first {number}\n"
        first.write_text(text)
        stream.step()
    assert text_of(store) == text
    fetch(store, "r", tmp_path / "fetched")
    assert (tmp_path / "fetched/logs/node-0.log").read_text() == text
    assert [path.name for path in (tmp_path / "fetched/logs").iterdir()] == ["node-0.log"]

    second = tmp_path / "b" / "node-0.log"
    bring_log(bucket, "r", 0, second)
    assert second.read_text() == text
    again = LogStream(bucket, "r", 0, second)
    second.write_text(text + "second\n")
    again.step()
    assert text_of(store) == text + "second\n"


def test_a_log_that_is_another_one_replaces_what_was_sent(
    store: RunStore, bucket: Bucket, tmp_path: Path, small: None
) -> None:
    old, new = tmp_path / "old.log", tmp_path / "new.log"
    old.write_text("x" * 350)
    stream = LogStream(bucket, "r", 0, old)
    stream.step()
    stream.step()
    new.write_text("afresh\n")
    LogStream(bucket, "r", 0, new).step()
    assert text_of(store) == "afresh\n"


def test_a_bucket_that_refuses_is_tried_again(
    store: RunStore, bucket: Bucket, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node-0.log"
    path.write_text("x" * 150)
    stream = LogStream(bucket, "r", 0, path)
    put = Bucket.put
    monkeypatch.setattr(Bucket, "put", lambda self, key, body: (_ for _ in ()).throw(OSError("full")))
    stream.step()
    monkeypatch.setattr(Bucket, "put", put)
    monkeypatch.setattr(stream, "_due", 0.0)
    stream.step()
    assert text_of(store) == "x" * 150


def test_pieces_with_a_gap_are_read_up_to_it() -> None:
    sizes = {"logs/node-1.log": 10, "logs/node-1.log.part-000010": 5, "logs/node-1.log.part-000020": 5}
    assert extent(log_pieces(sizes)[1]) == 15


def test_what_is_written_now_is_followed_before_it_ends(
    store: RunStore, bucket: Bucket, tmp_path: Path, small: None
) -> None:
    path, over = tmp_path / "node-0.log", threading.Event()
    path.write_text("begin " + "x" * 400 + "\n")
    thread = LogStream(bucket, "r", 0, path).keep_up(over)
    seen = ""
    for item in follow(store, "r"):
        if isinstance(item, LogText):
            seen += item.text
        if "begin" in seen and "end" not in path.read_text():
            with path.open("a") as file:
                file.write("end\n")
        if seen.endswith("end\n"):
            break
    over.set()
    thread.join()
    assert seen == path.read_text()
