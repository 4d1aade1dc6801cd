"""What carries data between GPUs and between machines: NVLink and Elastic Fabric Adapters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from node.health.findings import SKIPPED, Finding, failed, ok, skipped, warning
from node.health.gpus import query
from node.health.machine import Machine

NVLINK_QUERY = ("nvidia-smi", "nvlink", "-s")
EFA_QUERY = ("fi_info", "-p", "efa")
_LINKS = (("V100-SXM", 6), ("A100-SXM", 12), ("H100 80GB HBM3", 18), ("H200", 18), ("B200", 18), ("B300", 18))
"""NVLinks of a GPU whose name has this in it (NVIDIA's data sheets)."""
_GPU = re.compile(r"^GPU (?P<index>\d+): (?P<name>.*?)(?: \(UUID: .*\))?$")
_LINK = re.compile(r"^\s*Link \d+: (?P<state>.+)$")
_EFA_NAMES = ("efa", "rdmap")
"""How EFA devices are called: by number until rdma-core 39, by their place on the bus since."""


def parse_links(text: str) -> Iterator[tuple[int, str, int, int]]:
    """Yield each GPU of `nvidia-smi nvlink -s`: index, name, links that are up, links in all."""
    index, name, up, total = -1, "", 0, 0
    for line in text.splitlines():
        if found := _GPU.match(line):
            if index >= 0:
                yield index, name, up, total
            index, name, up, total = int(found["index"]), found["name"], 0, 0
        elif index >= 0 and (link := _LINK.match(line)):
            total += 1
            up += link["state"].strip().endswith("GB/s")
    if index >= 0:
        yield index, name, up, total


def check_nvlink(machine: Machine) -> Finding:
    """Every NVLink of every GPU is up."""
    gpus = query(machine)
    if isinstance(gpus, Finding):
        return gpus if gpus.outcome == SKIPPED else skipped("the driver does not answer")
    answer = machine.answer(*NVLINK_QUERY)
    if answer.code != 0:
        return skipped(f"NVLink cannot be asked about: {answer.error}")
    found = list(parse_links(answer.out))
    if len(gpus) < 2 or not any(total for _, _, _, total in found):
        return skipped("no NVLink between GPUs here")
    most = max(up for _, _, up, _ in found)
    bad = [
        f"GPU {index}: {up} of {wanted} links up"
        for index, name, up, total in found
        if up < (wanted := max(links_of(name), total, most))
    ]
    return failed(bad) if bad else ok(f"{most} links up on each GPU")


def links_of(name: str) -> int:
    """Return how many NVLinks a GPU of that name has; 0 where it is not known."""
    return next((count for part, count in _LINKS if part in name), 0)


def check_efa(machine: Machine) -> Finding:
    """As many Elastic Fabric Adapters as the fleet declares, all of them up, and libfabric sees them."""
    wanted = machine.expected.efa
    if not wanted:
        return skipped("the fleet has no EFA")
    if machine.emulated:
        return skipped("an emulated machine has no EFA")
    devices = machine.system / "sys" / "class" / "infiniband"
    names = sorted(each.name for each in devices.iterdir()) if devices.is_dir() else []
    names = [name for name in names if name.startswith(_EFA_NAMES)]
    if len(names) < wanted:
        return failed(f"{len(names)} EFA devices instead of {wanted}")
    down = [name for name in names if "ACTIVE" not in _port_state(machine, name)]
    if down:
        return failed(f"EFA devices are down: {', '.join(down)}")
    answer = machine.answer(*EFA_QUERY)
    if answer.missing:
        return warning(f"{len(names)} devices, but libfabric's fi_info is not installed: will NCCL use them?")
    seen = set(re.findall(r"^\s*domain: (\S+?)-rdm$", answer.out, re.MULTILINE))
    if answer.code != 0 or len(seen) < wanted:
        return failed(f"libfabric sees {len(seen)} EFA devices instead of {wanted}")
    return ok(f"{len(seen)} devices")


def _port_state(machine: Machine, device: str) -> str:
    return machine.read(f"sys/class/infiniband/{device}/ports/1/state")
