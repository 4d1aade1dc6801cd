"""Holds this process to a share of the machine, before it reads what strangers have made."""

from __future__ import annotations

import argparse
import resource

_UNTIL_KILLED_S = 5
"""Where both limits of processor time are the same the kernel sends SIGKILL, which tells nobody why."""


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Give a program the options that `limit_process` takes its figures from."""
    parser.add_argument("--most-memory", type=int, metavar="BYTES", help="memory that it may have of its own")
    parser.add_argument("--most-seconds", type=int, metavar="N", help="processor time, all threads together")


def limit_process(options: argparse.Namespace) -> None:
    """Hold this process to what the options of `add_limits` say; what they leave out stays as it is.

    Memory is what it has asked for itself, not what is mapped from files: asking for more is a MemoryError.
    Beyond its processor time the kernel ends it (SIGXCPU). It leaves no core dump: that would be a copy of
    what it read.
    """
    if options.most_memory:
        _limit(resource.RLIMIT_DATA, options.most_memory)
    if options.most_seconds:
        _limit(resource.RLIMIT_CPU, options.most_seconds, beyond=_UNTIL_KILLED_S)
    if options.most_memory or options.most_seconds:
        _limit(resource.RLIMIT_CORE, 0)


def _limit(kind: int, most: int, beyond: int = 0) -> None:
    """Set a limit; `beyond`: by how much the one that it can't raise any more lies higher."""
    _, hard = resource.getrlimit(kind)
    soft, allowed = (
        each if hard == resource.RLIM_INFINITY else min(each, hard) for each in (most, most + beyond)
    )
    resource.setrlimit(kind, (soft, allowed))
