"""The synthesis as a process: `python -m stacks.app` turns the specs into Terraform JSON."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fleet.errors import ActError
from fleet.project import Project
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
    return synthesize_all(session.project, [session.spec.name], out or output_folder(session))


def synthesize_all(project: Project, environments: Sequence[str], out: Path) -> Path:
    """Write the account's stack and those of all these environments to `out`; else as `synthesize`."""
    if shutil.which("node") is None:
        raise UserError.of(
            "Node.js is not on PATH; CDKTF, which synthesizes the stacks, runs on it",
            "install Node.js 20 or later (https://nodejs.org)",
        )
    out.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "stacks.app", "--environments", str(project.environments)]
    for environment in environments:
        argv += ["--environment", environment]
    # The files were held against the guardrails before, unless they were opened to tear down.
    argv += ["--out", str(out), "--unchecked"]
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    answer = subprocess.run(
        argv, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        names = ", ".join(environments)
        raise SynthesisError(f"the synthesis of {names} failed\n{answer.stderr.strip()[-4000:]}")
    return out
