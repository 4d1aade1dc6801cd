"""What every machine needs, with GPUs or without: room on its disk, memory, the time, its file systems."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path

from node.health.findings import Finding, failed, ok, skipped, warning
from node.health.machine import Machine
from node.mounts import is_mounted

CHRONY_QUERY = ("chronyc", "-n", "tracking")
TIMEDATE_QUERY = ("timedatectl", "show", "--property=NTPSynchronized", "--value")
_LEAST_BYTES = 1 << 30
_LEAST_SHARE, _LITTLE_SHARE = 0.01, 0.05
"""Of a disk's room and of its files: below the first no job runs, below the second somebody should know."""
_MEMORY_SHARE = 0.9
"""Of the type's memory: the kernel and its crash dump keep some for themselves."""
_FREE_SHARE = 0.05
_WRONG_SECONDS, _LATE_SECONDS = 30.0, 0.5
"""A clock that is wrong by minutes ruins munge's credentials and signatures for AWS (both allow 5)."""
_REAL_DISKS = frozenset({"ext4", "xfs", "btrfs", "nfs4", "lustre", "f2fs", "zfs"})
_OFFSET = re.compile(r"^System time\s*: (?P<seconds>[0-9.]+) seconds (?P<way>fast|slow) of NTP time$", re.M)
_LEAP = re.compile(r"^Leap status\s*: (?P<status>.+?)\s*$", re.M)


def check_disk(machine: Machine) -> Finding:
    """Room for a run's files: bytes and inodes."""
    found = os.statvfs(machine.work)
    free, total = found.f_bavail * found.f_frsize, max(1, found.f_blocks * found.f_frsize)
    # btrfs and the like count no inodes.
    inodes = found.f_favail / found.f_files if found.f_files else 1.0
    told = f"{free / (1 << 30):.1f} GiB of {total / (1 << 30):.0f} free, {inodes:.0%} of the inodes"
    if free < max(_LEAST_BYTES, _LEAST_SHARE * total) or inodes < _LEAST_SHARE:
        return failed(f"the disk of {machine.work} is full: {told}")
    if free < _LITTLE_SHARE * total or inodes < _LITTLE_SHARE:
        return warning(f"the disk of {machine.work} is nearly full: {told}")
    return ok(told)


def check_writable(machine: Machine) -> Finding:
    """The disk can be written, and no file system was made read-only, as the kernel does after an error."""
    probe = machine.work / f".health-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        return failed(f"{machine.work} cannot be written: {error.strerror}")
    if machine.emulated:
        return ok("written")
    bad = [place for place, kind, options in _mounts(machine) if kind in _REAL_DISKS and "ro" in options]
    bad = [place for place in bad if not place.startswith("/snap/")]
    return failed(f"read-only: {', '.join(sorted(set(bad)))}") if bad else ok("written, nothing read-only")


def _mounts(machine: Machine) -> list[tuple[str, str, list[str]]]:
    """Return the place, kind and options of each mount."""
    rows = [line.split() for line in machine.read("proc/self/mounts").splitlines()]
    return [(row[1], row[2], row[3].split(",")) for row in rows if len(row) >= 4]


def check_mounts(machine: Machine) -> Finding:
    """Every file system of the environment is mounted and answers."""
    wanted = machine.expected.mounts
    if not machine.expected.known:
        return skipped("which file systems there should be is not known yet")
    if not wanted:
        return skipped("the environment has no file systems")
    root = machine.work.parents[1] if machine.emulated else Path("/")
    missing = [place for place in wanted if not is_mounted(root / place.lstrip("/"))]
    if missing:
        return failed(f"not mounted: {', '.join(missing)}")
    silent = [
        place for place in wanted if machine.answer("stat", "-f", str(root / place.lstrip("/"))).code != 0
    ]
    return failed(f"mounted, but silent: {', '.join(silent)}") if silent else ok(", ".join(wanted))


def check_memory(machine: Machine) -> Finding:
    """The memory of the type is there, and what ran before has given it back."""
    numbers = dict(re.findall(r"^(\w+):\s+(\d+) kB$", machine.read("proc/meminfo"), re.M))
    if "MemTotal" not in numbers:
        return skipped("/proc/meminfo cannot be read")
    total, free = int(numbers["MemTotal"]) // 1024, int(numbers.get("MemAvailable", "0")) // 1024
    wanted = machine.expected.memory_mib
    if not machine.emulated and total < _MEMORY_SHARE * wanted:
        return failed(f"{total} MiB of memory instead of {wanted}")
    if free < _FREE_SHARE * total:
        return warning(f"only {free} of {total} MiB of memory are free before the job")
    return ok(f"{free} of {total} MiB free")


def check_time(machine: Machine) -> Finding:
    """The clock is kept by a time server and is right."""
    if machine.emulated:
        return skipped("the clock is that of the machine that emulates this one")
    answer = machine.answer(*CHRONY_QUERY)
    if answer.code == 0:
        return _judge_chrony(answer.out)
    answer = machine.answer(*TIMEDATE_QUERY)
    if answer.code != 0:
        return skipped("neither chronyc nor timedatectl tells")
    synchronized = answer.out.strip() == "yes"
    return ok("kept by a time server") if synchronized else warning("no time server keeps the clock")


def _judge_chrony(text: str) -> Finding:
    leap, offset = _LEAP.search(text), _OFFSET.search(text)
    if leap is None or offset is None:
        return skipped("chronyc said what cannot be read")
    seconds = float(offset["seconds"])
    told = f"{seconds:.6f} s {offset['way']}"
    if seconds > _WRONG_SECONDS:
        return failed(f"the clock is wrong: {told}")
    if leap["status"] == "Not synchronised":
        return warning("no time server keeps the clock")
    return warning(f"the clock is off: {told}") if seconds > _LATE_SECONDS else ok(told)
