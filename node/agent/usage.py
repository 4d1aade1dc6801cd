"""What this machine does now: processors, memory, disks, network, GPUs, and whose run."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.health.machine import ask

GPU_QUERY = (
    "nvidia-smi",
    "--query-gpu=index,name,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu",
    "--format=csv,noheader,nounits",
)
_GPU_SECONDS = 5.0
_SECTOR_BYTES = 512
_DISK = re.compile(r"^(nvme\d+n\d+|xvd[a-z]+|sd[a-z]+|vd[a-z]+)$")
"""Whole disks: what a partition or an array of them carries is counted there."""
_RUN = re.compile(rb"node\.runner\0(?:[^\0]*\0)*?--run-id\0([A-Za-z0-9-]+)\0")


@dataclass(frozen=True)
class Counters:
    """Counters of the kernel that only rise, at one time."""

    time: float
    busy: float
    """Processor time in ticks, of all processors."""
    total: float
    received: int
    """Bytes over the network, without the loopback."""
    sent: int
    read: int
    """Bytes from disks."""
    written: int


class Usage:
    """Looks at the machine; rates are those since the look before."""

    def __init__(self, work: Path, root: Path, system: Path = Path("/")) -> None:
        """`work` is the folder whose disk is meant; `root` tells this machine's runs from another's."""
        self._work, self._root, self._system = work, root, system
        self._before = self._counters()
        self._has_gpus = True

    def look(self) -> dict[str, Any]:
        """Return the numbers of now, as `cluster/stats/<node>.json` has them, without name and time."""
        before, now = self._before, self._counters()
        self._before = now
        seconds = max(1e-3, now.time - before.time)
        total, memory = now.total - before.total, self._memory()
        disk = os.statvfs(self._work)
        return {
            "cpu_percent": round(100 * (now.busy - before.busy) / total, 1) if total > 0 else 0.0,
            "cpus": os.cpu_count() or 1,
            "load": round(os.getloadavg()[0], 2),
            "memory_mib": memory.get("MemTotal", 0) - memory.get("MemAvailable", 0),
            "memory_total_mib": memory.get("MemTotal", 0),
            "received_mb_s": round((now.received - before.received) / seconds / 1e6, 2),
            "sent_mb_s": round((now.sent - before.sent) / seconds / 1e6, 2),
            "read_mb_s": round((now.read - before.read) / seconds / 1e6, 2),
            "written_mb_s": round((now.written - before.written) / seconds / 1e6, 2),
            "disk_free_gib": round(disk.f_bavail * disk.f_frsize / (1 << 30), 1),
            "gpus": self._gpus(),
            "runs": self._runs(),
        }

    def _read(self, path: str) -> str:
        try:
            return (self._system / path).read_text(errors="replace")
        except OSError:
            return ""

    def _counters(self) -> Counters:
        fields = [float(each) for each in self._read("proc/stat").partition("\n")[0].split()[1:9]]
        idle = sum(fields[3:5])  # idle, and waiting for a disk
        received = sent = read = written = 0
        for line in self._read("proc/net/dev").splitlines()[2:]:
            name, _, numbers = line.partition(":")
            if name.strip() != "lo" and len(found := numbers.split()) >= 9:
                received, sent = received + int(found[0]), sent + int(found[8])
        for line in self._read("proc/diskstats").splitlines():
            if len(found := line.split()) >= 10 and _DISK.match(found[2]):
                read, written = read + int(found[5]), written + int(found[9])
        return Counters(
            time.monotonic(),
            sum(fields) - idle,
            sum(fields),
            received,
            sent,
            read * _SECTOR_BYTES,
            written * _SECTOR_BYTES,
        )

    def _memory(self) -> dict[str, int]:
        found = re.findall(r"^(\w+):\s+(\d+) kB$", self._read("proc/meminfo"), re.M)
        return {name: int(kib) // 1024 for name, kib in found}

    def _gpus(self) -> list[dict[str, Any]]:
        if not self._has_gpus:
            return []
        answer = ask(GPU_QUERY, _GPU_SECONDS)
        self._has_gpus = not answer.missing
        return parse_gpu_usage(answer.out) if answer.code == 0 else []

    def _runs(self) -> list[str]:
        """Return the runs whose runners are this machine's."""
        mark = f"FLEETFORM_ROOT={self._root}".encode()
        found = set()
        for entry in (self._system / "proc").iterdir():
            if entry.name.isdigit():
                # A process may end between the two looks, or belong to somebody else.
                with contextlib.suppress(OSError):
                    run = _RUN.search((entry / "cmdline").read_bytes())
                    if run and (
                        self._root == Path("/") or mark in (entry / "environ").read_bytes().split(b"\0")
                    ):
                        found.add(run[1].decode())
        return sorted(found)


def parse_gpu_usage(text: str) -> list[dict[str, Any]]:
    """Return the rows of GPU_QUERY's answer; what a GPU does not tell (`[N/A]`) is None."""
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 7 and cells[0].isdigit():
            busy, used, total, watts, celsius = (_number(cell) for cell in cells[2:])
            rows.append(
                {
                    "index": int(cells[0]),
                    "name": cells[1],
                    "busy_percent": busy,
                    "memory_mib": used,
                    "memory_total_mib": total,
                    "watts": watts,
                    "celsius": celsius,
                }
            )
    return rows


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
