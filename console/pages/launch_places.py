"""Where one can train, as the first step of a launch shows it, and a new environment as it is filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from console import launches
from console.estate import Standing
from console.launch_place import region_of
from console.launches import LaunchDraft
from console.pages import launch_seen
from console.pages.launch_seen import PLACE, REVIEW, step_path
from console.web.visit import Visit
from console.words.reader import Reader
from fleet import commands
from fleet.policy import EVERY_TEAM, teams_of
from fleet.starters import starters
from stacks.setting_forms import EMAIL_PATTERN
from templates.console.home import Tone
from templates.console.launch import LaunchPage, PlaceLine, StarterLine, Unfinished
from templates.console.parts import Choice, Field, Link
from templates.console.problem import Said

_EMPTY = Field()


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What somebody has filled in for a new environment, and what is wrong with it."""

    starter: str = ""
    name: Field = _EMPTY
    team: Field = _EMPTY
    owner: Field = _EMPTY
    said: tuple[Said, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether something is wrong with it."""
        return bool(self.said or self.name.fault or self.team.fault or self.owner.fault)


def stands(standing: Standing) -> bool:
    """Return whether an environment's machines are built, as far as it is known."""
    return standing.glance is not None and standing.glance.stands


def page(visit: Visit, draft: LaunchDraft | None, filled: Filled, chosen: str) -> LaunchPage:
    """Return the first step's page; `chosen` is the environment that is marked, "" for none."""
    _, reader = visit.reader.gettext, visit.reader
    places = tuple(_places(visit, chosen))
    grants = visit.person.grants
    building = sorted(teams_of(grants, "environment.up") & teams_of(grants, "run.submit"))
    offered = tuple(_starters(visit, filled.starter)) if building else ()
    return LaunchPage(
        frame=visit.frame(
            _("Launch a training"), command=commands.line(commands.declare("NAME")) if offered else ""
        ),
        steps=launch_seen.steps(reader, draft, PLACE),
        here=step_path(draft, PLACE) if draft else "/launch",
        places=places,
        starters=offered,
        teams_hint=_teams_hint(reader, building),
        name=filled.name,
        team=_else(filled.team, next((team for team in building if team != EVERY_TEAM), "")),
        owner=_else(filled.owner, _address(visit)),
        said=filled.said,
        unfinished=tuple(_unfinished(visit)) if draft is None else (),
        first=None if places or offered else Link(label=_("To the environments"), href="/"),
        style=launch_seen.style(),
    )


def _else(field: Field, value: str) -> Field:
    """Return the field as it was filled in, else with a value to begin with."""
    return field if field.value or field.fault else Field(value=value)


def _teams_hint(reader: Reader, teams: Sequence[str]) -> str:
    if EVERY_TEAM in teams:
        return reader.gettext("You may build for every team.")
    return reader.gettext("You may build for: {teams}").format(teams=", ".join(teams))


def _address(visit: Visit) -> str:
    """Return the person's e-mail address, where that is what they sign in with."""
    return visit.person.subject if re.fullmatch(EMAIL_PATTERN, visit.person.subject) else ""


def _places(visit: Visit, chosen: str) -> Iterator[PlaceLine]:
    """Yield the environments in which the person may train; one that is not built, who may build it too."""
    for standing in visit.services.estate.all():
        mine = [team for team in standing.teams if visit.may("run.submit", team)]
        if standing.spec is None or not mine:
            continue
        if stands(standing) or visit.may("environment.up", standing.spec.team):
            state, tone, notes = _state(visit.reader, standing)
            several = len(mine) > 1
            yield PlaceLine(
                name=standing.name,
                state=state,
                tone=tone,
                notes=notes,
                teams=tuple(_choice(team, mine[0]) for team in mine) if several else (),
                chosen=standing.name == chosen,
            )


def _choice(team: str, first: str) -> Choice:
    return Choice(value=team, label=team, chosen=team == first)


def _state(reader: Reader, standing: Standing) -> tuple[str, Tone, tuple[str, ...]]:
    """Return how an environment stands, in a word and in some more."""
    _, glance = reader.gettext, standing.glance
    if glance is None:
        return _("not known"), "bad", (_("The cloud did not say how it stands."),)
    if not glance.stands:
        return _("not built"), "plain", (_("It is built when the launch is started."),)
    idle = reader.ngettext("{count} GPU idle", "{count} GPUs idle", glance.machines.idle_gpus)
    notes = (idle, _("{usd} an hour now").format(usd=reader.usd(glance.usd_per_hour)))
    return (_("busy"), "busy", notes) if glance.machines.busy else (_("ready"), "good", notes)


def _starters(visit: Visit, chosen: str) -> Iterator[StarterLine]:
    _, reader, project = visit.reader.gettext, visit.reader, visit.services.settings.project
    region = region_of(project)
    for number, starter in enumerate(starters(project)):
        words = starter.words(reader.language)
        least, most = (starter.usd_per_hour(region, grown=grown) for grown in (False, True))
        text = _("{least} an hour, {most} with all of its machines")
        yield StarterLine(
            value=starter.name,
            title=words.title,
            text=words.text,
            price=text.format(least=reader.usd(least), most=reader.usd(most)),
            chosen=starter.name == chosen or (not chosen and not number),
        )


def _unfinished(visit: Visit) -> Iterator[Unfinished]:
    """Yield what the person has begun, each by where it goes on."""
    _, reader = visit.reader.gettext, visit.reader
    with visit.services.database.reading() as database:
        drafts = launches.unfinished(database, visit.person.id)
    for draft in drafts:
        what = launch_seen.want_title(reader, draft.want).text if draft.want else _("A training")
        when = reader.moment(draft.changed).shown
        yield Unfinished(
            about=_("{what} on {name}, begun {when}").format(what=what, name=draft.environment, when=when),
            href=step_path(draft, REVIEW),
            discard=f"/launch/{draft.id}/discard",
        )
