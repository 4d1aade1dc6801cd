"""Many who write to the ledger at once, answers that get lost, and what was not recorded in time."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from fleet import chain
from fleet.cloud import Cloud
from fleet.ledger import Ledger, LedgerError
from fleet.outbox import Outbox
from stacks.problems import UserError
from tests.sandbox_helpers import REGION, api

pytestmark = pytest.mark.sandbox
WRITERS, EACH = 16, 3
KIM, LEE = "arn:aws:iam::123456789012:user/kim", "arn:aws:iam::123456789012:user/lee"


@pytest.fixture
def bucket(sandbox: Cloud) -> str:
    """Make a new bucket with versions."""
    name, s3 = f"ledger-{uuid4().hex[:12]}", api(sandbox, "s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """An outbox that holds nothing."""
    return Outbox(tmp_path / "outbox")


def waiting(outbox: Outbox) -> list[str]:
    """Return the events that wait, oldest first."""
    with outbox.waiting() as kept:
        return [each.content["event"] for each in kept]


def write(cloud: Cloud, bucket: str, writer: int) -> None:
    """Be one of many writers, in a process of one's own."""
    ledger = Ledger(cloud, bucket, REGION, KIM)
    for number in range(EACH):
        ledger.append("test.many", f"writer-{writer}", "recorded", {"number": number})


