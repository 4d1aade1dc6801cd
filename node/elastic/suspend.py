"""Slurm's suspend program: ends the machines of the nodes of a host list, which is its one argument.

Nodes that stand for good are left alone, whoever powers them down: their machines are their group's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from node.aws import aws_errors
from node.elastic.head import Head, called_at, open_head, told_of, unblock_signals
from node.elastic.machines import end_machines, find_machines
from node.elastic.names import elastic_only
from node.slurm.hostlist import expand

_CLOCKS_S = 1.0
"""EC2 tells the time of a launch in whole seconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """End the machines of the host list that is the only argument."""
    unblock_signals()
    names = expand((sys.argv[1:] if arguments is None else list(arguments))[0])
    head = open_head()
    return 0 if end_nodes(head, names, "suspend", called_at()) else 1


def end_nodes(head: Head, names: Sequence[str], why: str, called: float) -> bool:
    """End the machines that bore these names when Slurm called; return whether EC2 did it.

    Slurm may have started the nodes anew by the time that this runs. The keeper ends what EC2 did not.
    """
    wanted = set(elastic_only(head.facts, names))
    try:
        found = [
            each
            for each in find_machines(head.ec2, head.environment)
            if each.alive and each.elastic and each.name in wanted and each.launched < called - _CLOCKS_S
        ]
        head.log(f"{why} {','.join(names)}: ending {[each.instance_id for each in found]}")
        end_machines(head.ec2, [each.instance_id for each in found])
    except aws_errors() as error:
        head.log(f"{why} {','.join(names)}: {error}")
        return False
    return True


if __name__ == "__main__":
    sys.exit(told_of(main))
