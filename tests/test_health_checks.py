"""Health checks against outputs of real tools, healthy and faulty (tests/fixtures/health/SOURCES.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from node.health.checks import AFTER, BEFORE, look
from node.health.expected import Expected
from node.health.findings import FAILED, OK, SKIPPED, WARNING, Finding
from node.health.gpus import QUERY, parse_gpus
from node.health.kernel_log import check_xids, parse_xids
from node.health.links import EFA_QUERY, NVLINK_QUERY, check_efa, check_nvlink, parse_links
from node.health.machine import Answer, Machine, ask
from node.health.system import check_disk, check_memory, check_mounts, check_time, check_writable

FIXTURES = Path(__file__).parent / "fixtures" / "health"
P5 = Expected(
    instance_type="p5.48xlarge", gpus=2, gpu_memory_mib=81920, memory_mib=2_000_000, efa=4, network_gbps=3200,
    known=True,
)  # fmt: skip
MEMINFO = "MemTotal:       2101248000 kB\nMemFree:        1 kB\nMemAvailable:   2001248000 kB\n"


def machine(
    tmp_path: Path, expected: Expected = P5, *, emulated: bool = False, accepted: float = -1.0, **files: str
) -> Machine:
    """Return a p5 (with two GPUs and four adapters) on which the named tools print the named fixtures."""
    named = {"smi": "h100.xml", "nvlink": "nvlink-h100.txt", "dmesg": "dmesg-well.txt", **files}
    tools = {QUERY: "smi", NVLINK_QUERY: "nvlink", ("dmesg",): "dmesg", EFA_QUERY: "fi_info"}
    tools[("chronyc", "-n", "tracking")] = "chronyc"

    def answer(arguments: Sequence[str]) -> Answer:
        name = named.get(tools.get(tuple(arguments), ""), "")
        if not name:
            return Answer(None, "", f"{arguments[0]} is not installed", missing=True)
        return Answer(0, (FIXTURES / name).read_text(), "")

    system = tmp_path / "system"
    for number in (79, 80, 97, 98):
        port = system / "sys" / "class" / "infiniband" / f"rdmap{number}s0" / "ports" / "1"
        port.mkdir(parents=True)
        (port / "state").write_text("4: ACTIVE\n")
    (system / "proc" / "self").mkdir(parents=True)
    (system / "proc" / "meminfo").write_text(MEMINFO)
    (system / "proc" / "self" / "mounts").write_text("/dev/nvme0n1p1 / ext4 rw,relatime 0 0\n")
    work = tmp_path / "var" / "fleetform"
    work.mkdir(parents=True)
    return Machine(work, expected, emulated=emulated, ask=answer, system=system, accepted_xids=accepted)


def outcomes(found: Machine) -> dict[str, str]:
    """Return every check's outcome."""
    return {each.name: each.outcome for each in look(found).checks}


def test_a_healthy_machine_passes_every_check(tmp_path: Path) -> None:
    well = machine(tmp_path, fi_info="fi_info-four.txt", chronyc="chronyc-well.txt")
    report = look(well)
    assert {each.outcome for each in report.checks if each.name not in ("mounts", "disk")} == {OK}
    assert report.ok and report.why() == ""
    assert {each.name for each in report.checks} == {name for name, _ in BEFORE}


@pytest.mark.parametrize(
    ("fixture", "check", "why"),
    [
        ("h100-one-lost.xml", "gpu-count", "1 GPUs (NVIDIA H100 80GB HBM3) instead of 2"),
        ("h100-little-memory.xml", "gpu-memory", "GPU 1 has 40536 MiB"),
        ("h100-ecc.xml", "gpu-ecc", "GPU 1: 1 uncorrectable errors"),
        ("h100-ecc.xml", "gpu-rows", "GPU 1: a row waits to be remapped at the next reset"),
        ("h100-hot.xml", "gpu-clocks", "GPU 0: slowed: hw_slowdown, GPU 0: slowed: hw_thermal_slowdown"),
        ("h100-reset.xml", "gpu-state", "GPU 1: needs recovery: Reset"),
        (
            "h100-no-fabric.xml",
            "gpu-state",
            "GPU 0: needs the NVLink fabric's manager (state In Progress, no status)",
        ),
    ],
)
def test_a_fault_that_nvidia_smi_tells_fails_its_check(
    tmp_path: Path, fixture: str, check: str, why: str
) -> None:
    bad = machine(tmp_path, smi=fixture, fi_info="fi_info-four.txt")
    failed = {each.name: each.detail for each in look(bad).failed}
    assert failed[check] == why


