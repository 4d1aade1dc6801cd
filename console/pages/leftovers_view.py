"""What is left over in the account, in a reader's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from console.leftovers import Looked
from console.store.columns import utc_now
from console.words.reader import Reader
from console.words.said import said
from fleet.orphans.judge import VERDICTS, Found, Verdict
from fleet.orphans.report import LEFT, PROVEN, age_hours, usd_per_hour
from fleet.receipt import price_note
from stacks.catalog import HOURS_PER_MONTH
from templates.console.home import Tone
from templates.console.leftovers import LeftLine, LeftList, LeftoversView, TotalLine
from templates.console.parts import Choice
from templates.console.phrase import Phrase

_LINES = 300
"""So many things with one verdict are shown; filters show the others."""
_CODES: Mapping[Verdict, str] = {
    "orphan": "orphan",
    "past its lease": "lease",
    "not proven": "doubt",
    "ending by itself": "ending",
    "another's": "others",
}
"""What each list is known by on the page."""


def verdict_name(reader: Reader, verdict: Verdict) -> str:
    """Return what a verdict is called."""
    _ = reader.gettext
    return {
        "orphan": _("Orphaned"),
        "past its lease": _("Past its lease"),
        "not proven": _("Not proven"),
        "ending by itself": _("Ending by itself"),
        "another's": _("Another tool's"),
    }[verdict]


def verdict_meaning(reader: Reader, verdict: Verdict) -> str:
    """Return what a verdict means, and what there is to do."""
    _ = reader.gettext
    return {
        "orphan": _("Ours beyond doubt, and no environment that stands has it: it can be deleted."),
        "past its lease": _("Ours, and the lease of its environment is over: tear the environment down."),
        "not proven": _("It looks like ours, and nothing proves it: somebody has to look at it."),
        "ending by itself": _("It waits for its end already: there is nothing to do."),
        "another's": _("Another tool owns it, though it looks like ours: it is never touched here."),
    }[verdict]


def view(
    reader: Reader, looked: Looked, *, environment: str, kind: str, delete: str, form_token: str
) -> LeftoversView:
    """Return the look as its page shows it: all of it, or what is an environment's or of a kind alone.

    `delete` is the page on which it is deleted, for who may.
    """
    swept = looked.swept
    found = chosen(looked, environment, kind)
    tone, sentence = _sentence(reader, looked, found, environment, kind)
    return LeftoversView(
        tone=tone,
        sentence=sentence,
        scope=_scope(reader, looked),
        at=reader.moment(looked.begun),
        ago=reader.gettext("{span} ago").format(
            span=reader.span(max(0.0, (utc_now() - looked.begun).total_seconds()))
        ),
        unseen=tuple((each.title, each.why) for each in swept.not_looked),
        totals=tuple(_totals(reader, found)),
        lists=tuple(_lists(reader, looked, found)),
        environments=environment_choices(reader, looked, environment),
        kinds=_kinds(reader, looked, kind),
        environment=environment,
        kind=kind,
        delete=delete if any(each.verdict in PROVEN for each in found) else "",
        prices=price_note(),
        form_token=form_token,
    )


def chosen(looked: Looked, environment: str, kind: str = "") -> tuple[Found, ...]:
    """Return what was found of that environment and kind; "" stands for every one."""
    return tuple(
        each
        for each in looked.swept.found
        if environment in ("", each.environment) and kind in ("", each.listed.thing.kind)
    )


def environment_choices(reader: Reader, looked: Looked, environment: str) -> tuple[Choice, ...]:
    """Return the environments that something was found of, and the one that was asked for."""
    names = {each.environment for each in looked.swept.found} | ({environment} if environment else set())
    return _choices(reader.gettext("all environments"), names, environment)


def why_it_stays(reader: Reader, why: str) -> Phrase:
    """Return why something stays; where an option of the command would help, it is a box to tick here."""
    _ = reader.gettext
    if why.endswith("say --data"):
        return Phrase(
            text=_("Data is lost for good with it: it goes only where that is ticked."), language=""
        )
    if why.endswith("say --past-lease"):
        text = _("Its environment stands past its lease: it goes only where that is ticked.")
        return Phrase(text=text, language="")
    return said(reader, why)


def line(reader: Reader, looked: Looked, found: Found) -> LeftLine:
    """Return one thing."""
    thing, hours = found.listed.thing, age_hours(found, looked.swept.account.now)
    declared = found.environment in looked.swept.account.environments
    by_use = reader.gettext("by use")
    hour = thing.usd_per_hour
    return LeftLine(
        kind=said(reader, thing.kind),
        id=thing.id,
        name="" if thing.name == thing.id else thing.name,
        region=found.listed.region,
        environment=found.environment,
        environment_href=f"/environments/{found.environment}" if declared else "",
        team=found.team,
        age="" if hours is None else reader.span(hours * 3600),
        hour=by_use if hour is None else reader.usd(hour) if hour else "",
        month=by_use if hour is None else reader.usd(hour * HOURS_PER_MONTH) if hour else "",
        proof=said(reader, found.proof),
        reason=said(reader, found.reason),
        loses_data=found.listed.holds_data and found.verdict in LEFT,
    )


def _sentence(
    reader: Reader, looked: Looked, found: Sequence[Found], environment: str, kind: str
) -> tuple[Tone, str]:
    """Return what is left in one sentence, and how it is shown."""
    _ = reader.gettext
    proven = [each for each in found if each.verdict in PROVEN]
    doubtful = sum(each.verdict == "not proven" for each in found)
    doubt = reader.ngettext(
        "{count} thing is to be looked at.", "{count} things are to be looked at.", doubtful
    )
    if proven:
        hour = usd_per_hour(proven)
        told = reader.ngettext("{count} thing is left over.", "{count} things are left over.", len(proven))
        costs = _("That costs {hour} an hour, {month} a month.").format(
            hour=reader.usd(hour), month=reader.usd(hour * HOURS_PER_MONTH)
        )
        return "bad", " ".join((told, costs, *([doubt] if doubtful else [])))
    if doubtful:
        return "bad", " ".join((_("Nothing of ours is proven to be left over."), doubt))
    if looked.swept.not_looked:
        return "bad", _("Where it could be looked, nothing is left over.")
    if environment or kind:
        return "good", _("Of what you have chosen, nothing is left over.")
    return "good", _("Nothing is left over: whatever is ours belongs to an environment that stands.")


def _scope(reader: Reader, looked: Looked) -> str:
    swept = looked.swept
    regions = ", ".join(swept.account.regions)
    things = reader.ngettext("{count} thing was listed", "{count} things were listed", swept.listed)
    text = reader.gettext("{things} in the account {account}, whosever they are, in {regions}.")
    return text.format(things=things, account=swept.account.id, regions=regions)


def _totals(reader: Reader, found: Iterable[Found]) -> Iterator[TotalLine]:
    things = list(found)
    for verdict in VERDICTS:
        if some := [each for each in things if each.verdict == verdict]:
            hour = usd_per_hour(some)
            yield TotalLine(
                verdict=verdict_name(reader, verdict),
                meaning=verdict_meaning(reader, verdict),
                count=reader.number(len(some)),
                hour=reader.usd(hour),
                month=reader.usd(hour * HOURS_PER_MONTH),
            )


def _lists(reader: Reader, looked: Looked, found: Iterable[Found]) -> Iterator[LeftList]:
    """Yield a list for each verdict, the dearest things first: they are what somebody looks for."""
    things = sorted(found, key=lambda each: -(each.listed.thing.usd_per_hour or 0.0))
    for verdict in VERDICTS:
        some = [each for each in things if each.verdict == verdict]
        if not some:
            continue
        hidden = len(some) - _LINES
        more = reader.ngettext("{count} more: filter them.", "{count} more: filter them.", hidden)
        yield LeftList(
            code=_CODES[verdict],
            title=verdict_name(reader, verdict),
            meaning=verdict_meaning(reader, verdict),
            caption=reader.ngettext("{count} thing", "{count} things", len(some)),
            lines=tuple(line(reader, looked, each) for each in some[:_LINES]),
            more=more if hidden > 0 else "",
            folded=verdict == "another's",
        )


def _kinds(reader: Reader, looked: Looked, kind: str) -> tuple[Choice, ...]:
    names = {each.listed.thing.kind for each in looked.swept.found} | ({kind} if kind else set())
    every = reader.gettext("all kinds")
    return _choices(every, names, kind, {name: said(reader, name).text for name in names})


def _choices(
    every: str, names: Iterable[str], chosen: str, labels: Mapping[str, str] | None = None
) -> tuple[Choice, ...]:
    """Return the choice of all and of each, none where there is nothing to choose from."""
    told = [
        Choice(value=each, label=(labels or {}).get(each, each), chosen=each == chosen)
        for each in sorted(names)
    ]
    return (Choice(value="", label=every, chosen=not chosen), *told) if told else ()
