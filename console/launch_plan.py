"""What a launch would be: its request, what it takes, what is left of the budget, what speaks against it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from console.acts.spec import Launch
from console.known_runs import EnvironmentRuns
from console.launch_data import ChosenData
from console.launch_place import Place
from console.launches import LaunchDraft
from fleet.budget import Budget, read_budget
from fleet.job import JobSpec, LaunchRequest, build_request
from fleet.launch_room import shortage
from fleet.limits import Limit, fitting, limits_of
from fleet.list_prices import at_list_price, list_prices
from fleet.pace import Expectation, expected
from fleet.preflight import preflight
from fleet.recipe_forms import form_of, overrides
from fleet.run_costs import Ask, ask_of
from fleet.session import Session
from stacks.problems import Problem, UserError

_CENT = 0.01


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A launch as it would be started."""

    place: Place
    job: JobSpec
    request: LaunchRequest
    ask: Ask
    expected: Expectation | None
    """None where nothing can have run yet: the environment is not built."""
    budget: Budget
    problems: tuple[Problem, ...]
    """What speaks against it beside the budget."""
    fewer_nodes: int
    """How many machines the account's quotas hold where they hold too few; else 0."""

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits that it counts against: the environment's, its team's own."""
        return tuple(limits_of(self.budget, self.request.queueing.team))

    @property
    def left(self) -> float | None:
        """What it may cost now within all of them, None where there is none."""
        return min((each.left for each in self.limits), default=None)

    @property
    def is_over(self) -> bool:
        """Whether it may cost more than is left, or nobody knows what it may cost while there is a limit."""
        left = self.left
        return left is not None and (self.ask.usd is None or self.ask.usd > left)

    @property
    def fits(self) -> tuple[tuple[str, str], ...]:
        """What would each by itself keep it within what is left: option and value."""
        left, fleets = self.left, self.place.fleets
        if left is None:
            return ()
        prices = list_prices(self.place.session, (each.instance_type for each in fleets.values()))
        return tuple(fitting(self.request, fleets, left, prices))

    def is_approved(self, draft: LaunchDraft) -> bool:
        """Return whether somebody lets it cost what it may."""
        approval = draft.approval
        return approval.answer == "approved" and (self.ask.usd or 0.0) <= approval.usd + _CENT

    def act(self, run_id: str, approved_by: str = "") -> Launch:
        """Return the act that starts it."""
        assert self.job.recipe, "the console trains recipes"
        return Launch(
            environment=self.job.environment,
            run=run_id,
            recipe=self.job.recipe,
            overrides=self.job.overrides,
            nodes=self.job.nodes,
            fleet=self.job.fleet,
            team=self.job.team,
            max_minutes=self.job.max_minutes,
            build=not self.place.stands,
            approved_by=approved_by,
        )


def plan_launch(draft: LaunchDraft, place: Place, data: ChosenData, runs: EnvironmentRuns | None) -> Plan:
    """Return the launch as it would be started now; raises UserError where the draft makes no request.

    It asks the cloud: for the budget, for runs like it (of `runs`, where the place stands), for quotas.
    """
    job = job_of(draft, place, data)
    request = build_request(job, place.fleets, place.run_max_gib, place.site)
    request = at_list_price(place.session, request)
    with ThreadPoolExecutor(max_workers=3) as pool:  # each of them asks the cloud
        against = pool.submit(_against, place, request)
        budget = pool.submit(_budget, place, draft, request)
        found = pool.submit(_expected, place.session, request, runs) if runs else None
    problems, fewer = against.result()
    return Plan(
        place=place,
        job=job,
        request=request,
        ask=ask_of(request.to_dict()),
        expected=found.result() if found else None,
        budget=budget.result(),
        problems=problems,
        fewer_nodes=fewer,
    )


def _expected(session: Session, request: LaunchRequest, runs: EnvironmentRuns) -> Expectation:
    newest = [run.run_id for run in runs.current().known() if run.state == "SUCCEEDED"]
    return expected(session, request, runs.store, newest)


def job_of(draft: LaunchDraft, place: Place, data: ChosenData) -> JobSpec:
    """Return what is asked to be run; raises UserError with what is wrong in the recipe's form."""
    form, fleet = form_of(draft.want), place.fleet(draft)
    processes = draft.nodes * max(1, place.fleets[fleet].gpus_per_node)
    return JobSpec(
        environment=place.spec.name,
        fleet=fleet if len(place.fleets) > 1 else None,
        recipe=form.recipe,
        overrides=overrides(form, draft.values, data.form_data(form, draft.items), processes),
        nodes=draft.nodes,
        max_minutes=draft.minutes,
        team=place.further_team(draft) or None,
    )


def _budget(place: Place, draft: LaunchDraft, request: LaunchRequest) -> Budget:
    """Return the environment's budget of the month; of one that is not declared yet all of it is left."""
    if not draft.starter:
        return read_budget(place.session, team=request.queueing.team)
    now = datetime.datetime.now(datetime.UTC)
    nothing: Mapping[str, float] = {}
    return Budget(
        environment=place.spec.name, month=f"{now:%Y-%m}", limit=place.spec.budget.usd_per_month or None,
        machines=0.0, torn_down=0.0, runs=0.0, reservations=nothing, holds=nothing, notes=(),
    )  # fmt: skip


def _against(place: Place, request: LaunchRequest) -> tuple[tuple[Problem, ...], int]:
    """Return what the cloud has against it, and how many machines its quotas hold where those are too few."""
    found = list(_building(place.session)) if not place.stands else []
    short = shortage(place.session, request.fleet, request.nodes)
    if short is not None:
        found.append(short.problem)
    unique = {problem.what: problem for problem in found}
    return tuple(unique.values()), short.nodes if short else 0


def _building(session: Session) -> Iterator[Problem]:
    """Yield what would stop the environment from being built."""
    try:
        yield from preflight(session).errors
    except UserError as error:
        yield from error.problems
