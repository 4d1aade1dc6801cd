"""A week of ten teams: the cost report equals an independent recomputation to the cent, however it is cut."""

from __future__ import annotations

import dataclasses
import datetime
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.costs import machine_times, read
from fleet.costs.amounts import cents
from fleet.costs.read import EnvironmentCosts, environment_costs
from fleet.costs.report import USES, grouped
from fleet.costs.told import Chosen, CostReport, cost_report
from fleet.project import Project
from fleet.session import Session
from stacks.catalog import CATALOG_FILE
from stacks.price_rules import costs_per_hour
from stacks.scheduler_spec import SchedulerSpec
from tests.environment_parts import make_specs
from tests.money_edges import Book, Index, Machines, Shelf, trail_of
from tests.money_week import BEGIN, END, ENVIRONMENTS, HOUR, T0, T1, TYPES, Hold, Machine, Week, World

SEEDS = (1, 2, 3)
DAY = 24 * HOUR
GPUS = {**TYPES, "m6i.large": 0}


class Office(Session):
    """A session whose cloud is a drawn world."""

    world: World

    def client(self, service: str) -> Any:
        assert service == "ec2"
        return Machines(self.world, self.spec.name)

    @property
    def ledger(self) -> Any:  # type: ignore[override]
        return Book(self.world)


def open_office(world: World, root: Path, name: str) -> Office:
    """Return the session of one of the drawn environments."""
    team, further = ENVIRONMENTS[name]
    account, spec = make_specs(
        name, {"gpu": {"nodes": 1, "max_nodes": 4}, "big": {"nodes": 1, "max_nodes": 4}}
    )
    scheduler = SchedulerSpec.model_validate({"teams": {each: {} for each in further}})
    spec = spec.model_copy(update={"team": team, "scheduler": scheduler})
    office = Office(Project(root=root, home=root / "home"), Cloud("drawn"), account, spec)
    object.__setattr__(office, "world", world)
    return office


@pytest.fixture(scope="module", params=SEEDS)
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, list[EnvironmentCosts]]]:
    """A drawn week, and what the product makes of its documents."""
    world, root = Week(request.param).draw(), tmp_path_factory.mktemp("week")
    trail = trail_of(world)

    def read_some(session: Session, since: datetime.datetime, until: datetime.datetime, **more: Any) -> Any:
        return (call for call in trail if since <= call.time < until)

    def open_shelf(session: Session, team: str = "") -> Shelf:
        return Shelf(
            session.cloud, session.spec.region, "shelf", team, world=world, environment=session.spec.name
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine_times, "read_trail", read_some)
        patch.setattr(read, "open_runs", open_shelf)
        patch.setattr(read, "LedgerIndex", Index)
        offices = [open_office(world, root, name) for name in ENVIRONMENTS]
        yield world, [environment_costs(office, BEGIN, END, trail=True) for office in offices]


# --------------------------------------------------------------------------- the independent recomputation

Row = tuple[str, str, str, str, str, str, str]
"""Day, environment, team, person, run, fleet, use."""


def catalogue() -> tuple[dict[str, Decimal], Decimal]:
    """Return the prices of machines and of a GB-month of disk, as the file has them."""
    told = tomllib.loads(CATALOG_FILE.read_text(encoding="utf-8"), parse_float=Decimal)
    machines = {name: Decimal(row["price_usd_per_hour"]) for name, row in told["instances"].items()}
    return machines, told["other"]["ebs_gp3"]["usd"]


def recompute(world: World, offices: dict[str, Session]) -> dict[Row, tuple[Decimal, Decimal]]:
    """Return GPU-hours and US dollars by row, from what happened: machine by machine, day by day."""
    prices, disk = catalogue()
    rows: dict[Row, tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(0), Decimal(0)))

    def add(row: Row, gpu_hours: Decimal, usd: Decimal) -> None:
        before = rows[row]
        rows[row] = (before[0] + gpu_hours, before[1] + usd)

    for number in range(7):
        since, until = T0 + number * DAY, T0 + (number + 1) * DAY
        day = (BEGIN + datetime.timedelta(days=number)).date().isoformat()
        for machine in world.machines:
            spec = offices[machine.environment].spec
            gib = (spec.fleets[machine.fleet] if machine.fleet else spec.head).root_volume_gib
            hourly, gpus = prices[machine.type] + disk * gib / 730, GPUS[machine.type]
            team = ENVIRONMENTS[machine.environment][0]
            busy = Decimal(0)
            for hold in machine.holds:
                spent = on_one_machine(hold, since, until)
                busy += spent
                for use, (part, whole) in hold.uses.items():
                    row = (day, hold.environment, hold.team, hold.person, hold.run, hold.fleet, use)
                    share = spent * part / whole / HOUR
                    add(row, share * gpus, share * hourly)
            left = left_over(world, machine, since, until)
            rest = within(machine.begin, machine.end, since, until) - left - busy
            for use, spent in (("leftover", left), ("idle" if machine.fleet else "standing", rest)):
                row = (day, machine.environment, team, "", "", machine.fleet, use)
                add(row, spent / HOUR * gpus, spent / HOUR * hourly)
        for hold in world.holds:
            files = hold.files_usd * overlap_share(hold, since, until)
            for use, (part, whole) in hold.uses.items():
                row = (day, hold.environment, hold.team, hold.person, hold.run, hold.fleet, use)
                add(row, Decimal(0), files * part / whole)
        for name, spans in world.stood.items():
            parts = costs_per_hour(offices[name].spec, offices[name].account.region)
            hourly = sum(
                (Decimal(str(usd)) for part, usd in parts.items() if part not in ("machines", "disks")),
                Decimal(0),
            )
            stood = sum((within(begin, end, since, until) for begin, end in spans), Decimal(0))
            add((day, name, ENVIRONMENTS[name][0], "", "", "", "standing"), Decimal(0), stood / HOUR * hourly)
    return rows


