"""The ledger of a real run that is killed, waits for data and evaluates, against what it measured itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.numbers.goodput import FILE
from trainer.numbers.goodput_ledger import BUCKETS, LEDGER, read_ledger

PROGRAM = """
import json, os, signal, time
import torch
from trainer.run import Run

class Loader:
    number = 0

    def __iter__(self):
        while True:
            self.number += 1
            if self.number % 30 == 0:
                told("data", 0.3)
            yield torch.ones(4, 8)

    def state_dict(self):
        return {"number": self.number}

    def load_state_dict(self, state):
        self.number = state["number"]

def told(what, seconds):
    begin = time.perf_counter()
    time.sleep(seconds)
    truth.write(json.dumps({"what": what, "seconds": time.perf_counter() - begin}) + "\\n")

run = Run(steps=90, device="cpu", checkpoint_every=20, log_every=5)
truth = open(run.run_dir / "truth.jsonl", "a", buffering=1)
attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
model = torch.nn.Linear(8, 1)
model, optimizer, data = run.setup(model, torch.optim.AdamW(model.parameters()), Loader())
for batch in run.steps(data):
    begin = time.perf_counter()
    time.sleep(0.02)
    if attempt == 0 and run.step_number == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    run.backward(model(batch).square().mean())
    run.step(optimizer)
    seconds = time.perf_counter() - begin
    truth.write(json.dumps({"what": "step", "step": run.step_number, "seconds": seconds}) + "\\n")
    if run.step_number % 40 == 0:
        with run.phase("evaluating"):
            told("evaluation", 0.4)
"""


@pytest.mark.torch
def test_the_ledger_of_a_killed_run_is_what_the_program_measured_itself(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    run_dir = tmp_path / "run"
    root = Path(__file__).parent.parent
    surroundings = {**os.environ, "FLEETFORM_RUN_DIR": str(run_dir), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "trainer.launch", "--nproc-per-node", "1", str(tmp_path / "program.py")]
    done = subprocess.run(
        command, env={**surroundings, "PYTHONPATH": str(root)}, timeout=240, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    truth = [json.loads(line) for line in (run_dir / "truth.jsonl").read_text().splitlines()]
    ledger = read_ledger(run_dir / FILE)
    assert sum(ledger.buckets.values()) == pytest.approx(ledger.wall_seconds)
    assert ledger.steps == 90 and ledger.attempts == 2 and len(ledger.restarts) == 1
    assert "SIGKILL" in ledger.restarts[0]["cause"] and ledger.restarts[0]["step"] == 50

    measured = {
        what: sum(each["seconds"] for each in truth if each["what"] == what)
        for what in ("data", "evaluation")
    }
    assert ledger.buckets["evaluation"] == pytest.approx(measured["evaluation"], rel=0.02, abs=0.05)
    assert ledger.buckets["data_loading"] == pytest.approx(measured["data"], rel=0.02, abs=0.05)
    steps = [each for each in truth if each["what"] == "step"]
    kept = {each["step"]: each["seconds"] for each in steps}
    # What the program measured leaves out the engine's own work between its steps.
    assert ledger.buckets["productive"] >= 0.98 * sum(kept.values()) - 0.1
    both = ledger.buckets["productive"] + ledger.buckets["wasted_progress"]
    assert both == pytest.approx(sum(each["seconds"] for each in steps), rel=0.15, abs=0.2)
    assert ledger.lost_steps == len(steps) - 90
    for bucket in ("program_startup", "accelerator_init", "training_prep", "checkpoint_restore"):
        assert ledger.buckets[bucket] > 0, bucket
    written = json.loads((run_dir / LEDGER).read_text())
    assert set(written["buckets"]) == set(BUCKETS) and written["steps"] == 90
