"""What git says of the folder that a script lies in: commit, branch, what was changed, what is ignored.

Without git, or outside of a repository, it says nothing.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MOST_NAMES = 200
"""So many changed files are recorded by name; a record of thousands helps nobody."""
_SECONDS = 20.0
_QUIET = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "--no-optional-locks")
"""Nothing that a repository's own settings name is started, and nothing is written to it."""


@dataclass(frozen=True)
class GitState:
    """The state of the work tree that a folder belongs to, as far as the folder goes."""

    commit: str
    """"" before the first commit."""
    branch: str
    """"" where no branch is checked out."""
    dirty: tuple[str, ...]
    """Files below the folder that differ from the commit, or that it does not know; at most MOST_NAMES."""
    dirty_files: int
    """How many there are."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as `run.json` has it."""
        return {**asdict(self), "dirty": list(self.dirty)}


def git_state(folder: Path) -> GitState | None:
    """Return the state of the folder's repository, or None without one, or without git."""
    status = _git(folder, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--", ".")
    if status is None:
        return None
    dirty = _changed(status)
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD") or ""
    branch = _git(folder, "symbolic-ref", "--short", "--quiet", "HEAD") or ""
    return GitState(commit.strip(), branch.strip(), tuple(dirty[:MOST_NAMES]), len(dirty))


def ignored_paths(folder: Path) -> frozenset[str]:
    """Return what .gitignore leaves out below the folder, relative to it; a whole folder ends in a slash."""
    listed = _git(
        folder, "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z", "--", "."
    )
    # `./` says that the folder itself is ignored: then its owner did not mean what is to travel.
    return frozenset(name for name in (listed or "").split("\0") if name and name != "./")


def _changed(status: str) -> list[str]:
    """Return the paths of `git status --porcelain -z`, of a renamed file the new one."""
    entries = iter(status.split("\0"))
    found = []
    for entry in entries:
        if not entry:
            continue
        found.append(entry[3:])
        if entry[0] in "RC":
            next(entries, None)  # the name that it had
    return sorted(found)


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git answers in the folder, or None where it does not."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *_QUIET, "-C", str(folder), *arguments],
            env={**variables, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
