"""What came out of a selftest: one page, the same as data, kept beside the receipts of teardowns."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleet.selftest import Outcome, Plan
from fleet.session import Session
from stacks.outputs import EnvironmentOutputs
from templates.engine import render
from templates.receipt_page import ReceiptPage, Section

FORMAT = "fleetform-selftest/1"


def write_report(
    session: Session, outputs: EnvironmentOutputs, plan: Plan, outcomes: Sequence[Outcome], scheduler: str,
    begun: datetime.datetime,
) -> tuple[dict[str, Any], Path]:  # fmt: skip
    """Write selftest.json and selftest.html to a new folder below `selftests/`; return the former, and it."""
    ended = datetime.datetime.now(datetime.UTC)
    fleet = outputs.fleets[plan.fleet]
    report = {
        "format": FORMAT,
        "environment": session.spec.name,
        "cloud": str(session.cloud),
        "scheduler": scheduler,
        "fleet": plan.fleet,
        "nodes": plan.nodes,
        "instance_type": fleet.instance_type,
        "actor": session.caller,
        "began": begun.isoformat(timespec="seconds"),
        "ended": ended.isoformat(timespec="seconds"),
        "ok": all(each.ok for each in outcomes),
        "outcomes": [asdict(each) for each in outcomes],
    }
    folder = session.project.root / "selftests" / f"{session.spec.name}-{begun:%Y%m%dT%H%M%S}"
    folder.mkdir(parents=True)
    (folder / "selftest.json").write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")
    (folder / "selftest.html").write_text(render(report_page(report)), encoding="utf-8")
    return report, folder


def report_page(report: dict[str, Any]) -> ReceiptPage:
    """Return the page of a selftest."""
    failed = [each["name"] for each in report["outcomes"] if not each["ok"]]
    facts = [
        ("environment", report["environment"]),
        ("fleet", f"{report['fleet']}, {report['nodes']} x {report['instance_type']}"),
        ("engine", report["scheduler"]),
        ("cloud", report["cloud"]),
        ("by", report["actor"]),
        ("from", report["began"]),
        ("to", report["ended"]),
    ]
    return ReceiptPage(
        title=f"Selftest of {report['environment']}",
        verdict="everything works" if not failed else f"this does not work: {', '.join(failed)}",
        good=not failed,
        facts=tuple(facts),
        overridden=(),
        sections=tuple(_sections(report["outcomes"])),
    )


def _sections(outcomes: Sequence[dict[str, Any]]) -> Iterable[Section]:
    yield Section(
        title="What was tried",
        note="",
        headers=("what", "result", "in numbers", "run"),
        rows=tuple((e["name"], "works" if e["ok"] else "FAILED", e["said"], e["run_id"]) for e in outcomes),
    )
    values = {each["name"]: each["values"] for each in outcomes}
    if sizes := values.get("all-reduce", {}).get("sizes"):
        yield _sizes_section(sizes)
    if places := values.get("files", {}).get("places"):
        yield _places_section(places)


def _sizes_section(sizes: Sequence[dict[str, Any]]) -> Section:
    def row(each: dict[str, Any]) -> tuple[str, ...]:
        rates = (f"{each['algbw_gbs']:.3f}", f"{each['busbw_gbs']:.3f}")
        return (str(each["bytes"]), f"{each['seconds']:.6f}", *rates)

    return Section(
        title="All-reduce by size",
        note="Bus bandwidth does not depend on the number of processes: it compares with the network's.",
        headers=("bytes", "seconds", "GB/s", "bus GB/s"),
        rows=tuple(map(row, sizes)),
        amounts=(0, 1, 2, 3),
    )


def _places_section(places: Sequence[dict[str, Any]]) -> Section:
    def row(each: dict[str, Any]) -> tuple[str, ...]:
        speeds = (f"{each[name]:.0f}" for name in ("write_mb_s", "read_mb_s", "small_files_s"))
        return (str(each["node"]), each["place"], *speeds)

    return Section(
        title="File systems by node",
        note="One process writes a file until it is on disk, reads it back, and makes files of 4 KiB.",
        headers=("node", "place", "write MB/s", "read MB/s", "small files/s"),
        rows=tuple(map(row, places)),
        amounts=(2, 3, 4),
    )
