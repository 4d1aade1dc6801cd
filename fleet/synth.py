"""The synthesis as a process: `python -m stacks.app` turns the specs into Terraform JSON."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from fleet.errors import ActError
from fleet.session import Session
from stacks.problems import UserError

_PACKAGES = Path(__file__).parent.parent
"""Where the rooms lie; the process finds `stacks` here, whatever folder the user stands in."""


class SynthesisError(ActError):
    """The stacks' own code failed; its output is in the message."""


def output_folder(session: Session) -> Path:
    """Return where this environment's stacks are synthesized for this cloud."""
    return session.project.work(session.cloud.name, session.spec.name) / "cdktf.out"


def stack_folder(out: Path, stack: str) -> Path:
    """Return the folder of one synthesized stack, as CDKTF lays it out."""
    return out / "stacks" / stack


def synthesize(session: Session, out: Path | None = None) -> Path:
    """Write the account's and the environment's stacks to `out` and return it.

    Raises UserError where Node.js is missing, SynthesisError where the stacks' code fails.
    """
    if shutil.which("node") is None:
        raise UserError.of(
            "Node.js is not on PATH; CDKTF, which synthesizes the stacks, runs on it",
            "install Node.js 20 or later (https://nodejs.org)",
        )
    target = out or output_folder(session)
    target.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "stacks.app", "--environments", str(session.project.environments)]
    # The session has held the files against the guardrails, unless it opened them to tear down.
    argv += ["--environment", session.spec.name, "--out", str(target), "--unchecked"]
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    answer = subprocess.run(
        argv, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise SynthesisError(f"the synthesis of {session.spec.name} failed\n{answer.stderr.strip()[-4000:]}")
    return target
