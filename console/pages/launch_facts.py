"""A launch in plain words before it is started: what is made, what it takes, what it costs, who may enter."""

from __future__ import annotations

from collections.abc import Iterator

from console.launch_data import ChosenData
from console.launch_place import Place
from console.launch_plan import Plan
from console.launches import LaunchDraft
from console.pages.launch_seen import data_title, plain, want_title
from console.words.reader import Reader
from console.words.said import said
from fleet.limits import Limit
from fleet.pace import Expectation
from fleet.recipe_forms import form_of
from fleet.recipe_knobs import Knob
from stacks.price_rules import costs_per_hour
from templates.console.launch_review import Fact, OverBudget
from templates.console.phrase import Phrase


def facts(reader: Reader, draft: LaunchDraft, data: ChosenData, plan: Plan) -> Iterator[Fact]:
    """Yield what is to be known of the launch."""
    _ = reader.gettext
    yield Fact(
        label=_("What is learned"), lines=(want_title(reader, draft.want), *_knobs(reader, draft, data))
    )
    yield Fact(label=_("From which data"), lines=plain([data_title(reader, data)]))
    yield Fact(label=_("Where"), lines=plain(list(_where(reader, draft, plan.place))))
    yield Fact(label=_("On what"), lines=plain([_machines(reader, plan)]))
    yield Fact(label=_("How long"), lines=tuple(_time(reader, plan)))
    yield Fact(label=_("What it costs, at list price"), lines=tuple(_cost(reader, plan)))
    yield Fact(label=_("Budget of the environment"), lines=plain(list(_budget(reader, plan))))
    yield from _team_budget(reader, plan)
    yield Fact(label=_("Who may enter the machines"), lines=plain(list(_entering(reader, plan.place))))


def over_budget(reader: Reader, plan: Plan) -> OverBudget | None:
    """Return why it is more than is left of the budget and what would fit, None where it is not."""
    _ = reader.gettext
    if not plan.is_over:
        return None
    if plan.ask.usd is None:
        what = _("Nobody knows what these machines cost, so it can't be held against the budget.")
        return OverBudget(what=what, fits=())
    told = (_over(reader, plan, each) for each in plan.limits if plan.ask.usd > each.left)
    return OverBudget(what=" ".join(told), fits=tuple(_fit(reader, *each) for each in plan.fits))


def _over(reader: Reader, plan: Plan, limit: Limit) -> str:
    """Return that it may cost more than is left of one limit."""
    _ = reader.gettext
    text = (
        _("It may cost up to {usd}, and {left} is left of the own limit of the team {team}.")
        if limit.team
        else _("It may cost up to {usd}, and {left} is left of the budget of {name}.")
    )
    return text.format(
        usd=reader.usd(plan.ask.usd or 0.0), left=reader.usd(max(0.0, limit.left)), team=limit.team,
        name=plan.budget.environment,
    )  # fmt: skip


def _fit(reader: Reader, option: str, value: str) -> str:
    if option == "--max-minutes":
        return reader.ngettext("stop it after {count} minute", "stop it after {count} minutes", int(value))
    if option == "--nodes":
        return reader.ngettext("take {count} machine", "take {count} machines", int(value))
    return reader.gettext("take the machines {name}").format(name=value)


def _knobs(reader: Reader, draft: LaunchDraft, data: ChosenData) -> Iterator[Phrase]:
    """Yield what was chosen at each knob."""
    form = form_of(draft.want)
    for knob in form.knobs_for(data.form_data(form)):
        if value := _value(reader, knob, draft.values.get(knob.key, str(knob.default))):
            label = said(reader, knob.label)
            yield Phrase(text=f"{label.text}: {value.text}", language=label.language or value.language)


def _value(reader: Reader, knob: Knob, value: str | tuple[str, ...]) -> Phrase | None:
    """Return a knob's value in words, None for a column that was left out."""
    if isinstance(value, tuple):
        return Phrase(text=", ".join(value), language="") if value else None
    label = next((choice.label for choice in knob.choices if choice.value == value), "")
    if label:
        return said(reader, label)
    return Phrase(text=value, language="") if value else None


