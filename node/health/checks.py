"""The list of health checks, and how they are run side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from node.health import gpus, kernel_log, links, system
from node.health.findings import Checked, Finding, Report, failed
from node.health.machine import Machine

Check = tuple[str, Callable[[Machine], Finding]]
SYSTEM: tuple[Check, ...] = (
    ("disk", system.check_disk),
    ("writable", system.check_writable),
    ("mounts", system.check_mounts),
    ("memory", system.check_memory),
    ("time", system.check_time),
)
GPUS: tuple[Check, ...] = (
    ("gpu-count", gpus.check_count),
    ("gpu-memory", gpus.check_memory),
    ("gpu-ecc", gpus.check_ecc),
    ("gpu-rows", gpus.check_rows),
    ("gpu-state", gpus.check_state),
    ("gpu-clocks", gpus.check_clocks),
    ("gpu-pcie", gpus.check_pcie),
    ("xid", kernel_log.check_xids),
    ("nvlink", links.check_nvlink),
)
FABRIC: tuple[Check, ...] = (("efa", links.check_efa),)
BEFORE: tuple[Check, ...] = (*SYSTEM, *GPUS, *FABRIC)
"""Before a job gets the machine."""
AFTER: tuple[Check, ...] = (*SYSTEM[:2], *GPUS[2:5], ("xid", kernel_log.check_xids))
"""When a job leaves it: what a job may have brought to light, so that the next one is spared."""
QUERIES = (gpus.QUERY, links.NVLINK_QUERY, kernel_log.QUERY, system.CHRONY_QUERY)
"""Programs that take their time: started at once, before the checks ask for them."""


def look(machine: Machine, checks: Sequence[Check] = BEFORE) -> Report:
    """Run the checks and return what they found; a check that fails itself is a failure of the machine."""
    begun = time.monotonic()
    machine.begin([*QUERIES, *([links.EFA_QUERY] if machine.expected.efa else [])])
    with ThreadPoolExecutor(max_workers=max(1, len(checks)), thread_name_prefix="check") as pool:
        found = tuple(pool.map(lambda check: _run(machine, check), checks))
    machine.close()
    return Report(found, time.monotonic() - begun)


def _run(machine: Machine, check: Check) -> Checked:
    name, act = check
    begun = time.monotonic()
    try:
        finding = act(machine)
    except OSError as error:  # a disk that cannot even be asked
        finding = failed(f"could not be checked: {error}")
    return Checked(name, finding.outcome, finding.detail, time.monotonic() - begun)
