"""The processes of emulated machines: whose number a unit believes, and a network that answers late."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sandbox import units
from sandbox.layouts import fleet
from sandbox.layouts.base import LayoutError
from sandbox.layouts.namespaces import Namespaces
from sandbox.place import Place


def test_a_stop_spares_a_stranger_that_has_got_the_number_of_a_service_that_ended(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "etc/systemd/system/serve.service").write_text("[Service]\nExecStart=/bin/true\n")
    state = tmp_path / "run" / "units" / "serve"
    state.mkdir(parents=True)
    program = shutil.copy(units.__file__, tmp_path)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (state / "main").write_text(str(stranger.pid))
        variables = {**os.environ, "FLEETFORM_ROOT": str(root), "FLEETFORM_RUN": str(tmp_path / "run")}
        stop = [sys.executable, "-I", "-S", str(program), "stop", "serve"]
        subprocess.run(stop, env=variables, check=True, timeout=30)
        assert stranger.poll() is None, "it was killed"
        stranger.kill()
    assert not state.exists()


def test_a_late_answer_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0.2)
    network = Namespaces(Place(tmp_path), {})
    network._control = ours

    def answer_late() -> None:
        with theirs.makefile("rb") as requests:
            late, now = json.loads(requests.readline()), json.loads(requests.readline())
            for request, pid in ((late, 1), (now, 2)):
                theirs.sendall(json.dumps({"pid": pid, "number": request["number"]}).encode() + b"\n")

    thread = threading.Thread(target=answer_late)
    thread.start()
    with pytest.raises(LayoutError, match="does not answer"):
        network.ask("start", name="i-1")
    assert network.ask("start", name="i-2")["pid"] == 2
    thread.join()
    theirs.close()
    with pytest.raises(LayoutError, match=r"gone|does not answer"):
        network.ask("kill", name="i-2")
    network.close()


def test_a_machine_whose_first_process_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_PATIENCE_SECONDS", 0.1)
    with subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE) as machine:
        with pytest.raises(RuntimeError, match="said nothing for"):
            fleet._expect(machine, b"up\n")
        machine.kill()