def _where(reader: Reader, draft: LaunchDraft, place: Place) -> Iterator[str]:
    _, spec = reader.gettext, place.spec
    yield _("{name}, for the team {team}, in the region {region}").format(
        name=spec.name, team=draft.team, region=spec.region
    )
    region = place.session.account.region
    least, most = (sum(costs_per_hour(spec, region, grown=grown).values()) for grown in (False, True))
    prices = {"least": reader.usd(least), "most": reader.usd(most), "day": reader.day(spec.lease_ends)}
    if not place.stands:
        yield _("It is built first: a network of its own, a head, its machines and two buckets.")
    if prices["least"] == prices["most"]:
        yield _("It costs {least} an hour.").format(**prices)
    else:
        yield _("It costs {least} an hour as it stands, {most} with all of its machines.").format(**prices)
    yield _("It stays after the training, until somebody tears it down or its lease ends: {day}.").format(
        **prices
    )


def _machines(reader: Reader, plan: Plan) -> str:
    """Return how many machines of which type with how many GPUs in all."""
    request = plan.request
    nodes = reader.ngettext("{count} machine", "{count} machines", request.nodes)
    gpus = request.nodes * request.queueing.gpus_per_node
    in_all = reader.ngettext("{count} GPU in all", "{count} GPUs in all", gpus)
    return f"{nodes}, {request.instance_type}, {in_all}"


def _time(reader: Reader, plan: Plan) -> Iterator[Phrase]:
    _, found = reader.gettext, plan.expected
    if found is not None and found.seconds is not None:
        yield _line(_("Expected: {span}").format(span=reader.span(found.seconds)))
    else:
        yield _line(_("How long it takes is not known."))
    yield from _basis(reader, found)
    if found is not None and found.too_long:
        yield _line(_("It would be stopped before its end: let it take longer, or learn less."))
    yield _line(_("Stopped at the latest after {span}").format(span=reader.span(plan.ask.minutes * 60)))


def _basis(reader: Reader, found: Expectation | None) -> Iterator[Phrase]:
    """Yield what the expectation is reckoned from, or why there is none."""
    _ = reader.gettext
    if found is None:
        yield _line(_("Nothing has run there yet that it could be reckoned from."))
        return
    basis = said(reader, found.basis)
    text = _("Reckoned from: {basis}") if found.seconds is not None else _("Why: {basis}")
    yield Phrase(text=text.format(basis=basis.text), language="")


def _cost(reader: Reader, plan: Plan) -> Iterator[Phrase]:
    _, found, ask = reader.gettext, plan.expected, plan.ask
    if found is not None and found.usd is not None:
        yield _line(_("Expected: {usd}").format(usd=reader.usd(found.usd)))
    if ask.usd is None:
        yield _line(_("The catalog has no price for these machines."))
    else:
        yield _line(_("At most: {usd}").format(usd=reader.usd(ask.usd)))


def _budget(reader: Reader, plan: Plan) -> Iterator[str]:
    whole = [each for each in plan.limits if not each.team]
    if not whole:
        yield reader.gettext("It has no limit.")
    for each in whole:
        yield from _limit(reader, plan, each)


def _team_budget(reader: Reader, plan: Plan) -> Iterator[Fact]:
    for each in plan.limits:
        if each.team:
            label = reader.gettext("Own limit of the team {team}").format(team=each.team)
            yield Fact(label=label, lines=plain(list(_limit(reader, plan, each))))


def _limit(reader: Reader, plan: Plan, limit: Limit) -> Iterator[str]:
    """Yield what is left of a limit, now and with this launch."""
    yield _left(reader, limit, plan.budget.month)
    if plan.ask.usd is not None and plan.ask.usd <= limit.left:
        text = reader.gettext("At least {usd} is left with this launch.")
        yield text.format(usd=reader.usd(limit.left - plan.ask.usd))


def _left(reader: Reader, limit: Limit, month: str) -> str:
    text = reader.gettext(
        "{left} is left of {limit} for {month}: {spent} is spent, {kept} is kept for active runs."
    )
    return text.format(
        left=reader.usd(max(0.0, limit.left)),
        limit=reader.usd(limit.usd),
        month=month,
        spent=reader.usd(limit.spent),
        kept=reader.usd(limit.reserved),
    )


def _entering(reader: Reader, place: Place) -> Iterator[str]:
    """Yield who gets onto the machines: docs/roles.md and docs/entry-paths.md."""
    _ = reader.gettext
    yield _(
        "Members and operators of {team}, by a session that is recorded. Who is of another team can't."
    ).format(team=place.spec.team)
    yield _("There is no SSH port, no key and no public address.")


def _line(text: str) -> Phrase:
    return Phrase(text=text, language="")
