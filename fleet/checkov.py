"""The one door to checkov, which judges Terraform by policy: a program in an environment of its own.

Its pins (boto3 1.35.49 among them) would pull ours down, so it is never imported, nor installed beside us.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.errors import ActError
from fleet.project import Project
from fleet.terraform_events import ProgressEvent, Report
from stacks.problems import UserError

VERSION = "3.3.30"
"""The release whose checks the waivers were written against."""
FRAMEWORK = "terraform_json"
"""Named `terraform`, checkov reads no JSON at all, finds nothing wrong and exits with 0."""
VARIABLE = "FLEETFORM_CHECKOV"
"""Environment variable that names an executable to take instead of installing one."""
_STRANGERS = ("CKV_", "BC_", "PRISMA_", "CHECKOV_", "BRIDGECREW_", "LOG_LEVEL", "AWS_", "PYTHONPATH")
"""Variables that would change what is checked, or that a scan of files has no business with."""
_OFFLINE = {"CKV_SKIP_PACKAGE_UPDATE_CHECK": "true"}
"""Without it checkov asks pypi.org for a newer checkov, `--skip-download` or not."""
_PASSED, _FAILED_CHECKS = 0, 1
_TAIL = 2000
_PACKAGES = 98
"""How many packages checkov's environment has, for the progress of the installation."""


class ScanError(ActError):
    """checkov did not do its work, or not all of it; a scan that leaves something out proves nothing."""


def find_checkov(project: Project, report: Report) -> Path:
    """Return the executable, installing it at the first use.

    Raises UserError where FLEETFORM_CHECKOV names no executable, or where checkov cannot be installed.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return install(project.home / "tools" / f"checkov-{VERSION}", report)
    found = shutil.which(named)
    if found is None:
        raise UserError.of(
            f"{named} is no executable", "name an installed checkov, or unset the variable", path=VARIABLE
        )
    return Path(found)


def install(folder: Path, report: Report) -> Path:
    """Make a virtual environment with the pinned checkov at the folder, if it is not there yet.

    Returns the executable in it. Two commands that come at once install it once.
    """
    executable, finished = folder / "bin" / "checkov", folder / "installed"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if finished.is_file() and (folder / "bin" / "python").exists():  # its Python may have been upgraded
            return executable
        shutil.rmtree(folder, ignore_errors=True)  # what a killed installation left
        begin = time.monotonic()
        _note(report, f"installing checkov {VERSION} in {folder}, once; this takes a minute or two")
        _install_step([sys.executable, "-m", "venv", str(folder)], report)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
        _install_step([*pip, f"checkov=={VERSION}"], report)
        _note(report, f"checkov {VERSION} is installed after {time.monotonic() - begin:.0f} s")
        finished.touch()
    return executable


def run_checkov(executable: Path, folder: Path, policies: Path) -> str:
    """Check every `*.tf.json` below the folder and return checkov's JSON report; contacts nothing.

    `policies` holds further policies of our own. Raises ScanError where checkov breaks down.
    """
    argv = [str(executable), "--directory", str(folder), "--framework", FRAMEWORK, "--output", "json"]
    argv += ["--skip-download", "--compact", "--external-checks-dir", str(policies)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_STRANGERS)}
    # A .checkov.yaml of the user's, in the home or the current folder, could skip checks.
    surroundings = {**kept, "HOME": str(folder), **_OFFLINE}
    try:
        answer = subprocess.run(
            argv,
            env=surroundings,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ScanError(f"{executable} does not start ({error})") from error
    if answer.returncode not in (_PASSED, _FAILED_CHECKS) or not answer.stdout.strip():
        said = (answer.stderr.strip() or answer.stdout.strip())[-_TAIL:]
        raise ScanError(f"checkov ended with {answer.returncode} and no report\n{said}")
    return answer.stdout


def _install_step(argv: list[str], report: Report) -> None:
    """Run one step of the installation, telling each package that it collects."""
    # Secrets in an index's URL stay where they are: in pip's own configuration and environment.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    said: list[str] = []
    with subprocess.Popen(
        argv, env=kept, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip())
            if line.startswith("Collecting "):
                done = sum(each.startswith("Collecting ") for each in said)
                text = line.removeprefix("Collecting ").split(" (from ")[0].strip()
                report(ProgressEvent(kind="working", stack="checkov", text=text, done=done, total=_PACKAGES))
    if process.returncode:
        errors = [line for line in said if "error" in line.lower()] or said
        raise UserError.of(
            f"checkov {VERSION} cannot be installed ({'; '.join(errors[-2:]) or 'no word why'})",
            "let pip reach a package index (PIP_INDEX_URL names yours), or install checkov elsewhere "
            f"and name its executable in {VARIABLE}",
        )


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the file's lock; the kernel frees it even when we are killed."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _note(report: Report, text: str) -> None:
    report(ProgressEvent(kind="note", stack="checkov", text=text))
