"""What a script sees under the launcher, beside what it sees under torchrun."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.launch_jobs import ROOT, SCRIPTS

DIFFERENT = {
    # Each launch's own.
    "MASTER_PORT",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_ERROR_FILE",
    # The number of restarts that are allowed, and another name of the same address.
    "TORCHELASTIC_MAX_RESTARTS",
    "MASTER_ADDR",
    # torchrun's note to itself.
    "TORCHELASTIC_SIGNALS_TO_HANDLE",
    "FLEETFORM_PULSE_FD",
    "FLEETFORM_MEMORY_FD",
}


# -P: else the user's own trainer.py in the folder would be taken for the launcher's package.
PYTHON = [sys.executable, "-P", "-m"]
TWO = ["--nproc-per-node", "2"]


def facts(command: list[str], cwd: Path, out: Path, *arguments: str, ranks: int = 1) -> list[dict[str, Any]]:
    """Return what each rank saw; its seed is taken out of that and must differ from the others'."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*command, str(out), "two words", *arguments]
    subprocess.run(command, cwd=cwd, env=environment, check=True, timeout=120)
    found: list[dict[str, Any]] = [json.loads(Path(f"{out}-{rank}").read_text()) for rank in range(ranks)]
    assert len({each.pop("seed", None) for each in found}) == ranks
    for each in found:
        each["argv"][1] = each["orig_argv"][each["orig_argv"].index(str(out))] = "OUT"
        for name in DIFFERENT:
            each["environment"].pop(name, None)
    return found


@pytest.mark.torch
def test_a_script_sees_what_it_sees_under_torchrun(tmp_path: Path) -> None:
    script = [*TWO, "own_trainer/facts.py"]
    torchrun = [*PYTHON, "torch.distributed.run", *script]
    theirs = facts(torchrun, SCRIPTS, tmp_path / "theirs", "torch", ranks=2)
    assert theirs[0]["sum"] == 2
    for start in ("fork", "spawn"):
        ours = [*PYTHON, "trainer.launch", "--start", start, *script]
        assert facts(ours, SCRIPTS, tmp_path / start, "torch", ranks=2) == theirs


@pytest.mark.torch
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_data_loader_has_its_workers_in_a_forked_rank(method: str, tmp_path: Path) -> None:
    launched = [*PYTHON, "trainer.launch", "own_trainer/facts.py"]
    (found,) = facts(launched, SCRIPTS, tmp_path / "out", "torch", method)
    assert found["loaded"] == [[0, 1], [2, 3]]


@pytest.mark.torch
@pytest.mark.parametrize("target", [["-m", "facts"], ["."]])
def test_a_module_and_a_folder_see_what_they_see_without_a_launcher(
    target: list[str], tmp_path: Path
) -> None:
    cwd = tmp_path / "code"
    cwd.mkdir()
    for name in ("facts.py", "trainer.py"):
        shutil.copy(SCRIPTS / "own_trainer" / name, cwd)
    shutil.copy(cwd / "facts.py", cwd / "__main__.py")
    (theirs,) = facts([sys.executable, "-u", *target], cwd, tmp_path / "plain")
    (ours,) = facts([*PYTHON, "trainer.launch", *target], cwd, tmp_path / "ours")
    added = ours.pop("environment").keys() - theirs.pop("environment").keys()
    assert {"RANK", "WORLD_SIZE"} <= added
    assert ours == theirs
