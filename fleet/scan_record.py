"""The result of a policy scan, with counts and waivers, kept in `scans/` for evidence packs."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleet.scan import ScanResult

FOLDER = "scans"
FORMAT = "fleetform-scan/1"


def scan_as_data(scanned: ScanResult) -> dict[str, Any]:
    """Return a scan as data; docs/checks.md describes the keys."""
    verdict = scanned.verdict
    return {
        "tool": "checkov",
        "version": verdict.version,
        "resources": dict(verdict.resources),
        "checks": verdict.checks,
        "failed": len(scanned.errors),
        "waived": [
            {**asdict(finding), "reason": waiver.reason, "owner": waiver.owner, "review": waiver.review}
            for finding, waiver in scanned.waived
        ],
    }


def keep_scan(root: Path, environments: Sequence[str], scanned: ScanResult) -> Path:
    """Write a scan that was just made below the project's folder; return the file. Raises OSError."""
    now = datetime.datetime.now(datetime.UTC)
    file = root / FOLDER / f"{now:%Y%m%dT%H%M%S%f}.json"
    about = {
        "format": FORMAT,
        "time": now.isoformat(timespec="seconds"),
        "environments": list(environments),
        **scan_as_data(scanned),
        "errors": [asdict(each) for each in scanned.errors],
        "warnings": [asdict(each) for each in scanned.warnings],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(about, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    return file
