"""Starts a training job's processes, keeps them going: `python -m trainer.launch [options] SCRIPT [ARGS]`."""

from __future__ import annotations

import os
import queue
import signal
import sys
from collections.abc import Sequence

from trainer.configs.settings import ConfigError
from trainer.launch.environment import thread_default
from trainer.launch.fork_server import Events, ForkServer
from trainer.launch.options import parse_options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 done, 75 stopped and saved, 2 the user's mistake, else a failed rank's code."""
    try:
        options = parse_options(arguments)
    except ConfigError as error:
        for problem in error.problems:
            print(f"launcher: error: {problem}", file=sys.stderr)
        return 2
    os.environ.setdefault("OMP_NUM_THREADS", thread_default(options.nproc_per_node))
    events: Events = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # ignored: under nohup
            signal.signal(number, lambda number, frame: events.put(("signal_event", number)))
    server = ForkServer(options, lambda event: events.put(("fork", event)))
    server.start()
    # torch is being imported over there: the time for the rest of what is needed here.
    from trainer.launch.launcher import Launcher

    return Launcher(options, server, events).run()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads that wait for pipes and sockets have nothing to finish
