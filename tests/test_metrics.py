"""The numbers of a run: metrics.jsonl, TensorBoard's files read by TensorBoard itself, and MFU."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainer.numbers.flops import Flops, find_peak, transformer_flops, utilization
from trainer.numbers.goodput import GoodputLog, StepWindows
from trainer.numbers.metrics import MetricsLog, StepMeter, process_start_time
from trainer.numbers.tensorboard_file import EventFile, crc32c

PER_SAMPLE = Flops(2e9, "2e9 a sample", "the test")


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def board(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard itself makes of a log folder: per name its steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {name: [(each.step, each.value) for each in read.Scalars(name)] for name in read.Tags()["scalars"]}


def test_lines_of_lost_steps_are_taken_out_and_values_that_are_none_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2}\n{"step": 5, "loss": 1}\n{"step": 6, "lo')
    with MetricsLog(path, steps_done=4) as log:
        log.log(5, loss=1.5, mfu=None, phase="warm")
    assert [(line["step"], line["loss"]) for line in lines(path)] == [(1, 2), (5, 1.5)]
    assert set(lines(path)[1]) == {"step", "time", "loss", "phase"}


def test_what_was_logged_outlives_a_kill_9_and_the_log_goes_on_after_it(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys\nfrom trainer.numbers.goodput import GoodputLog\n"
        "from trainer.numbers.metrics import MetricsLog\n"
        "root = pathlib.Path(sys.argv[1]); log = MetricsLog(root / 'metrics.jsonl', steps_done=0)\n"
        'log.log(1, loss=2.0); log._file.append(b\'{"step": 2, "lo\')\n'
        "GoodputLog(root / 'goodput.jsonl').event('first_step', step=1)\n"
        "os.write(os.open(root / 'goodput.jsonl', os.O_WRONLY | os.O_APPEND), b'{\"time\": 1')\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, stdout=subprocess.PIPE)
    assert done.returncode == -9
    with MetricsLog(tmp_path / "metrics.jsonl", steps_done=1) as log:
        log.log(2, loss=1.0)
    assert [line["step"] for line in lines(tmp_path / "metrics.jsonl")] == [1, 2]
    assert board(tmp_path / "tensorboard") == {"loss": [(1, 2.0), (2, 1.0)]}
    GoodputLog(tmp_path / "goodput.jsonl").event("finished")
    first, broken, last = (tmp_path / "goodput.jsonl").read_text().splitlines()
    assert json.loads(first)["event"] == "first_step" and json.loads(last)["event"] == "finished"
    assert broken == '{"time": 1'


def test_a_full_disk_costs_numbers_and_not_the_run_and_leaves_whole_records(tmp_path: Path) -> None:
    # A limit on a file's size fails a write as a full disk does: in the middle of a record.
    program = (
        "import pathlib, resource, sys\nfrom trainer.numbers.metrics import MetricsLog\n"
        "def room(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
        "log = MetricsLog(pathlib.Path(sys.argv[1]) / 'metrics.jsonl', steps_done=0); room(1000)\n"
        "for step in range(1, 41): log.log(step, loss=1 / step)\n"
        "room(resource.RLIM_INFINITY); log.log(41, loss=0.0); log.close()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].startswith("step 41  loss 0")
    assert done.stderr.count("cannot be written, the run goes on") == 1
    steps = [line["step"] for line in lines(tmp_path / "metrics.jsonl")]
    assert 5 < len(steps) < 30 and steps == [*range(1, len(steps)), 41]
    assert [step for step, _ in board(tmp_path / "tensorboard")["loss"]][-1] == 41


def test_a_folder_that_takes_no_file_costs_the_numbers_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    (tmp_path / "metrics.jsonl").mkdir()
    with MetricsLog(tmp_path / "metrics.jsonl", steps_done=0) as log:
        log.log(1, loss=2.0)
    shown = capsys.readouterr()
    assert shown.out.startswith("step 1  loss 2") and shown.err.count("warning") == 1


def test_tensorboard_reads_every_number_and_forgets_the_steps_that_were_lost(tmp_path: Path) -> None:
    first = EventFile(tmp_path, purge_step=1)
    for step in range(1, 400):
        first.scalars(step, {"loss": 1 / step, "lr": 1e-3, "steps": step})
    first.close()
    resumed = EventFile(tmp_path, purge_step=301)
    resumed.scalars(301, {"loss": -0.5, "huge": 1e300, "none": math.nan})
    resumed.close()
    read = board(tmp_path)
    assert [step for step, _ in read["loss"]] == list(range(1, 302))
    assert read["loss"][0] == (1, 1.0) and read["loss"][-1] == (301, -0.5)
    assert read["steps"][-1] == (300, 300.0)
    assert read["huge"] == [(301, math.inf)] and math.isnan(read["none"][0][1])


def test_the_checksum_is_castagnolis() -> None:
    # The check value of CRC-32C, and 32 zero bytes: RFC 3720, B.4.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_a_log_line_has_the_speed_since_the_line_before_without_evaluations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    known = utilization(PER_SAMPLE, "NVIDIA H200", "bf16", world_size=2)
    meter = StepMeter(
        unit="tokens", units_per_sample=8, utilization=known, device_type="cpu", seconds_before=5
    )
    for _ in range(4):
        now += 0.5
        meter.step(10, data_wait_s=0.1)
    with meter.paused():
        now += 30
    values = meter.values()
    assert values["tokens_per_s"] == pytest.approx(160) and values["step_seconds"] == pytest.approx(0.5)
    assert values["data_wait_seconds"] == pytest.approx(0.1)
    assert values["mfu"] == pytest.approx(20 * 2e9 / (2 * 989e12))
    assert values["memory_bytes"] is not None and values["memory_bytes"] > 1e6
    assert meter.seconds() == pytest.approx(5 + 32)
    now += 1
    meter.step(10)
    assert meter.values()["step_seconds"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "precision", "expected"),
    [
        ("NVIDIA H200", "bf16", 989e12),
        ("NVIDIA H100 80GB HBM3", "bf16", 989e12),
        ("NVIDIA H100 PCIe", "bf16", 756e12),
        ("NVIDIA A100-SXM4-80GB", "bf16", 312e12),
        ("NVIDIA A100 80GB PCIe", "bf16", 312e12),
        ("NVIDIA A10G", "bf16", 70e12),
        ("NVIDIA L40S", "bf16", 362e12),
        ("NVIDIA L4", "bf16", 121e12),
        ("Tesla V100-SXM2-16GB", "fp16", 125e12),
        ("Tesla T4", "fp16", 65e12),
        ("NVIDIA B200", "bf16", 2.25e15),
        ("Tesla T4", "bf16", None),
        ("NVIDIA H200", "fp32", None),
        ("NVIDIA A10", "bf16", None),
        ("NVIDIA L40", "bf16", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bf16", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bf16", None),
        ("Tesla V100-PCIE-16GB", "fp16", None),
        ("cpu", "bf16", None),
        ("", "bf16", None),
    ],
)
def test_a_peak_is_the_devices_own_or_none(name: str, precision: str, expected: float | None) -> None:
    peak = find_peak(name, precision)
    assert (peak.flop_per_s if peak else None) == expected
    assert peak is None or peak.source


def test_mfu_is_there_with_formula_and_denominator_or_not_at_all_with_the_reason() -> None:
    known = utilization(PER_SAMPLE, "NVIDIA H200", "bf16", 8)
    assert known.of(989e12 * 8 / 2e9) == pytest.approx(1.0)
    about = known.describe(samples_per_s=989e12 / 2e9)
    assert about["mfu"] == pytest.approx(1 / 8)
    assert about["formula"] == "2e9 a sample" and about["peak_flop_per_s_per_device"] == 989e12
    assert about["devices"] == 8 and "NVIDIA H200" in about["peak_of"] and about["peak_source"]
    for flops, device, why in [(None, "NVIDIA H200", "FLOP per sample"), (PER_SAMPLE, "cpu", "peak for cpu")]:
        unknown = utilization(flops, device, "bf16", 1)
        assert unknown.of(1.0) is None
        assert unknown.describe()["mfu"] is None and why in unknown.describe()["why_none"]


def test_a_transformers_flops_are_palms_and_the_output_layers() -> None:
    # GPT-2 124M: 12 blocks of 12 d^2 parameters each, context 1024, vocabulary 50304.
    flops = transformer_flops(
        parameters=12 * 12 * 768**2, num_layers=12, width=768, context=1024, vocabulary_size=50304
    )
    per_token = 6 * 84_934_656 + 12 * 12 * 768 * 1024 + 6 * 50304 * 768
    assert flops.forward_backward_per_sample == 1024 * per_token
    assert "12 L d T" in flops.formula and "L=12" in flops.formula and "2204.02311" in flops.source


def test_a_process_knows_when_it_was_started() -> None:
    assert 0 < time.time() - process_start_time() < 3600 * 24


def test_windows_of_steps_come_by_themselves_and_lose_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    log = GoodputLog(tmp_path / "goodput.jsonl")
    windows = StepWindows(log)
    now = 5.0
    windows.begin()
    windows.flush()  # nothing was done yet: no line
    for number in range(11, 4011):
        now += 0.25 if number < 3000 else 2.0
        windows.step(number, data_wait_s=0.01, blocked_save_s=0.02)
    windows.flush()
    now += 100.0
    windows.flush()  # nothing new: no line
    found = lines(tmp_path / "goodput.jsonl")
    assert {line["event"] for line in found} == {"steps"} and found[0]["pid"] == os.getpid()
    assert [line["from"] for line in found] == [11, *(line["to"] + 1 for line in found[:-1])]
    assert found[-1]["to"] == 4010
    assert sum(line["seconds"] for line in found) == pytest.approx(now - 105.0)
    assert sum(line["data_wait_s"] for line in found) == pytest.approx(40)
    assert sum(line["blocked_save_s"] for line in found) == pytest.approx(80)
    assert 0.25 <= found[0]["seconds"] <= 0.5 and max(line["seconds"] for line in found) <= 12


def test_an_interruption_within_a_step_takes_none_of_the_steps_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(time, "time", lambda: 1000.0 + now)
    windows = StepWindows(GoodputLog(tmp_path / "goodput.jsonl"))
    windows.begin()
    now += 0.125
    windows.step(2)
    now += 0.5  # the third step has begun and waits for data
    windows.flush()
    now += 30  # an evaluation
    windows.begin()
    now += 0.25
    windows.step(3, data_wait_s=0.5)
    windows.flush()
    first, second = lines(tmp_path / "goodput.jsonl")
    assert (first["begin"], first["time"], first["seconds"]) == (1000, 1000.125, 0.125)
    assert (second["begin"], second["time"], second["seconds"]) == (1000.125, 1030.875, 0.75)
    assert (second["from"], second["to"], second["data_wait_s"]) == (3, 3, 0.5)


def test_a_log_without_a_path_writes_nothing() -> None:
    log = GoodputLog(None)
    log.event("finished")
    log.close()
