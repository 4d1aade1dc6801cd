"""The command that does what a page shows or does: click and command are one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

PROGRAM = "fleetform"


def line(words: Sequence[str]) -> str:
    """Return the words as one line for a shell, each of them one word whatever is in it."""
    return shlex.join((PROGRAM, *words))


def show_environments() -> tuple[str, ...]:
    """Return the command that looks at every environment's file."""
    return ("check",)


def show_runs(environment: str) -> tuple[str, ...]:
    """Return the command that lists an environment's runs."""
    return ("runs", "list", environment)


def show_run(environment: str, run_id: str) -> tuple[str, ...]:
    """Return the command that shows one run."""
    return ("status", environment, run_id)


def build(environment: str) -> tuple[str, ...]:
    """Return the command that builds an environment."""
    return ("up", environment)


def tear_down(environment: str, *, base: bool, anyway: str = "") -> tuple[str, ...]:
    """Return the command that tears an environment down; `anyway` is the reason to do it in spite of all."""
    return ("down", environment, *(["--base"] if base else []), *(["--anyway", anyway] if anyway else []))


def declare(environment: str) -> tuple[str, ...]:
    """Return the command that declares an environment, its team and owner to be filled in."""
    return ("init", environment, "--team", "TEAM", "--owner", "YOU@EXAMPLE.COM")
