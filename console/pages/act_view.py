"""An act in a reader's words: how it stands, how far each part is, what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from console.acts.spec import Down, Export, Launch, Resume, Stop, Sweep, Verify
from console.acts.sweeping import STACK as LEFTOVERS
from console.acts.watch import ActStatus, Place, Step
from console.estate import Standing
from console.pages import sweep_view
from console.web.visit import Visit
from console.words.reader import Reader
from console.words.said import problems, said
from fleet.policy import EVERY_TEAM
from fleet.run_store import team_of
from stacks import naming
from stacks.problems import Problem
from templates.console.act import ActView, Part
from templates.console.home import Tone
from templates.console.parts import Link
from templates.console.problem import Said

_TONES: dict[str, Tone] = {"working": "busy", "done": "good", "stopped": "plain"}
_LINES = 100
"""How much of what it has told is shown; the rest are resources of Terraform's, one like the other."""


def place_of(visit: Visit) -> Place:
    """Return where the console keeps its acts."""
    return Place(visit.services.settings, visit.services.database)


def teams_of(standing: Standing, found: ActStatus) -> tuple[str, ...]:
    """Return the teams whose act it is: the environment's, or of an act on a run the run's own."""
    act = found.act
    if not isinstance(act, Launch | Stop | Resume):
        return standing.teams or (EVERY_TEAM,)
    return (team_of(act.run) or next(iter(standing.teams), EVERY_TEAM),)


def sees(visit: Visit, standing: Standing, found: ActStatus) -> bool:
    """Return whether the act is the person's to see: what is done to another team's runs is not."""
    return any(visit.may("run.see", team) for team in teams_of(standing, found))


def line(reader: Reader, found: ActStatus) -> str:
    """Return the act in one line: what is done, and how it stands."""
    return f"{title(reader, found)}: {_state(reader, found)[0]}"


def title(reader: Reader, found: ActStatus) -> str:
    """Return what is being done, as the page is headed."""
    _, act = reader.gettext, found.act
    texts = {
        "up": _("Build {name}"),
        "down": _("Tear down {name}"),
        "extend": _("Extend the lease of {name}"),
        "launch": _("Train on {name}"),
        "stop": _("Stop a run on {name}"),
        "resume": _("Go on with a run on {name}"),
        "verify": _("Verify the whole record"),
        "export": _("Make an evidence pack"),
        "sweep": _("Delete what is left over"),
    }
    return texts[act.kind].format(name=act.environment)


def view(
    reader: Reader,
    found: ActStatus,
    steps: Sequence[Step],
    *,
    may: bool,
    form_token: str,
    put_away: bool = False,
) -> ActView:
    """Return the act as its page shows it; `may` is whether the reader may stop it and do it again."""
    act, over, path = found.act, not found.under_way, f"/acts/{found.id}"
    refused = problems(reader, (Problem(**each) for each in found.said.get("problems", ())))
    message = said(reader, found.said.get("message", ""))
    more = [Said(what=message.text, do="", language=message.language)] if message.text else []
    name, sentence = _state(reader, found)
    return ActView(
        state=name,
        tone=_tone(found),
        sentence=sentence,
        began=reader.moment(found.created_at),
        ended=reader.moment(found.ended_at) if found.ended_at else None,
        parts=tuple(_parts(reader, found, steps)),
        said=(*refused, *more),
        links=tuple(_links(reader, found)),
        results=sweep_view.results(reader, found.said) if isinstance(act, Sweep) else (),
        lines=tuple(step.event.text for step in reversed(steps[-_LINES:])),
        stop_path=f"{path}/stop" if may and not over else "",
        repeat_path=f"{path}/repeat" if may and over and found.state != "done" else "",
        put_away=put_away and over,
        form_token=form_token,
    )


def state_of(reader: Reader, found: ActStatus) -> tuple[str, Tone]:
    """Return what an act's state is called, and how it is shown."""
    return _state(reader, found)[0], _tone(found)


def _tone(found: ActStatus) -> Tone:
    if found.state == "done" and False in map(found.said.get, ("proven", "sound", "whole")):
        return "bad"
    return _TONES.get(found.state, "bad")


def _state(reader: Reader, found: ActStatus) -> tuple[str, str]:
    """Return the state's name and the sentence beside it."""
    _ = reader.gettext
    if found.state == "done" and found.said.get("sound") is False:
        return _("done"), _("Something in the record is wrong, or was changed: see what was found.")
    if found.state == "done" and found.said.get("proven") is False:
        return _("done"), _("It is torn down, but that nothing is left is not proven: the receipt says why.")
    if found.state == "done" and isinstance(found.act, Sweep):
        return _("done"), sweep_view.sentence(reader, found.said)
    return {
        "working": (_("at work"), _("It goes on by itself, also without this page.")),
        "done": (_("done"), ""),
        "refused": (_("refused"), _("What speaks against it:")),
        "failed": (_("failed"), _("What was done stays; done again, it goes on from there.")),
        "stopped": (_("stopped"), _("What was done stays; done again, it goes on from there.")),
        "lost": (
            _("cut off"),
            _("Its process was killed, so nobody knows how it ended. Done again, it goes on from there."),
        ),
    }[found.state]


def _parts(reader: Reader, found: ActStatus, steps: Sequence[Step]) -> Iterator[Part]:
    """Yield how far Terraform is in each stack, in the order in which they began."""
    _, name = reader.gettext, found.act.environment
    labels = {
        LEFTOVERS: _("What is left over"),
        "ledger": _("The ledger"),
        naming.ACCOUNT_STACK: _("What all environments share"),
        naming.base_stack(name): _("Network, keys and storage"),
        naming.fleet_stack(name): _("The machines"),
    }
    latest = {each.event.stack: each.event for each in steps if each.event.total}
    for stack, event in latest.items():
        done, total = reader.number(event.done), reader.number(event.total)
        yield Part(
            id=stack,
            label=labels.get(stack, stack),
            done=event.done,
            total=event.total,
            count=_("{done} of {total}").format(done=done, total=total),
            latest=event.text,
        )


def _links(reader: Reader, found: ActStatus) -> Iterator[Link]:
    """Yield where one goes from here: to the run, to the receipt, and to the environment."""
    _, act = reader.gettext, found.act
    if isinstance(act, Launch | Resume | Stop) and found.state == "done":
        yield Link(label=_("To the run"), href=f"/environments/{act.environment}/runs/{act.run}")
    if isinstance(act, Down) and found.said.get("receipt"):
        yield Link(label=_("To the receipt"), href=f"/receipts/{found.said['receipt']}")
    if isinstance(act, Verify):
        yield Link(label=_("To what was found"), href="/record/verify")
    elif isinstance(act, Export):
        yield Link(label=_("To the packs"), href="/record/export")
    elif isinstance(act, Sweep):
        yield Link(label=_("To the leftovers"), href="/leftovers")
    else:
        yield Link(label=_("To the environment"), href=f"/environments/{act.environment}")