def within(begin: int, end: int | None, since: int, until: int) -> Decimal:
    assert end is not None
    return Decimal(max(0, min(end, until) - max(begin, since)))


def overlap_share(hold: Hold, since: int, until: int) -> Decimal:
    assert hold.end is not None
    return within(hold.begin, hold.end, since, until) / (hold.end - hold.begin)


def on_one_machine(hold: Hold, since: int, until: int) -> Decimal:
    return Decimal(hold.node_ms) / len(hold.machines) * overlap_share(hold, since, until)


def left_over(world: World, machine: Machine, since: int, until: int) -> Decimal:
    """Return for how long a machine stood while its environment was torn down."""
    spans = world.stood[machine.environment]
    gone = list(
        zip([end for _, end in spans], [begin for begin, _ in spans[1:]] + [T1 + 99 * DAY], strict=True)
    )
    assert machine.end is not None
    return sum(
        (within(max(begin, machine.begin), min(end, machine.end), since, until) for begin, end in gone),
        Decimal(0),
    )


def to_the_cent(amount: Decimal) -> Decimal:
    """Return it as a bill has it; what division left of sixty digits must not tip a half."""
    return amount.quantize(Decimal("1e-30")).quantize(Decimal("0.01"), ROUND_HALF_UP)


# -------------------------------------------------------------------------------------------- the claims

CUTS = {"day": 0, "environment": 1, "team": 2, "person": 3, "run": 4, "fleet": 5, "use": 6}


@pytest.mark.parametrize("by", CUTS)
def test_the_report_equals_the_recomputation_to_the_cent(
    told: tuple[World, list[EnvironmentCosts]], by: str, tmp_path: Path
) -> None:
    world, found = told
    offices = {name: open_office(world, tmp_path, name) for name in ENVIRONMENTS}
    with localcontext() as context:
        context.prec = 60
        wanted: dict[str, dict[str, tuple[Decimal, Decimal]]] = defaultdict(
            lambda: dict.fromkeys(USES, (Decimal(0), Decimal(0)))
        )
        for row, (hours, usd) in recompute(world, offices).items():  # type: ignore[arg-type]
            before = wanted[row[CUTS[by]]][row[6]]
            wanted[row[CUTS[by]]][row[6]] = (before[0] + hours, before[1] + usd)
        groups = {each.key: each for each in report_of(found, by).groups}
        assert set(groups) == {
            key for key, uses in wanted.items() if any(any(each) for each in uses.values())
        }
        for key, uses in wanted.items():
            if key not in groups:
                continue
            for use, (hours, usd) in uses.items():
                assert cents(groups[key].usd_by_use[use]) == to_the_cent(usd), (key, use)
                assert cents(groups[key].gpu_hours_by_use[use]) == to_the_cent(hours), (key, use)
            assert cents(groups[key].usd) == to_the_cent(sum((usd for _, usd in uses.values()), Decimal(0)))


def report_of(found: list[EnvironmentCosts], by: str) -> CostReport:
    return cost_report(found, BEGIN, END, by, Chosen())


def test_the_week_has_everything_in_it(told: tuple[World, list[EnvironmentCosts]]) -> None:
    world, found = told
    report = report_of(found, "use")
    assert {group.key for group in report.groups} == set(USES) - {"under_way"}
    assert len({line.team for line in report.lines}) == 10
    assert len({line.run for line in report.lines}) > 300
    assert {machine.source for machine in world.machines} == {"ec2", "trail", "runs"}
    assert any("/attempts/1/" in name for runs in world.runs.values() for name in runs)
    idle = {line.run: line.person for line in report.lines if line.use == "idle"}
    assert "" in idle and len(idle) > 10, "machines without a run, and runs that were stopped as idle"
    assert all(person for run, person in idle.items() if run), "whose run it was stays told"


def test_every_cut_comes_to_the_same(told: tuple[World, list[EnvironmentCosts]]) -> None:
    lines = report_of(told[1], "team").lines
    totals = {by: sum((group.usd for group in grouped(lines, by)), 0) for by in CUTS}
    assert len(set(totals.values())) == 1
    assert dataclasses.replace(report_of(told[1], "team"), by="run").whole.usd == totals["run"]
