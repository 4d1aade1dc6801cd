"""GPUs by what `nvidia-smi -q -x` says: how many, their memory, its errors, their clocks and links."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from node.health.findings import SKIPPED, Finding, failed, ok, skipped, warning
from node.health.machine import Machine

QUERY = ("nvidia-smi", "-q", "-x")
_MEMORY_SHARE = 0.9
"""Of the nominal memory at least; driver and ECC keep some: a T4 shows 15 of 16 GiB, an A10G 22.5 of 24."""
_SLOWED = ("hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown")
"""Reasons for low clocks that an idle, healthy GPU never has: heat, or its power supply."""
_WELL = ("", "N/A", "[N/A]", "None", "No")


@dataclass(frozen=True)
class Gpu:
    """One GPU as the driver sees it."""

    index: int
    name: str
    memory_mib: int
    uncorrectable: int
    """Errors of its memory since the driver was loaded that ECC could not correct."""
    rows: tuple[str, ...]
    """What is wrong with the replacement of bad memory rows or pages."""
    needs: tuple[str, ...]
    """What the driver asks for before the GPU is used again."""
    slowed: tuple[str, ...]
    """Why its clocks are held down."""
    width: str
    """PCIe lanes in use, `16x`; "" where not told."""
    busy: bool
    """Whether a process uses it."""


def parse_gpus(text: str) -> list[Gpu]:
    """Return the GPUs of an `nvidia-smi -q -x`, in its order; ElementTree.ParseError if it is no XML.

    The elements are those of drivers 450 to 580; what a driver does not tell counts as well.
    """
    root = ElementTree.fromstring(text)  # noqa: S314 - the driver's own program is trusted
    return [_gpu(index, element) for index, element in enumerate(root.findall("gpu"))]


def _gpu(index: int, gpu: ElementTree.Element) -> Gpu:
    return Gpu(
        index=index,
        name=_text(gpu, "product_name"),
        memory_mib=_number(_text(gpu, "fb_memory_usage/total")),
        uncorrectable=sum(_uncorrectable(gpu)),
        rows=tuple(_row_trouble(gpu)),
        needs=tuple(_needs(gpu)),
        slowed=tuple(_slowed(gpu)),
        width=_known(gpu, "pci/pci_gpu_link_info/link_widths/current_link_width"),
        busy=gpu.find("processes/process_info") is not None,
    )


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _known(element: ElementTree.Element, path: str) -> str:
    text = _text(element, path)
    return "" if text in _WELL else text


def _number(text: str) -> int:
    """Return the number that a text such as `81559 MiB` begins with; 0 where it is none."""
    first = text.partition(" ")[0]
    return int(first) if first.isdecimal() else 0


def _uncorrectable(gpu: ElementTree.Element) -> Iterator[int]:
    """Yield the counts of volatile errors beyond correction; before Ampere they are `double_bit`."""
    for each in gpu.findall("ecc_errors/volatile/*"):
        if "uncorrectable" in each.tag:
            yield _number((each.text or "").strip())
    yield _number(_text(gpu, "ecc_errors/volatile/double_bit/total"))


def _row_trouble(gpu: ElementTree.Element) -> Iterator[str]:
    for path, what in (
        ("remapped_rows/remapped_row_pending", "a row waits to be remapped at the next reset"),
        ("remapped_rows/remapped_row_failure", "remapping a row has failed"),
        ("retired_pages/pending_retirement", "a page waits to be retired at the next reset"),
        ("ecc_errors/aggregate/sram_threshold_exceeded", "too many SRAM errors in its life"),
        ("ecc_errors/channel_repair_pending", "a memory channel waits for repair"),
        ("ecc_errors/tpc_repair_pending", "a processing cluster waits for repair"),
        ("ecc_errors/unrepairable_memory", "its memory cannot be repaired"),
    ):
        if _text(gpu, path) == "Yes":
            yield what


def _needs(gpu: ElementTree.Element) -> Iterator[str]:
    if _text(gpu, "gpu_reset_status/reset_required") == "Yes":
        yield "a reset"
    if _text(gpu, "gpu_reset_status/drain_and_reset_recommended") == "Yes":
        yield "a drain and a reset"
    if action := _known(gpu, "gpu_recovery_action"):
        yield f"recovery: {action}"
    # The NVSwitch fabric: Completed and Success where the machine has one and its manager works.
    state, status = _known(gpu, "fabric/state"), _known(gpu, "fabric/status")
    if state not in ("", "Completed") or status not in ("", "Success"):
        yield f"the NVLink fabric's manager (state {state or 'unknown'}, {status or 'no status'})"


def _slowed(gpu: ElementTree.Element) -> Iterator[str]:
    for group in ("clocks_event_reasons", "clocks_throttle_reasons"):  # the second until driver 530
        for each in gpu.findall(f"{group}/*"):
            name = each.tag.partition("_reason_")[2]
            if name in _SLOWED and (each.text or "").strip() == "Active":
                yield name


def query(machine: Machine) -> list[Gpu] | Finding:
    """Return the GPUs, or why the check does not apply or what is wrong where they can't be asked about."""
    answer = machine.answer(*QUERY)
    if answer.missing and (machine.emulated or machine.expected.gpus == 0):
        return skipped("no NVIDIA GPUs here")
    if answer.code != 0:
        return failed(f"the driver does not answer: {answer.error}")
    try:
        return parse_gpus(answer.out)
    except ElementTree.ParseError as error:
        return failed(f"nvidia-smi said what cannot be read: {error}")