def test_sixteen_processes_at_once_lose_no_entry_and_double_none(sandbox: Cloud, bucket: str) -> None:
    context = get_context("fork")  # what they import is there already
    writers = [context.Process(target=write, args=(sandbox, bucket, each)) for each in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    ledger = Ledger(sandbox, bucket, REGION, KIM)
    report, entries = ledger.verify(), ledger.entries()
    assert (report.entries, report.findings) == (WRITERS * EACH, ())
    written = [(entry["target"], entry["details"]["number"]) for entry in entries]
    assert sorted(written) == sorted((f"writer-{w}", n) for w in range(WRITERS) for n in range(EACH))
    assert len({entry["id"] for entry in entries}) == WRITERS * EACH
    for writer in range(WRITERS):
        assert [n for who, n in written if who == f"writer-{writer}"] == list(range(EACH)), (
            "each in its order"
        )


class RefusedError(Exception):
    """A refusal by the bucket."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


def answer_puts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *answers: Callable[[], None]) -> None:
    """Let the bucket store what it is given, and then answer otherwise: once with each of these."""
    put, left = ledger.objects.s3.put_object, list(answers)

    def stored(**arguments: Any) -> Any:
        done = put(**arguments)
        if left:
            left.pop(0)()
        return done

    monkeypatch.setattr(ledger.objects.s3, "put_object", stored)


def refuse(code: str) -> Callable[[], None]:
    def answer() -> None:
        raise RefusedError(code)

    return answer


def test_an_entry_whose_answer_got_lost_and_that_was_sent_again_is_there_once(
    sandbox: Cloud, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(sandbox, bucket, REGION, KIM)
    answer_puts(ledger, monkeypatch, refuse("PreconditionFailed"))
    assert ledger.append("test.lost", "vision", "recorded", {})["sequence"] == 1
    assert ledger.append("test.next", "vision", "recorded", {})["sequence"] == 2
    assert [each["event"] for each in ledger.entries()] == ["test.lost", "test.next"]


def test_two_who_write_the_same_number_at_the_same_moment_try_again(
    sandbox: Cloud, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(sandbox, bucket, REGION, KIM)
    answer_puts(ledger, monkeypatch, refuse("ConditionalRequestConflict"))
    ledger.append("test.conflict", "vision", "recorded", {})
    assert [each["event"] for each in ledger.entries()] == ["test.conflict"]


def test_whoever_wrote_last_goes_on_without_looking_and_finds_out_where_others_wrote(
    sandbox: Cloud, bucket: str
) -> None:
    first, second = Ledger(sandbox, bucket, REGION, KIM), Ledger(sandbox, bucket, REGION, LEE)
    first.append("test.turn", "a", "recorded", {})
    for _ in range(3):
        second.append("test.turn", "b", "recorded", {})
    first.append("test.turn", "c", "recorded", {})
    assert [each["target"] for each in first.entries()] == ["a", "b", "b", "b", "c"]
    assert first.verify().intact


# ------------------------------------------------------------------- what ended and could not be recorded


def out_of_order(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the bucket take nothing any more."""

    def refused(**_: Any) -> None:
        raise RefusedError("ServiceUnavailable")

    monkeypatch.setattr(ledger.objects.s3, "put_object", refused)


def test_what_succeeded_and_could_not_be_recorded_is_kept_and_recorded_first(
    sandbox: Cloud, bucket: str, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(sandbox, bucket, REGION, KIM, outbox=outbox)
    with (
        pytest.raises(LedgerError, match=r"environment\.up of vision succeeded is kept in .* by the next"),
        ledger.act("environment.up", "vision") as act,
    ):
        act.details["made"] = 31
        out_of_order(ledger, monkeypatch)
    assert waiting(outbox) == ["environment.up"]
    monkeypatch.undo()
    later = Ledger(sandbox, bucket, REGION, KIM, outbox=outbox)
    later.append("run.submit", "vision", "started", {})
    told = [(each["event"], each["outcome"]) for each in later.entries()]
    assert told == [("environment.up", "started"), ("environment.up", "succeeded"), ("run.submit", "started")]
    late = later.entries()[1]
    assert late["details"]["made"] == 31
    assert late["details"]["late"]["happened"] <= late["time"]
    assert "recorded_by" not in late["details"]["late"]
    assert waiting(outbox) == []
    assert later.verify().intact


def test_while_something_waits_that_cannot_be_recorded_nothing_new_starts(
    sandbox: Cloud, bucket: str, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, begun = Ledger(sandbox, bucket, REGION, KIM, outbox=outbox), False
    with pytest.raises(LedgerError), ledger.act("environment.up", "vision"):
        out_of_order(ledger, monkeypatch)
    with pytest.raises(LedgerError, match="can't be written"), ledger.act("run.submit", "vision"):
        begun = True
    assert not begun
    assert waiting(outbox) == ["environment.up"], "what did not start is not kept"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UserError.of("no", "yes"), "refused"),
        (RuntimeError("x"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_an_act_that_failed_raises_its_own_error_and_says_that_it_is_not_recorded_yet(
    sandbox: Cloud,
    bucket: str,
    outbox: Outbox,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    outcome: str,
) -> None:
    ledger = Ledger(sandbox, bucket, REGION, KIM, outbox=outbox)
    with pytest.raises(type(error)) as raised, ledger.act("environment.up", "vision"):
        out_of_order(ledger, monkeypatch)
        raise error
    assert raised.value is error
    assert f"environment.up of vision {outcome} is kept in" in error.__notes__[0]
    monkeypatch.undo()
    ledger.append("run.submit", "vision", "started", {})
    assert [each["outcome"] for each in ledger.entries()] == ["started", outcome, "started"]


def test_an_entry_that_was_stored_though_the_answer_said_otherwise_is_not_recorded_twice(
    sandbox: Cloud, bucket: str, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(sandbox, bucket, REGION, KIM, outbox=outbox)
    with pytest.raises(LedgerError), ledger.act("environment.up", "vision"):
        answer_puts(ledger, monkeypatch, refuse("RequestTimeout"))
    assert waiting(outbox) == ["environment.up"]
    ledger.append("run.submit", "vision", "started", {})
    assert [each["outcome"] for each in ledger.entries()] == ["started", "succeeded", "started"]
    assert waiting(outbox) == []


def test_a_kept_entry_that_is_lost_again_on_its_way_is_recorded_once(
    sandbox: Cloud, bucket: str, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(sandbox, bucket, REGION, KIM, outbox=outbox)
    with pytest.raises(LedgerError), ledger.act("environment.up", "vision"):
        out_of_order(ledger, monkeypatch)
    monkeypatch.undo()
    answer_puts(ledger, monkeypatch, refuse("RequestTimeout"))
    with pytest.raises(LedgerError):
        ledger.append("run.submit", "vision", "started", {})
    ledger.append("run.submit", "vision", "started", {})
    told = [(each["event"], each["outcome"]) for each in ledger.entries()]
    assert told == [("environment.up", "started"), ("environment.up", "succeeded"), ("run.submit", "started")]


def test_whoever_records_for_another_is_named_and_the_act_stays_the_others(
    sandbox: Cloud, bucket: str, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(sandbox, bucket, REGION, KIM, outbox=outbox)
    asked = ledger.asked_by({"id": "1" * 16, "name": "Ann"})
    with pytest.raises(LedgerError), asked.act("environment.up", "vision"):
        out_of_order(ledger, monkeypatch)
    monkeypatch.undo()
    Ledger(sandbox, bucket, REGION, LEE, outbox=outbox).append("run.submit", "vision", "started", {})
    late = ledger.entries()[1]
    assert (late["actor"]["identity"], late["actor"]["asked_by"]["name"]) == (KIM, "Ann")
    assert late["details"]["late"]["recorded_by"] == LEE


def test_what_is_kept_is_for_its_owner_alone_and_in_the_order_in_which_it_happened(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    for second in (2, 1, 3):
        content = {
            "id": f"{second:032x}",
            "time": f"2026-11-23T07:00:0{second}.000+00:00",
            "event": str(second),
        }
        file = outbox.keep(content, [second], "why")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(outbox.folder.stat().st_mode) == 0o700
    assert waiting(outbox) == ["1", "2", "3"]
    with outbox.waiting() as kept:
        kept[0].trying(7)
        kept[1].done()
    with outbox.waiting() as kept:
        assert [(each.content["event"], each.tried) for each in kept] == [("1", (1, 7)), ("3", (3,))]


def test_where_it_cannot_be_kept_either_that_is_said(
    sandbox: Cloud, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    ledger = Ledger(sandbox, bucket, REGION, KIM, outbox=Outbox(tmp_path / "file" / "outbox"))
    with (
        pytest.raises(LedgerError, match="nor can it be kept on this machine"),
        ledger.act("environment.up", "vision"),
    ):
        out_of_order(ledger, monkeypatch)


def test_every_entry_has_an_id_of_its_own_within_its_hash(sandbox: Cloud, bucket: str) -> None:
    ledger = Ledger(sandbox, bucket, REGION, KIM)
    for _ in range(2):
        ledger.append("test.same", "vision", "recorded", {})
    first, second = ledger.entries()
    assert first["id"] != second["id"]
    forged = {**first, "id": second["id"]}
    assert chain.entry_hash(forged) != first["hash"]
    assert json.loads(json.dumps(first)) == first


# --------------------------------------------------------------------- acts whose process was killed


def die() -> None:
    """End as `kill -9` ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_within(cloud: Cloud, bucket: str, folder: Path) -> None:
    """Be killed while an act goes on."""
    with Ledger(cloud, bucket, REGION, KIM, outbox=Outbox(folder)).act("run.submit", "vision", run="r1"):
        die()


def die_after_the_end(cloud: Cloud, bucket: str, folder: Path) -> None:
    """Be killed when the closing entry is written and its answer has not come yet."""
    ledger = Ledger(cloud, bucket, REGION, KIM, outbox=Outbox(folder))
    with ledger.act("run.submit", "vision"):
        put = ledger.objects.s3.put_object

        def put_and_die(**asked: Any) -> None:
            put(**asked)
            die()

        ledger.objects.s3.put_object = put_and_die


def killed(how: Callable[[Cloud, str, Path], None], cloud: Cloud, bucket: str, folder: Path) -> None:
    """Have a process of its own do that, and see it die."""
    process = get_context("spawn").Process(target=how, args=(cloud, bucket, folder))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_an_act_whose_process_was_killed_is_interrupted_in_its_own_name_before_anything_else(
    sandbox: Cloud, bucket: str, tmp_path: Path
) -> None:
    killed(die_within, sandbox, bucket, tmp_path / "outbox")
    later = Ledger(sandbox, bucket, REGION, LEE, outbox=Outbox(tmp_path / "outbox"))
    with later.act("environment.up", "vision"):
        pass
    started, ended, *others = later.entries()
    assert (ended["event"], ended["outcome"], ended["actor"]["identity"]) == (
        "run.submit",
        "interrupted",
        KIM,
    )
    assert ended["details"]["run"] == "r1"
    assert ended["details"]["late"]["recorded_by"] == LEE
    assert "killed" in ended["details"]["late"]["why"]
    assert started["time"] <= ended["details"]["late"]["happened"] <= ended["time"]
    assert [each["outcome"] for each in others] == ["started", "succeeded"]
    assert later.verify().intact


def test_an_act_that_was_killed_after_its_end_was_written_has_no_second_end(
    sandbox: Cloud, bucket: str, tmp_path: Path
) -> None:
    killed(die_after_the_end, sandbox, bucket, tmp_path / "outbox")
    later = Ledger(sandbox, bucket, REGION, KIM, outbox=Outbox(tmp_path / "outbox"))
    for _ in range(2):
        later.append("test.next", "vision", "recorded", {})
    assert [each["outcome"] for each in later.entries()] == ["started", "succeeded", "recorded", "recorded"]


def test_an_act_that_goes_on_is_left_alone_by_others_and_leaves_nothing_behind(
    sandbox: Cloud, bucket: str, tmp_path: Path
) -> None:
    first, second = (
        Ledger(sandbox, bucket, REGION, KIM, outbox=Outbox(tmp_path / "outbox")) for _ in range(2)
    )
    with first.act("environment.up", "vision"):
        second.append("test.meanwhile", "vision", "recorded", {})
    assert [each["outcome"] for each in first.entries()] == ["started", "recorded", "succeeded"]
    assert not [each for each in (tmp_path / "outbox").rglob("*") if each.is_file()]


def test_the_end_of_a_stay_in_a_machine_is_left_to_who_knows_of_its_session(
    sandbox: Cloud, bucket: str, tmp_path: Path
) -> None:
    ledger = Ledger(sandbox, bucket, REGION, KIM, outbox=Outbox(tmp_path / "outbox"))
    with ledger.act("server.enter", "i-1"):
        assert not (tmp_path / "outbox" / "open").exists()
