"""Starts a training job's processes, keeps them going: `python -m trainer.launch [options] SCRIPT [ARGS]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from trainer.launch.launcher import Launcher
from trainer.launch.options import parse_options
from trainer.launch.report import say
from trainer.settings import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 done, 75 stopped and saved, 2 the user's mistake, else a failed rank's code."""
    try:
        options = parse_options(arguments)
    except ConfigError as error:
        for problem in error.problems:
            say(f"error: {problem}")
        return 2
    return Launcher(options).run()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads that wait for pipes and sockets have nothing to finish
