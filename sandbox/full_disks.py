"""Machines whose disk is full: no process of theirs writes to a file until the fault is withdrawn.

The kernel's limit on the size of files (RLIMIT_FSIZE) does it, which needs no rights and reaches processes
that run already. So a write fails with EFBIG, "File too large", where a disk that is full says ENOSPC, and a
program that does not mind SIGXFSZ as Python does is ended by that signal. Pipes and sockets still work.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable

from sandbox.faults import Fault
from sandbox.nodes import Nodes
from sandbox.processes import NODE_VARIABLE, marked


class FullDisk:
    """The fault `disk-full`."""

    def __init__(self, nodes: Nodes, find: Callable[[Fault], str]) -> None:
        """`find` returns the id of a rule's machine."""
        self._nodes, self._find = nodes, find
        self._full: dict[int, str] = {}
        """The machine of each rule that is in force."""

    def begin(self, rule: Fault) -> None:
        """Let nothing on the machine write, whether it runs already or starts later."""
        instance_id = self._find(rule)
        node = self._nodes.get(instance_id)
        if node is None or not node.running:
            raise ValueError(f"{instance_id} does not run")
        self._full[rule.id] = instance_id
        node.disk_full = True
        _limit(instance_id, full=True)

    def end(self, rule: Fault) -> None:
        """Let the machine write again, unless another rule fills it too."""
        instance_id = self._full.pop(rule.id, "")
        if not instance_id or instance_id in self._full.values():
            return
        if node := self._nodes.get(instance_id):
            node.disk_full = False
        _limit(instance_id, full=False)


def _limit(instance_id: str, *, full: bool) -> None:
    """Set the limit of every process of the machine, twice: one may have forked while they were listed."""
    for _ in range(2):
        for pid in marked(NODE_VARIABLE, instance_id):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (0 if full else hard, hard))
