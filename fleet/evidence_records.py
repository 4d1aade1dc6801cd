"""What a project keeps of its own acts, in an evidence pack: what was applied, and what the scans said."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from fleet import plan_record, scan_record
from fleet.evidence_archive import Archive
from fleet.evidence_items import Found, Trouble, trouble

Period = tuple[datetime.datetime, datetime.datetime]


def add_plans(
    root: Path, names: Sequence[str], archive: Archive, period: Period, recorded: Collection[str]
) -> Found:
    """Add what was done to the environments' stacks, with what was applied, held against the ledger.

    `recorded` are the digests of the period's entries; one whose file is not here was applied elsewhere.
    """
    count, troubles, missing = 0, list[Trouble](), set(recorded)
    for file, body, about in _kept(root / plan_record.FOLDER, period):
        if about["environment"] not in names:
            continue
        digest, name = hashlib.sha256(body).hexdigest(), file.parent.name
        archive.add(f"plans/{name}/{file.name}", body)
        count += 1
        if digest not in recorded:
            troubles.append(trouble(f"{name} is not as the ledger has it", f"{name}: 감사 기록과 다릅니다"))
        missing.discard(digest)
        configuration = file.with_name(f"{about['stack']}{plan_record.CONFIGURATION_SUFFIX}").read_bytes()
        archive.add(f"plans/{name}/{about['stack']}{plan_record.CONFIGURATION_SUFFIX}", configuration)
        if hashlib.sha256(configuration).hexdigest() != about["configuration_sha256"]:
            what = f"the configuration of {name} was changed since"
            troubles.append(trouble(what, f"{name}: 구성 파일이 그 뒤에 변경되었습니다"))
    if missing:
        what = f"{len(missing)} are in the ledger and lie in other projects' folders"
        troubles.append(trouble(what, f"{len(missing)}건은 감사 기록에 있으나 다른 프로젝트 폴더에 있습니다"))
    return Found(key="plans", count=count, troubles=tuple(troubles))


def add_scans(root: Path, names: Sequence[str], archive: Archive, period: Period) -> Found:
    """Add the scans that were kept of any of the environments, one row each beside the scans themselves."""
    rows, troubles = list[tuple[object, ...]](), list[Trouble]()
    for file, body, about in _kept(root / scan_record.FOLDER, period):
        if not set(about["environments"]) & set(names):
            continue
        archive.add(f"scans/{file.name}", body)
        resources = sum(about["resources"].values())
        counts = (resources, about["checks"], about["failed"], len(about["waived"]))
        rows.append((about["time"], ", ".join(about["environments"]), about["version"], *counts))
        if about["failed"]:
            what = f"{about['failed']} checks failed at {about['time']}"
            troubles.append(trouble(what, f"{about['time']}에 점검 {about['failed']}건이 실패했습니다"))
    headers = ("time (UTC)", "environments", "checkov", "resources", "checks", "failed", "waived")
    archive.add_table("scans.csv", headers, rows)
    if not rows:
        what = "none was made in the period: `fleetform check --scan` makes one"
        troubles.append(trouble(what, "이 기간에 점검이 없습니다: `fleetform check --scan`으로 점검합니다"))
    return Found(key="scans", count=len(rows), troubles=tuple(troubles))


def _kept(folder: Path, period: Period) -> Iterator[tuple[Path, bytes, dict[str, Any]]]:
    """Yield the period's records below a folder with their bytes, oldest first."""
    for file in sorted(folder.rglob("*.json")):
        if file.name.endswith(plan_record.CONFIGURATION_SUFFIX):
            continue
        body = file.read_bytes()
        about = json.loads(body)
        if period[0] <= datetime.datetime.fromisoformat(about["time"]) < period[1]:
            yield file, body, about
