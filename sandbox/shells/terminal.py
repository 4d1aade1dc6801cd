"""First process of a session on an emulated machine: it makes the terminal that it was given its own, and
becomes the command that follows. Started by its path, with the standard library alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import termios


def main() -> None:
    """Lead a session of processes, control the terminal, and become the command."""
    with contextlib.suppress(PermissionError):  # it leads one already, unless something stands in between
        os.setsid()
    with contextlib.suppress(OSError):  # without it, only ctrl-C and the like do nothing
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - a session's shell, on a machine of the emulation


if __name__ == "__main__":
    main()
