"""The ledger of a run's time against runs whose every second is known, and against torn and strange files."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.goodput_stories import NUM_STEPS, START, Story
from trainer.numbers.goodput import FILE, GoodputLog
from trainer.numbers.goodput_ledger import BUCKETS, LEDGER, Ledger, read_ledger, write_ledger

T = 1_750_000_000.0


def told(tmp_path: Path, *events: tuple[float, str, dict[str, Any]]) -> Ledger:
    """Return the ledger of events given as seconds after T, kind and fields."""
    path = tmp_path / FILE
    rows = [{"time": T + at, "event": kind, **fields} for at, kind, fields in events]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_ledger(path)


def nonzero(ledger: Ledger) -> dict[str, float]:
    return {name: round(seconds, 3) for name, seconds in ledger.buckets.items() if seconds > 1e-9}


@pytest.mark.parametrize("seed", range(12))
def test_every_bucket_of_a_run_with_kills_hangs_and_stops_is_what_was_put_into_it(
    seed: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    story = Story(dice, memory_snapshots=bool(seed % 2), jitter=dice.uniform(-0.005, 0.005))
    story.job([*dice.sample(["kill", "hang", "early", "kill"], 4), "stop"])
    story.job([*dice.choices(["kill", "hang", "early"], k=4), "done"])
    ledger = read_ledger(story.write(tmp_path / FILE))
    wall = story.clock - START
    assert sum(ledger.buckets.values()) == pytest.approx(ledger.wall_seconds, rel=1e-9)
    assert ledger.wall_seconds + ledger.stopped_seconds == pytest.approx(wall, abs=0.01) and wall > 3600
    for name in BUCKETS:
        truth = story.truth.get(name, 0.0)
        # A kill leaves up to a window of steps untold: their time is known, their waits are not.
        assert ledger.buckets[name] == pytest.approx(truth, rel=0.02, abs=0.05 * ledger.attempts), name
    assert ledger.steps == NUM_STEPS
    assert (ledger.lost_steps == 0) == (story.memory_snapshots or ledger.buckets["wasted_progress"] < 3)
    assert ledger.attempts == 10 and len(ledger.restarts) == 9 and ledger.unread_lines == 1


def test_a_killed_launcher_costs_the_ledger_no_more_than_what_was_not_told_yet(tmp_path: Path) -> None:
    story = Story(random.Random(1))
    story.job(["launcher"])
    story.job(["kill", "launcher"])
    story.job(["done"])
    ledger = read_ledger(story.write(tmp_path / FILE))
    assert ledger.wall_seconds == pytest.approx(story.clock - START, abs=0.01)
    for name in BUCKETS:
        assert abs(ledger.buckets[name] - story.truth.get(name, 0.0)) <= 2 * 3.0, name
    assert [each["cause"] for each in ledger.restarts if each["step"] is None] == [
        "the launcher was killed or its machine lost"
    ] * 2


def test_a_program_that_reports_no_steps_has_a_run_time_and_no_goodput(tmp_path: Path) -> None:
    ledger = told(
        tmp_path,
        (0, "job_started", {}), (1, "attempt_started", {"attempt": 1}), (4, "first_output", {}),
        (30, "rank_ended", {"rank": 1, "code": 1, "cause": "ValueError: 3"}), (31, "attempt_ended", {}),
        (32, "attempt_started", {"attempt": 2}), (35, "first_output", {}),
        (100, "rank_ended", {"rank": 0, "code": 0}), (100, "attempt_ended", {}),
        (101, "job_ended", {"code": 0}),
    )  # fmt: skip
    assert nonzero(ledger) == {
        "runtime": 65, "wasted_progress": 26, "program_startup": 7, "infrastructure_recovery": 2, "other": 1,
    }  # fmt: skip
    assert ledger.goodput_percent is None and ledger.steps == 0
    assert ledger.restarts == ({"time": T + 30, "cause": "ValueError: 3", "step": None},)


def test_a_program_that_never_said_a_word_was_starting_all_along(tmp_path: Path) -> None:
    ledger = told(tmp_path, (0, "job_started", {}), (1, "attempt_started", {}), (9, "job_ended", {"code": 1}))
    assert nonzero(ledger) == {"program_startup": 9}


def a_life(begin: float, first: int, *, pid: int, finished: bool) -> list[tuple[float, str, dict[str, Any]]]:
    """Return a rank 0 of 10 s: 4 s of start, a step of 1 s that counts as 0.5, ten of 0.5 s."""
    steps = {"from": first + 1, "to": first + 10, "seconds": 5.0, "data_wait_s": 1.0, "blocked_save_s": 0.5}
    events = [
        (begin, "process_started", {"pid": pid}), (begin + 2, "imports_done", {"pid": pid}),
        (begin + 3, "device_ready", {"pid": pid}), (begin + 4, "setup_done", {"pid": pid}),
        (begin + 5, "first_step", {"pid": pid, "step": first, "seconds": 1.0}),
        (begin + 10, "steps", {"pid": pid, **steps}),
    ]  # fmt: skip
    return [*events, (begin + 10.5, "finished", {"pid": pid})] if finished else events


def test_a_run_that_nobody_launched_has_its_ledger_too(tmp_path: Path) -> None:
    ledger = told(tmp_path, *a_life(0, 1, pid=7, finished=True))
    assert nonzero(ledger) == {
        "productive": 3.85, "data_loading": 1, "checkpoint_save": 0.5, "accelerator_init": 1,
        "training_prep": 1, "program_startup": 2.65, "other": 0.5,
    }  # fmt: skip
    assert ledger.goodput_percent == pytest.approx(100 * 3.85 / 10.5) and ledger.steps == 11


def test_steps_done_again_make_the_first_ones_wasted_even_before_they_are_caught_up_with(
    tmp_path: Path,
) -> None:
    first = a_life(0, 1, pid=7, finished=False)
    second = a_life(20, 7, pid=7, finished=False)[:-1]  # the same process number, and killed after one step
    ledger = told(tmp_path, *first, *second)
    assert ledger.steps == 6 + 1 and ledger.lost_steps == 5
    assert ledger.buckets["wasted_progress"] == pytest.approx(3.5 * 5 / 10)
    assert ledger.buckets["infrastructure_recovery"] == pytest.approx(10)
    assert ledger.wall_seconds == pytest.approx(25)


def test_a_run_that_follows_a_finished_one_takes_none_of_its_steps(tmp_path: Path) -> None:
    ledger = told(tmp_path, *a_life(0, 1, pid=7, finished=True), *a_life(20, 1, pid=7, finished=True))
    assert ledger.steps == 22 and ledger.lost_steps == 0 and ledger.wall_seconds == pytest.approx(21)


@pytest.mark.parametrize(("code", "recovery"), [(0, 0.0), (1, 0.0), (2, 0.0), (75, 0.0), (None, 90.0)])
def test_only_the_time_until_a_killed_launcher_is_started_again_is_a_recovery(
    code: int | None, recovery: float, tmp_path: Path
) -> None:
    ended = [(11.0, "job_ended", {"code": code})] if code is not None else []
    ledger = told(
        tmp_path,
        (0, "job_started", {}), (0, "attempt_started", {}), *a_life(0, 1, pid=7, finished=False), *ended,
        (100, "job_started", {}), (100, "attempt_started", {}), *a_life(100, 12, pid=8, finished=True),
        (111, "job_ended", {"code": 0}),
    )  # fmt: skip
    assert ledger.buckets["infrastructure_recovery"] == pytest.approx(recovery)
    assert ledger.wall_seconds == pytest.approx(22 if recovery == 0 else 111)
    assert sum(ledger.buckets.values()) == pytest.approx(ledger.wall_seconds)
    assert ledger.stopped_seconds == pytest.approx(89 if code == 75 else 0)
    assert ledger.steps == 22 and ledger.lost_steps == 0 and ledger.until == pytest.approx(T + 111)


def test_a_run_resumed_days_after_its_machine_was_lost_pays_nothing_for_these(tmp_path: Path) -> None:
    second = [*a_life(0, 12, pid=8, finished=True)]
    later = [(at + 172800, kind, fields) for at, kind, fields in second]
    ledger = told(
        tmp_path,
        (0, "job_started", {}), (0, "attempt_started", {}), *a_life(0, 1, pid=7, finished=False),
        (172800, "job_started", {}), (172800, "attempt_started", {}), *later,
    )  # fmt: skip
    assert ledger.buckets["infrastructure_recovery"] == 0 and ledger.wall_seconds < 60
    assert ledger.stopped_seconds == pytest.approx(172790, abs=2)


@pytest.mark.parametrize(("last", "stopped"), [("stopped", 9.5), ("finished", 0.0)])
def test_without_a_launcher_a_run_told_to_stop_waited_and_a_finished_one_did_not(
    last: str, stopped: float, tmp_path: Path
) -> None:
    first = [*a_life(0, 1, pid=7, finished=False), (10.5, last, {"pid": 7})]
    ledger = told(tmp_path, *first, *a_life(20, 12, pid=8, finished=True))
    assert ledger.buckets["infrastructure_recovery"] == 0
    assert ledger.stopped_seconds == pytest.approx(stopped)


def test_money_is_the_price_of_all_machines_for_the_seconds(tmp_path: Path) -> None:
    told(tmp_path, *a_life(0, 1, pid=7, finished=True))
    ledger = write_ledger(tmp_path, usd_per_hour=360.0)
    assert ledger is not None and ledger.usd is not None
    assert ledger.usd["productive"] == pytest.approx(0.385)
    assert sum(ledger.usd.values()) == pytest.approx(ledger.wall_seconds * 0.1)
    assert ledger.largest_loss == ("program_startup", pytest.approx(2.65))
    written = json.loads((tmp_path / LEDGER).read_text())
    assert written["format"] == "fleetform-goodput/1" and set(written["buckets"]) == set(BUCKETS)
    assert written["wall_seconds"] == pytest.approx(10.5) and written["usd"]["other"] == pytest.approx(0.05)


def test_a_run_directory_without_events_has_no_ledger(tmp_path: Path) -> None:
    assert write_ledger(tmp_path) is None


def test_lines_that_are_no_events_are_counted_and_fields_that_are_no_numbers_do_no_harm(
    tmp_path: Path,
) -> None:
    lines = [
        '{"time": 1, "event": "job_started"}', '{"time": 1', "[]", "7", '{"time": "x", "event": "steps"}',
        '{"time": NaN, "event": "steps"}', '{"time": 3, "event": 5}', '{"time": 2, "event": "unheard_of"}',
        '{"time": 3, "event": "steps", "from": "a", "to": null, "seconds": -4, "data_wait_s": Infinity}',
        '{"time": 4, "event": "first_step", "step": true, "seconds": 1e9}', "\x00\x00\x00",
        '{"time": 5, "event": "evaluation", "begin": 9, "end": 2}', '{"time": 6, "event": "job_ended"}',
    ]  # fmt: skip
    (tmp_path / FILE).write_text("\n".join(lines))
    ledger = read_ledger(tmp_path / FILE)
    assert ledger.unread_lines == 7 and ledger.steps == 0
    assert ledger.wall_seconds == pytest.approx(5) == sum(ledger.buckets.values())
    assert min(ledger.buckets.values()) >= 0


def test_an_empty_file_is_a_run_of_no_time(tmp_path: Path) -> None:
    ledger = told(tmp_path)
    assert ledger.wall_seconds == 0 and ledger.goodput_percent is None and ledger.attempts == 0


def test_a_process_killed_while_it_evaluates_was_evaluating_until_then(tmp_path: Path) -> None:
    ledger = told(
        tmp_path,
        (0, "job_started", {}), (0, "attempt_started", {}), *a_life(0, 1, pid=7, finished=False),
        (10, "evaluation_started", {"pid": 7}),
        (70, "rank_ended", {"rank": 1, "code": None, "signal": 9, "cause": "killed", "step": 11}),
        (71, "attempt_ended", {}), (72, "job_ended", {"code": 1}),
    )  # fmt: skip
    assert ledger.buckets["evaluation"] == pytest.approx(60)
    assert ledger.buckets["other"] == pytest.approx(2) and ledger.buckets["infrastructure_recovery"] == 0


def test_waits_for_data_count_as_such_before_and_in_the_first_step(tmp_path: Path) -> None:
    ledger = told(
        tmp_path,
        (0, "process_started", {}), (1, "setup_done", {}), (3, "restored", {"seconds": 2, "step": 4}),
        (7, "data_wait", {"begin": T + 3, "end": T + 7}),
        (10, "first_step", {"step": 5, "seconds": 3, "data_wait_s": 2}),
        (12, "steps", {"from": 6, "to": 9, "begin": T + 10, "seconds": 2}), (12, "finished", {}),
    )  # fmt: skip
    assert nonzero(ledger) == {
        "productive": 2.5, "data_loading": 6, "checkpoint_restore": 2, "program_startup": 1.5,
    }  # fmt: skip


def test_a_large_file_is_reckoned_in_a_moment(tmp_path: Path) -> None:
    events = a_life(0, 1, pid=7, finished=False)
    for number in range(20_000):
        fields = {"from": 12 + number, "to": 12 + number, "seconds": 1.0, "pid": 7}
        events.append((11.0 + number, "steps", fields))
    ledger = told(tmp_path, *events)
    assert ledger.steps == 20_011


@pytest.mark.parametrize("seed", range(20))
def test_whatever_lines_are_missing_the_buckets_are_the_whole_time(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    story = Story(dice, jitter=0.2)
    story.job(["kill", "hang", "early", "launcher"])
    story.job(["stop"])
    story.job(["kill", "done"])
    story.lines = dice.sample(story.lines, round(len(story.lines) * dice.uniform(0.02, 0.9)))
    ledger = read_ledger(story.write(tmp_path / FILE))
    assert sum(ledger.buckets.values()) == pytest.approx(ledger.wall_seconds, rel=1e-9)
    assert min(ledger.buckets.values()) >= 0
    assert ledger.wall_seconds <= story.clock - START + 0.5
    assert ledger.goodput_percent is None or 0 <= ledger.goodput_percent <= 100
    assert min(ledger.steps, ledger.lost_steps) >= 0


def test_a_full_disk_costs_the_events_and_not_the_run_and_a_torn_line_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = GoodputLog(Path("/dev/full"))
    log.event("job_started")
    log.event("attempt_started", attempt=0)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cannot be written, the run goes on: " in said
    path = tmp_path / FILE
    path.write_text('{"time": 1')
    GoodputLog(path).event("job_started")
    assert json.loads(path.read_text().splitlines()[1])["event"] == "job_started"


def test_a_stop_is_a_restart_only_when_the_job_went_on(tmp_path: Path) -> None:
    stopped: list[tuple[float, str, dict[str, Any]]] = [
        (0, "job_started", {}), (1, "attempt_started", {"attempt": 0}),
        (9, "attempt_ended", {"attempt": 0, "cause": "SIGTERM"}), (10, "job_ended", {"code": 75}),
    ]  # fmt: skip
    assert told(tmp_path, *stopped).restarts == ()
    assert len(told(tmp_path, *stopped, (20, "job_started", {})).restarts) == 1
