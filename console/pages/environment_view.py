"""An environment in a reader's words: how it stands, its figures, what somebody should do about it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from console.acts.spec import Down, Launch, Up
from console.acts.watch import ActStatus
from console.estate import Standing
from console.words.reader import Reader
from console.words.said import problems
from fleet.glance import Glance
from fleet.runs import RunStatus
from templates.console.home import Figure, StateView
from templates.console.problem import Said

LEASE_DAYS = 7
"""A lease that ends within so many days needs somebody."""


def state(reader: Reader, standing: Standing, acts: Sequence[ActStatus]) -> StateView:
    """Return how it stands; `acts` are those that go on."""
    _ = reader.gettext
    if any(isinstance(each.act, Down) for each in acts):
        return StateView(name=_("being torn down"), tone="busy", sentence=_("It is being torn down."))
    glance = standing.glance
    if glance is None:
        text = _("Nobody can say how it stands: its file can't be read, or the cloud does not answer.")
        return StateView(name=_("not known"), tone="bad", sentence=text)
    if not glance.stands and any(_builds(each) for each in acts):
        text = _("It is being built. That takes some minutes, and goes on by itself.")
        return StateView(name=_("being built"), tone="busy", sentence=text)
    return _built(reader, glance)


def _built(reader: Reader, glance: Glance) -> StateView:
    """Return how it stands where nothing is done to it."""
    _, machines = reader.gettext, glance.machines
    match glance.built:
        case "nothing":
            text = _(
                "Nothing of it is there yet, and it costs nothing. It is built before something runs on it."
            )
            return StateView(name=_("not built"), tone="plain", sentence=text)
        case "base":
            text = _("Its machines are not there. Its network and its storage are, with all data in it.")
            return StateView(name=_("no machines"), tone="plain", sentence=text)
        case "half":
            text = _("It is there in parts: building it, or tearing it down, did not come to its end.")
            return StateView(name=_("partly built"), tone="bad", sentence=text)
    if machines.busy:
        return StateView(name=_("busy"), tone="busy", sentence=_("It stands, and runs are on its machines."))
    if machines.idle:
        text = _("It stands, and its machines wait for something to do.")
    else:
        text = _("It stands. Its queue starts machines as runs need them.")
    return StateView(name=_("ready"), tone="good", sentence=text)


def _builds(found: ActStatus) -> bool:
    return isinstance(found.act, Up) or (isinstance(found.act, Launch) and found.act.build)


def figures(reader: Reader, glance: Glance, runs: Sequence[RunStatus]) -> Iterator[Figure]:
    """Yield its figures as they are now; `runs` are those that the reader may see."""
    _, machines = reader.gettext, glance.machines
    running = sum(run.active for run in runs)
    yield Figure(label=_("Runs under way"), value=reader.number(running), note="")
    busy, idle = reader.number(machines.busy_gpus), reader.number(machines.idle_gpus)
    nodes = reader.ngettext("on {count} node", "on {count} nodes", machines.busy + machines.idle)
    yield Figure(label=_("GPUs busy / idle"), value=f"{busy} / {idle}", note=nodes)
    unpriced = ", ".join(machines.unpriced)
    note = _("without {types}, whose price is not known").format(types=unpriced) if unpriced else ""
    yield Figure(label=_("Cost an hour now, at list price"), value=reader.usd(glance.usd_per_hour), note=note)
    yield Figure(label=_("Lease ends"), value=reader.day(glance.lease_ends), note="")


def needs(reader: Reader, standing: Standing, today: datetime.date) -> Iterator[str]:
    """Yield what somebody should do something about."""
    _ = reader.gettext
    if standing.spec is None:
        yield _("The file of this environment can't be read; whoever keeps the project's files mends it.")
    if standing.trouble:
        yield _("The cloud refused, or did not answer.")
    if standing.glance is None or not standing.glance.stands:
        return
    left = (standing.glance.lease_ends - today).days
    if left <= LEASE_DAYS:
        yield lease_need(reader, left)
    if standing.glance.machines.idle and not standing.glance.machines.busy:
        yield _("All of its nodes are idle and cost money: start something, or tear it down.")


def lease_need(reader: Reader, left: int) -> str:
    """Return what the end of a lease asks for, so many days before it; less than none once it is over."""
    _ = reader.gettext
    if left < 0:
        return _("Its lease is over: its machines are ended.")
    if left == 0:
        return _("Its lease ends today, at midnight UTC: fetch what you need, or have it extended.")
    return reader.ngettext(
        "Its lease ends in {count} day: fetch what you need, or have it extended.",
        "Its lease ends in {count} days: fetch what you need, or have it extended.",
        left,
    )


def trouble(reader: Reader, standing: Standing) -> tuple[Said, ...]:
    """Return what the product or the cloud says of it in its own words."""
    cloud = (Said(what=standing.trouble, do=""),) if standing.trouble else ()
    return (*problems(reader, standing.problems), *cloud)