def test_a_driver_that_does_not_answer_fails_once_and_not_in_every_check(tmp_path: Path) -> None:
    broken = machine(tmp_path, smi="")
    found = outcomes(broken)
    assert found["gpu-count"] == FAILED
    assert {found[name] for name in ("gpu-memory", "gpu-ecc", "gpu-rows", "nvlink")} == {SKIPPED}


def test_samples_of_other_drivers_and_types_are_read(tmp_path: Path) -> None:
    (a10g,) = parse_gpus((FIXTURES / "a10g.xml").read_text())
    assert (a10g.name, a10g.memory_mib, a10g.uncorrectable, a10g.slowed) == ("NVIDIA A10G", 23028, 0, ())
    (a100,) = parse_gpus((FIXTURES / "a100.xml").read_text())
    assert a100.memory_mib == 81920, "the GPU's own memory, not that of a part of it"
    assert (a100.rows, a100.needs) == ((), ())
    g5 = Expected(gpus=1, gpu_memory_mib=24576, known=True)
    found = outcomes(machine(tmp_path, g5, smi="a10g.xml", nvlink="nvlink-a10g.txt"))
    assert {name: outcome for name, outcome in found.items() if outcome == FAILED} == {}
    assert (found["nvlink"], found["efa"], found["gpu-pcie"]) == (SKIPPED, SKIPPED, OK)


def test_a_machine_without_gpus_skips_what_is_about_them(tmp_path: Path) -> None:
    found = outcomes(machine(tmp_path, Expected(known=True), smi="", nvlink="", dmesg=""))
    assert {found[name] for name in ("gpu-count", "gpu-ecc", "xid", "nvlink", "efa")} == {SKIPPED}
    assert FAILED not in found.values()


def test_an_emulated_machine_is_not_blamed_for_hardware_that_it_only_plays(tmp_path: Path) -> None:
    found = outcomes(machine(tmp_path, emulated=True, smi="", nvlink="", dmesg=""))
    assert FAILED not in found.values()


def xids(tmp_path: Path, name: str, accepted: float = -1.0) -> Finding:
    """Return what the check says of a kernel's log."""
    return check_xids(machine(tmp_path, dmesg=name, accepted=accepted))


def test_a_gpu_off_the_bus_fails_and_a_programs_own_mistake_does_not(tmp_path: Path) -> None:
    bad = xids(tmp_path / "bad", "dmesg-off-the-bus.txt")
    assert bad.outcome == FAILED
    assert "Xid 79 of GPU 0000:64:00: the GPU has fallen off the bus" in bad.detail
    assert "Xid 154 of GPU 0000:64:00: Node Reboot Required" in bad.detail
    assert xids(tmp_path / "well", "dmesg-well.txt").outcome == OK
    assert [each.number for each in parse_xids((FIXTURES / "dmesg-well.txt").read_text())] == [31, 43]


def test_a_contained_error_that_has_been_recovered_from_is_a_warning(tmp_path: Path) -> None:
    found = xids(tmp_path, "dmesg-remapped.txt")
    assert (found.outcome, found.detail) == (
        WARNING,
        "Xid 63, 94 since the start, none of which is fatal",
    )


def test_an_xid_that_somebody_has_accepted_counts_no_more(tmp_path: Path) -> None:
    assert xids(tmp_path / "a", "dmesg-off-the-bus.txt", accepted=7123.0).outcome == OK
    assert xids(tmp_path / "b", "dmesg-off-the-bus.txt", accepted=7122.0).outcome == FAILED


