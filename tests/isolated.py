"""Programs of tests on a machine of their own: this computer with its own mounts, network and processes."""

from __future__ import annotations

import subprocess
import sys

ISOLATED = ("unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child")


def run_isolated(module: str) -> subprocess.CompletedProcess[str]:
    """Run one of the tests' own programs there, and return what it said; it must not fail."""
    done = subprocess.run(
        [*ISOLATED, sys.executable, "-m", module], capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return done
