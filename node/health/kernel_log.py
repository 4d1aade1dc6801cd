"""What the NVIDIA driver has told the kernel's log since the machine started: Xid errors.

What each number means and asks for: https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from node.health.findings import SKIPPED, Finding, failed, ok, skipped, warning
from node.health.gpus import query
from node.health.machine import Machine

QUERY = ("dmesg",)
FATAL = {
    46: "the GPU has stopped processing",
    48: "a memory error that ECC could not correct",
    62: "the GPU's own controller has halted",
    64: "a bad memory row could not be remapped",
    74: "an NVLink error",
    79: "the GPU has fallen off the bus",
    95: "a memory error that has spread",
    109: "the GPU did not switch contexts",
    110: "a security fault of the GPU",
    119: "the GPU's system processor does not answer",
    120: "the GPU's system processor has failed",
    136: "a failed link on the GPU's board",
    140: "a memory error outside ECC's reach",
    143: "the GPU could not be initialized",
    155: "NVLink's software has given up",
    156: "NVLink's resources are gone",
    158: "a fatal GPU timeout",
}
"""Numbers after which the catalog asks for a reset of the GPU, a restart of the machine, or a new machine."""
PROGRAMS_OWN = frozenset({8, 11, 13, 31, 32, 37, 43, 45, 68, 69, 126, 127})
"""Numbers that a program brings about by its own mistakes, or by being killed; the GPU is well."""
RECOVERY = 154
"""The driver says anew which act the GPU needs, `None` where it has recovered."""
_LINE = re.compile(
    r"^\[\s*(?P<time>\d+\.\d+)\].*NVRM: Xid \((?P<bus>[^)]*)\): (?P<number>\d+)(?:,\s*(?P<rest>.*))?$"
)
_ACTION = re.compile(r"changed from \S+ \([^)]*\) to \S+ \((?P<now>[^)]*)\)")
_MOST = 3


@dataclass(frozen=True)
class Xid:
    """One error."""

    time: float
    """Seconds of the kernel's clock, which begins with the machine."""
    bus: str
    """The GPU, by its place on the PCI bus."""
    number: int
    rest: str

    @property
    def fatal(self) -> bool:
        """Whether no job may use the GPU after it."""
        return self.number in FATAL or (self.number == RECOVERY and self.action != "None")

    @property
    def action(self) -> str:
        """What the driver asks for, where the error is RECOVERY."""
        found = _ACTION.search(self.rest)
        return found["now"] if found else ""

    def __str__(self) -> str:
        meaning = FATAL.get(self.number) or self.action or self.rest.strip()[:80]
        return f"Xid {self.number} of GPU {self.bus.removeprefix('PCI:')}: {meaning}"


def parse_xids(text: str) -> Iterator[Xid]:
    """Yield the Xid errors of `dmesg`'s text, oldest first."""
    for line in text.splitlines():
        if found := _LINE.match(line):
            yield Xid(float(found["time"]), found["bus"], int(found["number"]), found["rest"] or "")


def check_xids(machine: Machine) -> Finding:
    """No error that asks for a reset or a new machine; those before an accepted time are left out."""
    gpus = query(machine)
    if isinstance(gpus, Finding) and gpus.outcome == SKIPPED:
        return gpus
    answer = machine.answer(*QUERY)
    if answer.code != 0:
        return skipped(f"the kernel's log cannot be read: {answer.error}")
    found = [each for each in parse_xids(answer.out) if each.time > machine.accepted_xids]
    # A recovery that has ended well says so for the GPU that it names.
    if fatal := list(dict.fromkeys(str(each) for each in found if each.fatal)):
        return failed([*fatal[:_MOST], *([f"{len(fatal) - _MOST} more"] if len(fatal) > _MOST else [])])
    others = sorted({each.number for each in found} - PROGRAMS_OWN - {RECOVERY})
    if others:
        return warning(f"Xid {', '.join(map(str, others))} since the start, none of which is fatal")
    return ok("no fatal Xid since the start")
