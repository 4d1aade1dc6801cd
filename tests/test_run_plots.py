"""Plots and ledgers of runs as a user asks for them: from a folder here, and from an environment's bucket."""

from __future__ import annotations

import json
import math
import random
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from fleet.charts import short_number
from fleet.cloud import Cloud
from fleet.run_numbers import read_folder, read_stored
from fleet.run_panels import PANELS
from fleet.run_plots import plot_run
from fleet.run_store import RunStore
from scripts import cli
from stacks.problems import UserError
from tests.goodput_stories import Story

ALL = ["loss", "throughput", "step-time", "learning-rate", "gradient-norm", "memory", "goodput", "overview"]


def write_run(folder: Path, *, steps: int = 2000, every: int = 10, goodput: bool = True) -> Path:
    """Write a run directory with the files that plots are made from."""
    folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(5)
    lines: list[dict[str, Any]] = []
    for step in range(every, steps + 1, every):
        line = {
            "step": step, "time": "2026-11-22T12:00:00.000Z", "loss": 1 + 9 * math.exp(-step / 300),
            "lr": 3e-4 * min(1, step / 200), "gradient_norm": dice.uniform(0.5, 0.8),
            "tokens_per_s": dice.gauss(4e5, 5e3), "step_seconds": dice.gauss(0.3, 0.01),
            "data_wait_seconds": 0.01, "mfu": 0.47, "memory_bytes": 41_000_000_000,
        }  # fmt: skip
        lines.append(line | ({"val_loss": line["loss"] + 0.1} if step % 500 == 0 else {}))
    lines[3]["step_seconds"] = 9.0
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text + '{"step": 99')
    run = {"run_id": "20260101-000000-abcdef", "recipe": "gpt", "script": None, "fleet": "gpu", "nodes": 2,
           "procs_per_node": 8, "actor": "a", "submitted": "2026-11-22T12:00:00.000Z",
           "price_usd_per_hour": 40.0}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run))
    if goodput:
        story = Story(dice)
        story.job(["kill", "stop"])
        story.job(["done"])
        story.write(folder / "goodput.jsonl")
    return folder


def texts(path: Path) -> str:
    """Return all the writing of an SVG file."""
    return "\n".join(
        "".join(element.itertext()) for element in ElementTree.parse(path).iter() if element.text
    )


def test_a_run_has_a_plot_for_each_thing_that_it_tells_and_one_of_them_all(tmp_path: Path) -> None:
    run = read_folder(write_run(tmp_path / "night"))
    paths = plot_run(run, tmp_path / "plots")
    assert [path.name for path in paths] == [f"night-{name}.svg" for name in ALL]
    written = {name: texts(path) for name, path in zip(ALL, paths, strict=True)}
    assert "held out 1.111" in written["loss"] and "training 1.01" in written["loss"]
    assert "MFU 47.0 %" in written["throughput"] and "Throughput, tokens a second" in written["throughput"]
    assert "1 point above the frame" in written["step-time"] and "120 checkpoints" in written["step-time"]
    assert "1 restart (dotted lines): rank 1 ended by SIGKILL" in written["step-time"]
    assert "at most 41 GB" in written["memory"] and "3e-4" in written["learning-rate"]
    ledger = run.ledger
    assert ledger is not None and ledger.usd is not None
    assert ledger.usd_per_hour == 80.0
    assert f"Goodput {ledger.goodput_percent:.1f} %" in written["goodput"]
    assert f"${sum(ledger.usd.values()):,.2f} at list price" in written["goodput"]
    assert "waiting for data" in written["goodput"] and "%" in written["goodput"]
    for name in ("Loss", "Learning rate", "Goodput", "night: 2,000 steps, "):
        assert name in written["overview"]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    first = plot_run(read_folder(tmp_path / "run"), tmp_path / "a")
    second = plot_run(read_folder(tmp_path / "run"), tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert not re.search(r"<dc:date>|\d{4}-\d\d-\d\dT", one.read_text())


def test_a_run_of_one_step_without_events_is_plotted_as_far_as_it_tells(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 0.0, "lr": 0, "acc": "high", "x": NaN}\n')
    paths = plot_run(read_folder(tmp_path, name="one"), tmp_path / "plots")
    assert [path.name for path in paths] == ["one-loss.svg", "one-learning-rate.svg", "one-overview.svg"]


def test_metrics_of_the_programs_own_are_plotted_where_they_change(tmp_path: Path) -> None:
    values = [
        {"step": n, "loss": 1 / n, "Word error rate (%)": 90 / n, "held_out_samples": 7} for n in (1, 2, 3)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in values))
    paths = plot_run(read_folder(tmp_path, name="own"), tmp_path / "plots")
    names = [path.name for path in paths]
    assert names == ["own-loss.svg", "own-metric-word-error-rate.svg", "own-overview.svg"]
    assert "Word error rate (%)" in texts(paths[1]) and "30" in texts(paths[1])


