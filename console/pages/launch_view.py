"""A draft as it would be started now, and its review as a page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from console.acts.spec import command_of
from console.launch_data import ChosenData
from console.launch_place import Place, place_of
from console.launch_plan import Plan, plan_launch
from console.launches import LaunchDraft
from console.pages import launch_facts, launch_seen
from console.pages.launch_seen import REVIEW, step_path
from console.people import accounts
from console.web import assets
from console.web.mistakes import RefusedError
from console.web.visit import Visit
from console.words import said
from fleet import commands
from stacks.problems import Problem, UserError
from templates.console.launch_review import LaunchReviewPage, Review
from templates.console.parts import Choice, Field
from templates.console.problem import Said

_NO_RUN = "run"
"""The id of a run that is not started; its command has none."""


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """A draft with what it would be now."""

    draft: LaunchDraft
    data: ChosenData
    place: Place
    plan: Plan | None
    """None where it makes no request."""
    problems: tuple[Problem, ...]
    """What speaks against it beside the budget."""
    may_build: bool
    """Whether the person may build what would have to be built."""

    @property
    def is_approved(self) -> bool:
        """Whether somebody lets it go over the budget."""
        return self.plan is not None and self.plan.is_approved(self.draft)

    @property
    def may_start(self) -> bool:
        """Whether it can be started as it is."""
        within = self.plan is not None and (not self.plan.is_over or self.is_approved)
        return within and not self.problems and self.may_build

    @property
    def may_ask(self) -> bool:
        """Whether an approval would let it be started, and none is asked for."""
        over = self.plan is not None and self.plan.is_over and self.plan.ask.usd is not None
        open_ = self.draft.approval.answer != "waiting" and not self.is_approved
        return over and open_ and not self.problems and self.may_build


def review(visit: Visit, draft: LaunchDraft, data: ChosenData) -> Reviewed:
    """Return what the draft would be if it were started now; it asks the cloud."""
    place = place_of(visit.services, draft)
    if draft.starter and visit.services.settings.project.environment_file(draft.environment).exists():
        text = visit.reader.gettext("There is an environment of the name {name} by now. Take another name.")
        raise RefusedError(text.format(name=draft.environment))
    plan, problems = None, tuple[Problem, ...]()
    try:
        runs = visit.services.runs.of(place.session) if place.stands else None
        plan = plan_launch(draft, place, data, runs)
        problems = plan.problems
    except UserError as error:
        problems = error.problems
    may_build = place.stands or visit.may("environment.up", place.spec.team)
    return Reviewed(draft=draft, data=data, place=place, plan=plan, problems=problems, may_build=may_build)


def page(visit: Visit, draft: LaunchDraft, found: Review | None) -> LaunchReviewPage:
    """Return the page with what was found, or without, where that comes later."""
    here = step_path(draft, REVIEW)
    return LaunchReviewPage(
        frame=visit.frame(visit.reader.gettext("Review and start")),
        steps=launch_seen.steps(visit.reader, draft, REVIEW),
        review=found,
        part_path=f"{here}/now",
        whole_path=f"{here}?look=1",
        style=launch_seen.style(),
        script=assets.url("live.js"),
    )


def view(
    visit: Visit, seen: Reviewed, size: tuple[Field, Field] | None = None, reason: Field | None = None
) -> Review:
    """Return the review; `size` and `reason` are what was filled in, with what is wrong with it."""
    reader, draft, place, plan = visit.reader, seen.draft, seen.place, seen.plan
    here = step_path(draft, REVIEW)
    nodes, minutes = size or (Field(value=str(draft.nodes)), Field(value=str(draft.minutes)))
    over = launch_facts.over_budget(reader, plan) if plan and not seen.is_approved else None
    return Review(
        here=here,
        facts=tuple(launch_facts.facts(reader, draft, seen.data, plan)) if plan else (),
        notes=tuple(said.said(reader, note) for note in plan.budget.notes) if plan else (),
        nodes=nodes,
        most_nodes=place.most_nodes(draft),
        minutes=minutes,
        most_minutes=place.site.longest_minutes,
        fleets=_fleets(draft, place),
        said=_against(visit, seen),
        over=over,
        approval=_approval(visit, draft) if plan and plan.is_over else "",
        ask_path=f"/launch/{draft.id}/ask" if seen.may_ask else "",
        reason=reason or Field(),
        start_path=f"/launch/{draft.id}/start" if seen.may_start else "",
        version=draft.version,
        builds=not place.stands,
        command=_command(seen),
        form_token=visit.form_token,
    )


def _command(seen: Reviewed) -> str:
    """Return the commands that do the same."""
    if seen.plan is None:
        return ""
    draft, lines = seen.draft, []
    if draft.starter:
        words = commands.declare_begun(draft.environment, draft.team, draft.owner, draft.starter)
        lines.append(commands.line(words))
    return "\n".join([*lines, command_of(seen.plan.act(_NO_RUN))])


def _fleets(draft: LaunchDraft, place: Place) -> tuple[Choice, ...]:
    if len(place.fleets) == 1:
        return ()
    return tuple(
        Choice(value=name, label=f"{name}: {fleet.instance_type}", chosen=name == place.fleet(draft))
        for name, fleet in sorted(place.fleets.items())
    )


def _against(visit: Visit, seen: Reviewed) -> tuple[Said, ...]:
    """Return what speaks against it, and how many machines the quotas would hold."""
    _, reader = visit.reader.gettext, visit.reader
    lines = list(said.problems(reader, seen.problems))
    if seen.plan is not None and seen.plan.fewer_nodes:
        text = reader.ngettext(
            "The account's quotas hold {count} machine: take no more.",
            "The account's quotas hold {count} machines: take no more.",
            seen.plan.fewer_nodes,
        )
        lines.append(Said(what=text, do="", language=""))
    if not seen.may_build:
        what = _("The environment is not built, and you may not build it.")
        do = _("Ask an operator of the team to build it, or train elsewhere.")
        lines.append(Said(what=what, do=do, language=""))
    return tuple(lines)


def _approval(visit: Visit, draft: LaunchDraft) -> str:
    """Return how it stands with the approval."""
    _, approval = visit.reader.gettext, draft.approval
    if approval.answer == "waiting":
        text = _("An approval is asked for, up to {usd}. What you change now has to be asked for again.")
        return text.format(usd=visit.reader.usd(approval.usd))
    if not draft.approved_by:
        return ""
    with visit.services.database.reading() as database:
        name = accounts.read_person(database, draft.approved_by).name
    if approval.answer == "approved":
        text = _("{name} has approved it, up to {usd}.")
        return text.format(name=name, usd=visit.reader.usd(approval.usd))
    return _("{name} has not approved it: {said}").format(name=name, said=approval.said)
