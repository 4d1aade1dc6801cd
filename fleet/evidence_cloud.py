"""The cloud's part of an evidence pack: the trail's digests, who entered each machine, receipts and costs."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fleet import aws
from fleet.budget import Budget, read_budget
from fleet.costs.read import EnvironmentCosts, environment_costs
from fleet.costs.told import Chosen, cost_report
from fleet.entered import Timeline, entered, look_at_trail
from fleet.errors import ActError
from fleet.evidence_archive import Archive
from fleet.evidence_items import Found, Trouble, as_told, trouble
from fleet.machines_seen import list_machines, started_in
from fleet.refused import in_words
from fleet.session import Session
from fleet.trail_digests import TrailReport
from stacks.problems import UserError

Period = tuple[datetime.datetime, datetime.datetime]
TIMELINE_FORMAT = "fleetform-entered/1"


def add_cloud(
    sessions: Sequence[Session], archive: Archive, period: Period, tell: Callable[[str], None]
) -> Iterator[Found]:
    """Add the digests' verdict by region, and a timeline of each machine that the environments had."""
    trails: dict[str, dict[str, Any]] = {}
    troubles, count = list[Trouble](), 0
    for session in sessions:
        tell(f"who entered the machines of {session.spec.name}")
        try:
            look = look_at_trail(session, *period)
            machines = {each.id for each in list_machines(session)}
            machines |= set(started_in(look.calls, session.spec.name))
            trails[session.spec.region] = _trail(look.report)
            for machine in sorted(machines):
                timeline = entered(session, machine, *period, look)
                archive.add_json(f"timelines/{session.spec.name}/{machine}.json", timeline_dict(timeline))
                count += 1
        except Exception as error:
            troubles.append(as_told(f"{session.spec.name}: {_reason(error)}"))
    archive.add_json("trail.json", trails)
    unsound = [_not_sound(region, each) for region, each in trails.items() if not each["sound"]]
    yield Found(key="trail", count=len(trails), troubles=(*unsound, *troubles))
    yield Found(key="timelines", count=count, troubles=tuple(troubles))


def _not_sound(region: str, trail: Mapping[str, Any]) -> Trouble:
    """Say whether digests speak against the files, or only do not reach to all of them yet."""
    if wrong := len(trail["findings"]):
        what = f"{region}: digests speak against {wrong} files"
        return trouble(what, f"{region}: 파일 {wrong}개가 다이제스트와 다릅니다")
    if not (late := len(trail["waiting"])):
        return trouble(f"{region}: the trail has no file", f"{region}: CloudTrail 파일이 없습니다")
    what = f"{region}: not all was checked, {late} files are too new for a digest"
    return trouble(what, f"{region}: 일부만 확인했습니다. 파일 {late}개는 아직 다이제스트가 없습니다")


def timeline_dict(timeline: Timeline) -> dict[str, Any]:
    """Return a timeline as JSON has it."""
    return {"format": TIMELINE_FORMAT, **asdict(timeline)}


def _trail(report: TrailReport) -> dict[str, Any]:
    return {
        "sound": report.sound,
        "intact": sorted(report.intact),
        "waiting": sorted(report.waiting),
        "findings": [asdict(each) for each in report.findings],
        "reach": {region: reach.isoformat() for region, reach in report.reach.items()},
        "unchecked": report.unchecked,
    }


def add_receipts(
    sessions: Sequence[Session], archive: Archive, period: Period, recorded: Collection[str]
) -> Found:
    """Add the receipts of the period's teardowns, each held against the digests that the ledger has."""
    count, unknown = 0, list[str]()
    for session in sessions:
        for file in sorted(session.project.root.glob(f"receipts/{session.spec.name}-*/receipt.json")):
            body = file.read_bytes()
            receipt = json.loads(body)
            ended = datetime.datetime.fromisoformat(receipt["ended"])
            if receipt["environment"] != session.spec.name or not period[0] <= ended < period[1]:
                continue
            count += 1
            archive.add(f"receipts/{file.parent.name}.json", body)
            if hashlib.sha256(body).hexdigest() not in recorded:
                unknown.append(file.parent.name)
    named = ", ".join(unknown)
    wrong = trouble(f"not as the ledger has it: {named}", f"감사 기록과 다릅니다: {named}")
    return Found(key="receipts", count=count, troubles=(wrong,) if unknown else ())


def add_costs(sessions: Sequence[Session], archive: Archive, period: Period) -> Found:
    """Add what each environment has cost, month by month, and who used it for what, line by line."""
    rows, troubles, used = list[tuple[object, ...]](), list[Trouble](), list[EnvironmentCosts]()
    for session in sessions:
        try:
            rows += [_cost(read_budget(session, moment)) for moment in _months(period)]
            used.append(environment_costs(session, *period, trail=True))
        except Exception as error:
            troubles.append(as_told(f"{session.spec.name}: {_reason(error)}"))
    headers = (
        "environment",
        "month",
        "machines, USD",
        "torn down, USD",
        "runs beside, USD",
        "limit, USD",
        "not counted",
    )
    archive.add_table("costs.csv", headers, rows)
    archive.add_json("costs.json", cost_report(used, *period, "team", Chosen()).to_dict())
    return Found(key="costs", count=len(rows), troubles=tuple(troubles))


def _cost(found: Budget) -> tuple[object, ...]:
    sums = (round(found.machines, 4), round(found.torn_down, 4), round(found.runs, 4))
    return (found.environment, found.month, *sums, found.limit, "; ".join(found.notes))


def _months(period: Period) -> Iterable[datetime.datetime]:
    """Return the last moment in the period of each calendar month (UTC)."""
    since, until = period
    found, begin = [], since.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while begin < until:
        following = (begin + datetime.timedelta(days=32)).replace(day=1)
        found.append(min(following - datetime.timedelta(seconds=1), until))
        begin = following
    return found


def _reason(error: Exception) -> str:
    """Return why the cloud did not answer; raises what is a mistake of ours."""
    if not isinstance(error, (ActError, UserError)) and not aws.is_cloud_error(error):
        raise error
    return in_words(error)
