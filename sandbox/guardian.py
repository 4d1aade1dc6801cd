"""Waits for the server's death, then ends the nodes' processes: `python -m sandbox.guardian`.

Arguments: the mark's variable and value, folders to remove. Its standard input is a pipe whose other end only
the server holds. The kernel closes it when the server ends in whatever way, also by SIGKILL, where no code of
the server's own could still run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sandbox.processes import end_marked


def start_guardian(variable: str, value: str, folder: Path | None = None) -> int:
    """Start a guardian for the processes with that mark, and a folder of theirs to remove after them.

    Returns the descriptor to keep open.
    """
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "sandbox.guardian", variable, value]
    command += [str(folder)] if folder else []
    subprocess.Popen(command, stdin=reader, stdout=subprocess.DEVNULL, start_new_session=True)
    os.close(reader)
    return writer


def main() -> None:
    """Wait for the end of standard input, then end every marked process and remove the folders."""
    variable, value, *folders = sys.argv[1:]
    while sys.stdin.buffer.read(64):
        pass
    end_marked(variable, value, grace_s=0)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
