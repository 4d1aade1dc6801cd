"""Slurm's program for nodes that did not answer in time after their start, a host list as its one argument.

Their machines are ended, and the fleet rests for a pause that grows: what does not join the cluster once will
hardly do so the next time, and is paid for each time. Slurm has requeued the jobs by then.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from node.elastic.backoff import Backoff
from node.elastic.head import Head, called_at, open_head, told_of, unblock_signals
from node.elastic.names import elastic_only, fleet_of
from node.elastic.suspend import end_nodes
from node.slurm.hostlist import expand


def main(arguments: Sequence[str] | None = None) -> int:
    """End what was started for the host list that is the only argument, and let its fleet rest."""
    unblock_signals()
    names = expand((sys.argv[1:] if arguments is None else list(arguments))[0])
    head = open_head()
    ended = end_nodes(head, names, "not up in time", called_at())
    rest(head, names)
    return 0 if ended else 1


def rest(head: Head, names: Sequence[str]) -> None:
    """Let the fleets of the nodes rest for their next pause."""
    for fleet, count in Counter(map(fleet_of, elastic_only(head.facts, names))).items():
        reason = f"{count} of {fleet} did not join the cluster within {head.facts.resume_seconds} s"
        head.log(Backoff(head.state).rest(fleet, reason).message)


if __name__ == "__main__":
    sys.exit(told_of(main))