def check_count(machine: Machine) -> Finding:
    """As many GPUs as the type has, of one model."""
    gpus = query(machine)
    if isinstance(gpus, Finding):
        return gpus
    names = sorted({gpu.name for gpu in gpus})
    told = f"{len(gpus)} GPUs ({', '.join(names)})" if gpus else "no GPU"
    wanted = machine.expected.gpus
    if wanted and not machine.emulated and len(gpus) < wanted:
        return failed(f"{told} instead of {wanted}")
    if len(names) > 1:
        return failed(f"different models on one machine: {', '.join(names)}")
    return ok(told)


def check_memory(machine: Machine) -> Finding:
    """Each GPU with the memory of its type, and the same on all."""
    gpus = _present(machine)
    if isinstance(gpus, Finding):
        return gpus
    least = _MEMORY_SHARE * (machine.expected.gpu_memory_mib or max(gpu.memory_mib for gpu in gpus))
    small = [f"GPU {gpu.index} has {gpu.memory_mib} MiB" for gpu in gpus if gpu.memory_mib < least]
    return failed(small) if small else ok(f"{min(gpu.memory_mib for gpu in gpus)} MiB each")


def check_ecc(machine: Machine) -> Finding:
    """No error that ECC could not correct since the driver was loaded."""
    gpus = _present(machine)
    if isinstance(gpus, Finding):
        return gpus
    bad = [f"GPU {gpu.index}: {gpu.uncorrectable} uncorrectable errors" for gpu in gpus if gpu.uncorrectable]
    return failed(bad) if bad else ok("no uncorrectable errors")


def check_rows(machine: Machine) -> Finding:
    """No memory row or page that is bad and still in use."""
    return _per_gpu(machine, "no bad row in use", lambda gpu: gpu.rows)


def check_state(machine: Machine) -> Finding:
    """No GPU whose driver asks for a reset or another act."""
    return _per_gpu(machine, "ready", lambda gpu: [f"needs {each}" for each in gpu.needs])


def check_clocks(machine: Machine) -> Finding:
    """No GPU slowed down by heat or its power supply."""
    return _per_gpu(machine, "not slowed down", lambda gpu: [f"slowed: {each}" for each in gpu.slowed])


def check_pcie(machine: Machine) -> Finding:
    """Every GPU with as many lanes of PCIe as its neighbours; fewer make it slow, not wrong.

    Not as many as it could use: EC2's g5 gives each A10G eight of its sixteen.
    """
    gpus = _present(machine)
    if isinstance(gpus, Finding):
        return gpus
    lanes = {gpu.index: _number(gpu.width.rstrip("x")) for gpu in gpus}
    narrow = [f"GPU {index}: {count} of {max(lanes.values())}" for index, count in lanes.items()]
    return (
        ok(f"{max(lanes.values())} lanes each")
        if len(set(lanes.values())) == 1
        else warning(", ".join(narrow))
    )


def _present(machine: Machine) -> list[Gpu] | Finding:
    """Return the GPUs; skipped where check_count has already said what is wrong."""
    gpus = query(machine)
    if isinstance(gpus, Finding):
        return gpus if gpus.outcome == SKIPPED else skipped("the driver does not answer")
    return gpus or skipped("no GPU to look at")


def _per_gpu(machine: Machine, well: str, trouble: Callable[[Gpu], Sequence[str]]) -> Finding:
    gpus = _present(machine)
    if isinstance(gpus, Finding):
        return gpus
    bad = [f"GPU {gpu.index}: {each}" for gpu in gpus for each in trouble(gpu)]
    return failed(bad) if bad else ok(well)
