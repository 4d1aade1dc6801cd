"""How one environment stands, in a reader's words: the part of its page that is live."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace

from console.acts import watch
from console.estate import Standing
from console.pages import act_view, environment_view
from console.pages.run_view import run_line
from console.pages.seen import seen_known
from console.web.live_part import digest_of, live_path
from console.web.visit import Visit
from console.words.codes import room_name
from console.words.reader import Reader
from fleet.holdings import NODES, FleetNow, Holdings
from fleet.runs import RunStatus
from templates.console.environment import AmountRow, EnvironmentNow, FleetRow, StoreRow
from templates.console.home import Figure
from templates.console.parts import Link

MOST_RUNS = 20
"""Of those under way; their own page has all."""
_NEWEST = 5


def build_now(visit: Visit, standing: Standing) -> EnvironmentNow:
    """Return how the environment stands, as far as it is this person's to see."""
    reader, glance = visit.reader, standing.glance
    going, acts = acts_of(visit, standing)
    stands = glance is not None and glance.built != "nothing" and standing.session is not None
    found = visit.services.closer.holdings(standing.session) if stands and standing.session else None
    known = seen_known(visit, standing)
    runs, caption = _runs(reader, known)
    shown = EnvironmentNow(
        name=standing.name,
        state=environment_view.state(reader, standing, going),
        looked_at=None,
        figures=tuple(environment_view.figures(reader, glance, known)) if glance else (),
        needs=tuple(environment_view.needs(reader, standing, today())),
        trouble=environment_view.trouble(reader, standing),
        acts=acts,
        fleets=tuple(_fleet(reader, each) for each in found.fleets) if found else (),
        facts=tuple(_facts(reader, found)) if found else (),
        stores=tuple(_stores(reader, found)) if found else (),
        costs=tuple(_costs(reader, found)) if found else (),
        total=reader.usd(sum(usd for _, usd in found.costs)) if found else "",
        runs=tuple(run_line(reader, run) for run in runs),
        runs_caption=caption,
        live="",
    )
    at = reader.moment(glance.time) if glance else None
    digest = digest_of(shown, at.machine[:16] if at else "")  # sent anew each minute, however little happens
    return replace(shown, looked_at=at, live=live_path(f"/environments/{standing.name}/now", digest))


def acts_of(visit: Visit, standing: Standing) -> tuple[list[watch.ActStatus], tuple[Link, ...]]:
    """Return the acts that go on, and links to those and to a last one that was cut off, as far as seen."""
    place = act_view.place_of(visit)
    going = watch.under_way(place, standing.name)
    lost = [each for each in watch.newest(place, standing.name, 1) if each.state == "lost"]
    links = tuple(
        Link(label=act_view.line(visit.reader, each), href=f"/acts/{each.id}")
        for each in (*going, *lost)
        if act_view.sees(visit, standing, each)
    )
    return going, links


def today() -> datetime.date:
    """Return the day by which leases end, UTC."""
    return datetime.datetime.now(datetime.UTC).date()


def _runs(reader: Reader, runs: Sequence[RunStatus]) -> tuple[list[RunStatus], str]:
    """Return the runs that the page shows: those under way, or where there is none the newest."""
    _, own = reader.gettext, [run for run in runs if not run.array_of]
    if active := [run for run in own if run.active]:
        return active[:MOST_RUNS], _("Under way")
    return own[:_NEWEST], _("Newest runs")


def _fleet(reader: Reader, fleet: FleetNow) -> FleetRow:
    return FleetRow(
        name=fleet.name,
        types=", ".join(fleet.types),
        busy=reader.number(fleet.busy),
        idle=reader.number(fleet.idle),
        at_most=reader.number(fleet.at_most),
        gpus=reader.number(fleet.gpus),
    )


def _facts(reader: Reader, found: Holdings) -> Iterator[Figure]:
    _ = reader.gettext
    heads = ", ".join(found.heads)
    yield Figure(label=_("Head node, which hands out runs"), value=heads or _("none runs"), note="")
    size = _("{size} GiB").format(size=reader.number(found.disks_gib))
    disks = reader.ngettext("{count} disk", "{count} disks", found.disks)
    yield Figure(label=_("Disks of its machines"), value=disks, note=size if found.disks else "")


def _stores(reader: Reader, found: Holdings) -> Iterator[StoreRow]:
    _ = reader.gettext
    kinds = {
        "aws_s3_bucket": _("Bucket"),
        "aws_efs_file_system": _("Shared file system (EFS)"),
        "aws_fsx_lustre_file_system": _("Fast file system (FSx for Lustre)"),
    }
    for each in found.stores:
        size = _("{size} GiB").format(size=reader.number(each.gib)) if each.gib else ""
        yield StoreRow(kind=kinds[each.kind], id=each.id, size=size)


def _costs(reader: Reader, found: Holdings) -> Iterator[AmountRow]:
    _ = reader.gettext
    for name, usd in found.costs:
        label = _("Machines for runs, while they run") if name == NODES else room_name(reader, name)
        yield AmountRow(label=label, amount=reader.usd(usd))
