"""What waits for a person: leases that end, approvals, launches that came to nothing, runs idle or failed."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence

from console import launches
from console.acts import watch
from console.acts.spec import Launch
from console.estate import Standing
from console.pages import act_view, environment_view
from console.pages.environment_now import today
from console.pages.seen import is_own, run_path
from console.store.columns import utc_now
from console.web.visit import Visit
from console.words.said import said
from fleet.runs import RunStatus
from templates.console.home import Need
from templates.console.phrase import Phrase

LATELY = datetime.timedelta(days=1)
MOST = 5
"""Of one kind: the list is to be read at a glance."""
_FAILED = frozenset({"FAILED", "TIMED_OUT", "PREEMPTED"})


def for_person(
    visit: Visit, seen: Sequence[Standing], runs: Mapping[str, Sequence[RunStatus]]
) -> Iterator[Need]:
    """Yield what waits for the person, the most urgent first; `runs` are those that they may see."""
    yield from _leases(visit, seen)
    yield from _approvals(visit)
    yield from _answers(visit)
    yield from _launches(visit)
    for standing in seen:
        yield from _idle_runs(visit, standing, runs[standing.name])
    for standing in seen:
        yield from _failed_runs(visit, standing, runs[standing.name])


def _leases(visit: Visit, seen: Sequence[Standing]) -> Iterator[Need]:
    """Yield the leases of what stands that end within a day."""
    for standing in seen:
        if standing.glance is None or not standing.glance.stands:
            continue
        left = (standing.glance.lease_ends - today()).days
        if left <= LATELY.days:
            text = environment_view.lease_need(visit.reader, left)
            yield Need(place=standing.name, href=f"/environments/{standing.name}/lease", text=text)


def _approvals(visit: Visit) -> Iterator[Need]:
    """Yield the launches that the person may let go over the budget; nobody answers their own."""
    _ = visit.reader.gettext
    with visit.services.database.reading() as database:
        asked = launches.waiting(database)
    others = [each for each in asked if each.draft.person != visit.person.id]
    for each in [each for each in others if visit.may("launch.approve", each.draft.team)][:MOST]:
        place = _("Launch of {name}").format(name=each.person_name)
        yield Need(place=place, href="/approvals", text=_("it asks to go over the budget."))


def _answers(visit: Visit) -> Iterator[Need]:
    """Yield the person's own launches that somebody has answered and that were not started since."""
    _ = visit.reader.gettext
    texts = {
        "approved": _("it may go over the budget: start it."),
        "refused": _("it may not go over the budget."),
    }
    with visit.services.database.reading() as database:
        own = launches.unfinished(database, visit.person.id)
    for draft in own:
        if text := texts.get(draft.approval.answer):
            place = _("Your launch on {name}").format(name=draft.environment)
            told = draft.approval.said
            said_so = Phrase(text=told, language="") if told else None
            yield Need(place=place, href=f"/launch/{draft.id}/review", text=text, said=said_so)


def _launches(visit: Visit) -> Iterator[Need]:
    """Yield the person's own launches of the last day that came to nothing and were not done again since."""
    _, place = visit.reader.gettext, act_view.place_of(visit)
    since, begun = utc_now() - LATELY, set[str]()
    for found in watch.newest_of(place, visit.person.id):
        if not isinstance(found.act, Launch) or found.created_at < since or found.act.run in begun:
            continue
        begun.add(found.act.run)
        if found.state in ("refused", "failed", "lost"):
            title = act_view.title(visit.reader, found)
            yield Need(place=title, href=f"/acts/{found.id}", text=_("your launch did not begin."))


def _idle_runs(visit: Visit, standing: Standing, runs: Sequence[RunStatus]) -> Iterator[Need]:
    """Yield the runs that make no progress and will be stopped for it, which the person may cancel."""
    _, found = visit.reader.gettext, 0
    for run in runs:
        if not run.idle or not run.active or found == MOST:
            continue
        if visit.may("run.stop", standing.team_of(run), own=is_own(visit, run)):
            text = _("this run makes no progress, and is stopped if it stays so.")
            href, why = run_path(standing.name, run.run_id), said(visit.reader, run.idle)
            yield Need(place=run.run_id, href=href, text=text, said=why)
            found += 1


def _failed_runs(visit: Visit, standing: Standing, runs: Sequence[RunStatus]) -> Iterator[Need]:
    """Yield the runs of the last day that ended too early, which the person may go on with."""
    _, since, found = visit.reader.gettext, utc_now() - LATELY, 0
    for run in runs:
        if run.state not in _FAILED or run.array_of or not run.ended:
            continue
        if datetime.datetime.fromisoformat(run.ended) < since:
            continue
        if not visit.may("run.resume", standing.team_of(run), own=is_own(visit, run)):
            continue
        href = run_path(standing.name, run.run_id)
        cause = said(visit.reader, run.cause) if run.cause else None
        yield Need(place=run.run_id, href=href, text=_("this run ended too early."), said=cause)
        found += 1
        if found == MOST:
            return