def test_a_program_without_metrics_still_has_its_time_plotted(tmp_path: Path) -> None:
    events = [("job_started", 0), ("attempt_started", 1), ("first_output", 5), ("job_ended", 60)]
    lines = [{"time": 1e9 + at, "event": kind, "code": 0} for kind, at in events]
    (tmp_path / "goodput.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    paths = plot_run(read_folder(tmp_path, name="blind"), tmp_path / "plots")
    assert [path.name for path in paths] == ["blind-goodput.svg", "blind-overview.svg"]
    assert "1 min 00 s, goodput unknown: the program reports no steps" in texts(paths[0])


def test_plots_need_no_cloud_for_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "run", goodput=False)
    assert cli.main(["runs", "plot", "--dir", str(tmp_path / "run"), "--out", str(tmp_path / "p")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(PANELS) and all(Path(path).is_file() for path in said)
    assert cli.main(["runs", "goodput", "--dir", str(tmp_path / "run")]) == 2
    assert "has no goodput.jsonl" in capsys.readouterr().err


def test_goodput_says_time_money_and_restarts_and_its_shares_are_the_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--dir", str(write_run(tmp_path / "run"))]
    assert cli.main(["runs", "goodput", *folder]) == 0
    said = capsys.readouterr()
    assert "1" in said.err and "torn" in said.err
    assert "steps that count" in said.out and "at list price" in said.out
    assert re.search(r"restart 2025-.* UTC at step \d+: rank 1 ended by SIGKILL", said.out)
    shares = [float(share) for share in re.findall(r"  +([\d.]+) %  ", said.out)]
    assert len(shares) >= 9 and sum(shares) == pytest.approx(100, abs=0.6)
    assert cli.main(["runs", "goodput", *folder, "--json", "--usd-per-hour", "7.2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(found["buckets"].values()) == pytest.approx(found["wall_seconds"])
    assert found["usd"]["productive"] == pytest.approx(found["buckets"]["productive"] * 0.002)
    assert (found["run"], found["format"]) == ("run", "fleetform-goodput/1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plot"], "name ENVIRONMENT and RUN, or --dir DIR"),
        (["plot", "shop"], "name ENVIRONMENT and RUN, or --dir DIR"),
        (["goodput", "shop", "r", "--dir", "x"], "either ENVIRONMENT and RUN, or --dir DIR"),
        (["plot", "--dir", "nothing-here"], "holds neither metrics.jsonl nor goodput.jsonl"),
        (["list"], "Missing argument 'ENVIRONMENT'"),
        (["nowhere"], "there is no environment 'nowhere'"),
    ],
)
def test_a_mistake_ends_with_exit_code_2_and_says_what_to_do(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "environments").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["runs", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_without_matplotlib_a_plot_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["runs", "plot", "--dir", str(tmp_path)]) == 2
    assert "pip install 'fleetform[plots]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (850, "850"),
        (12_500, "12.5k"),
        (1.02e6, "1.02M"),
        (3e-4, "3e-4"),
        (0.25, "0.25"),
        (-2e9, "-2G"),
    ],
)
def test_numbers_are_written_in_few_letters(value: float, text: str) -> None:
    assert short_number(value) == text


@pytest.mark.sandbox
def test_a_stored_runs_numbers_are_read_from_the_bucket_with_its_price(
    sandbox: Cloud, tmp_path: Path
) -> None:
    store = RunStore(sandbox, "us-east-1", "plots-of-runs")
    store.s3.create_bucket(Bucket=store.bucket)
    run_id = "20260101-000000-abcdef"
    for name in ("run.json", "metrics.jsonl", "goodput.jsonl"):
        body = (write_run(tmp_path / "run") / name).read_bytes()
        store.s3.put_object(Bucket=store.bucket, Key=f"runs/{run_id}/{name}", Body=body)
    found = read_stored(store, run_id)
    assert found.name == run_id and len(found.metrics) == 200
    assert found.ledger is not None and found.ledger.usd_per_hour == 80.0
    assert read_stored(store, run_id, usd_per_hour=1.0).ledger.usd_per_hour == 1.0  # type: ignore[union-attr]
    store.s3.put_object(
        Bucket=store.bucket, Key="runs/young/run.json", Body=(tmp_path / "run" / "run.json").read_bytes()
    )
    with pytest.raises(UserError, match="has told no numbers yet"):
        read_stored(store, "young")
    with pytest.raises(UserError, match="there is no run"):
        read_stored(store, "2027")
