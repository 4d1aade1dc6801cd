"""The README's first command: the demo runs to its end and leaves its proofs behind, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.copy_check import verify_folder
from sandbox import daemon

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.sandbox, pytest.mark.terraform, pytest.mark.torch]


def start_demo(home: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a demo that works in `home` and writes to `log`."""
    environment = {**os.environ, "FLEETFORM_DEMO_HOME": str(home), "FLEETFORM_DEMO_SAMPLES": "2560"}
    command = [sys.executable, "-u", "-m", "scripts.demo"]
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)


def test_a_demo_that_was_killed_while_building_is_gone_on_with_to_its_end(tmp_path: Path) -> None:
    home, log = tmp_path / "demo", tmp_path / "demo.log"
    with start_demo(home, log) as killed:
        deadline = time.monotonic() + 180
        while "demo-base 5/" not in (log.read_text() if log.exists() else ""):
            assert time.monotonic() < deadline, log.read_text()
            assert killed.poll() is None, log.read_text()
            time.sleep(0.1)
        killed.send_signal(signal.SIGKILL)
    with start_demo(home, log) as demo:
        assert demo.wait(timeout=600) == 0, log.read_text()
    text = log.read_text()
    assert "this one goes on with what it left" in text
    assert "beginning anew" not in text
    receipts = sorted((home / "receipts").glob("demo-*/receipt.json"))
    receipt = json.loads(receipts[-1].read_text())
    assert (receipt["left"], receipt["not_looked"]) == ([], [])
    assert verify_folder(home / "ledger-export").intact
    assert daemon.status(home / ".fleetform") is None