def test_an_nvlink_that_is_down_fails(tmp_path: Path) -> None:
    found = check_nvlink(machine(tmp_path, nvlink="nvlink-h100-one-down.txt"))
    assert (found.outcome, found.detail) == (FAILED, "GPU 1: 17 of 18 links up")
    read = list(parse_links((FIXTURES / "nvlink-h100-one-down.txt").read_text()))
    assert [each[2:] for each in read] == [(18, 18), (17, 18)]


def test_efa_is_counted_by_the_kernel_and_by_libfabric(tmp_path: Path) -> None:
    assert check_efa(machine(tmp_path / "well", fi_info="fi_info-four.txt")).outcome == OK
    unseen = check_efa(machine(tmp_path / "unseen", fi_info="fi_info-three.txt"))
    assert (unseen.outcome, unseen.detail) == (FAILED, "libfabric sees 3 EFA devices instead of 4")
    lost = machine(tmp_path / "lost", fi_info="fi_info-four.txt")
    state = lost.system / "sys/class/infiniband/rdmap79s0/ports/1/state"
    state.write_text("1: DOWN\n")
    assert check_efa(lost).detail == "EFA devices are down: rdmap79s0"
    state.unlink()
    state.parent.rmdir()
    (state.parents[2] / "ports").rmdir()
    state.parents[2].rmdir()
    assert check_efa(lost).detail == "3 EFA devices instead of 4"
    assert check_efa(machine(tmp_path / "no-tool")).outcome == WARNING


def test_the_oldest_form_of_fi_info_is_read(tmp_path: Path) -> None:
    p3dn = machine(tmp_path, Expected(gpus=2, efa=1, known=True), fi_info="fi_info-one.txt")
    assert check_efa(p3dn).detail == "1 devices"


@pytest.mark.parametrize(
    ("fixture", "outcome"),
    [("chronyc-well.txt", OK), ("chronyc-alone.txt", WARNING), ("chronyc-wrong.txt", FAILED), ("", SKIPPED)],
)
def test_a_clock_is_judged_by_its_time_server(tmp_path: Path, fixture: str, outcome: str) -> None:
    assert check_time(machine(tmp_path, chronyc=fixture)).outcome == outcome


def test_a_file_system_that_became_read_only_fails(tmp_path: Path) -> None:
    bad = machine(tmp_path)
    mounts = (
        "/dev/root / ext4 rw 0 0",
        "/dev/md0 /scratch xfs ro,noatime 0 0",
        "/x /snap/a/1 squashfs ro 0 0",
    )
    (bad.system / "proc/self/mounts").write_text("\n".join(mounts))
    assert check_writable(bad).detail == "read-only: /scratch"


def test_a_file_system_that_is_not_mounted_fails(tmp_path: Path) -> None:
    bad = machine(tmp_path, Expected(mounts=("/shared-that-nobody-has",), known=True))
    assert check_mounts(bad).detail == "not mounted: /shared-that-nobody-has"
    assert check_mounts(machine(tmp_path / "b", Expected())).outcome == SKIPPED


def test_memory_that_is_missing_fails_and_memory_in_use_warns(tmp_path: Path) -> None:
    bad = machine(tmp_path, Expected(memory_mib=4_000_000, known=True))
    assert check_memory(bad).outcome == FAILED
    used = machine(tmp_path / "used")
    (used.system / "proc/meminfo").write_text(MEMINFO.replace("2001248000", "1001"))
    assert check_memory(used).outcome == WARNING


def test_the_disk_of_this_machine_has_room(tmp_path: Path) -> None:
    assert check_disk(machine(tmp_path)).outcome in (OK, WARNING)


def test_a_program_that_hangs_is_left_alone_after_a_while() -> None:
    answer = ask(["sleep", "60"], seconds=0.1)
    assert answer.code is None and answer.error == "sleep did not answer within 0.1 s"
    assert ask(["no-such-program-here"]).missing


def test_what_a_job_leaves_behind_is_looked_for_with_fewer_checks(tmp_path: Path) -> None:
    bad = look(machine(tmp_path, smi="h100-ecc.xml"), AFTER)
    assert {each.name for each in bad.failed} == {"gpu-ecc", "gpu-rows"}
