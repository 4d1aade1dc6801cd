"""Acts: what somebody can ask the console to do to the cloud, as values that a process can be given."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fleet import commands
from fleet.policy import Verb

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
RunId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")]


class _Act(BaseModel):
    """What every act has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: Name


class Up(_Act):
    """Build the environment, or bring it up to what its file says."""

    kind: Literal["up"] = "up"


class Down(_Act):
    """Tear the environment down, and its base too where that is said."""

    kind: Literal["down"] = "down"
    base: bool = False
    anyway: str = ""
    """Why, in spite of what speaks against it; "" for not at all then."""


class Launch(_Act):
    """Train: build the environment first where that is said, then submit the recipe."""

    kind: Literal["launch"] = "launch"
    run: RunId
    """The run's id from the beginning, so that doing it again finds the run instead of starting another."""
    recipe: str
    overrides: tuple[str, ...] = ()
    """`key=value` settings of the recipe."""
    nodes: int = 1
    fleet: Name | None = None
    team: Name | None = None
    """Whose share it counts to; None for the environment's own team."""
    max_minutes: int = 24 * 60
    build: bool = False
    approved_by: str = ""
    """Who lets it go over the environment's budget; "" where it keeps to it."""


class Extend(_Act):
    """Put off the end of the environment's lease."""

    kind: Literal["extend"] = "extend"
    until: datetime.date
    """The new last day, in UTC."""
    reason: Annotated[str, Field(min_length=1, max_length=300)]


class Stop(_Act):
    """End a run."""

    kind: Literal["stop"] = "stop"
    run: RunId


class Resume(_Act):
    """Go on with a run that has ended too early."""

    kind: Literal["resume"] = "resume"
    run: RunId


class Check(_Act):
    """Look an upload through: what it holds, what of it is broken."""

    environment: Literal[""] = ""
    kind: Literal["check"] = "check"
    upload: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    data_kind: Literal["pictures", "table", "text"]


class Verify(_Act):
    """Verify the whole record: the ledger, and CloudTrail's files of the last days."""

    environment: Literal[""] = ""
    kind: Literal["verify"] = "verify"
    days: Annotated[int, Field(ge=1, le=366)] = 7


class Export(_Act):
    """Make an evidence pack of one environment, or of all."""

    environment: Literal[""] = ""
    kind: Literal["export"] = "export"
    scope: Annotated[str, Field(pattern=r"^([a-z][a-z0-9-]{1,39})?$")] = ""
    """The environment, "" for all of them."""
    since: datetime.date
    """First day, in UTC."""
    until: datetime.date
    """Last day, in UTC."""


class Sweep(_Act):
    """Delete what is left over in the account: of what was shown, what still is."""

    environment: Literal[""] = ""
    kind: Literal["sweep"] = "sweep"
    scope: Annotated[str, Field(max_length=256)] = ""
    """The environment whose things go alone, "" for those of all."""
    data: bool = False
    past_lease: bool = False
    shown: tuple[tuple[str, str, str], ...]
    """Kind, id and region of each thing that was shown as to be deleted."""


PACK_FILE = "pack.zip"
"""In the folder of an act that exports: what it has made."""
Act = Annotated[
    Up | Down | Extend | Launch | Stop | Resume | Check | Verify | Export | Sweep,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[Act] = TypeAdapter(Act)
_VERBS: Mapping[str, Verb] = {
    "up": "environment.up",
    "down": "environment.down",
    "extend": "lease.extend",
    "launch": "run.submit",
    "stop": "run.stop",
    "resume": "run.resume",
    "check": "data.upload",
    "verify": "record.verify",
    "export": "record.export",
    "sweep": "account.sweep",
}


def read_act(about: Mapping[str, Any]) -> Act:
    """Return the act that `to_dict` has described."""
    return _ADAPTER.validate_python(dict(about))


def to_dict(act: Act) -> dict[str, Any]:
    """Return the act as JSON has it."""
    return act.model_dump(mode="json")


def verb_of(act: Act) -> Verb:
    """Return what somebody must be allowed to do for it; a launch that builds needs `environment.up` too."""
    return _VERBS[act.kind]


def command_of(act: Act) -> str:
    """Return the command that does the same, a line for each where it takes several."""
    return "\n".join(commands.line(words) for words in _words(act))


def excludes(act: Act, other: Act) -> bool:
    """Return whether two acts on one environment are not to go on at the same time.

    A teardown goes on alone; only a run may be stopped meanwhile. So does a deletion of what is left over.
    Others wait for each other where they must.
    """
    kinds = {act.kind, other.kind}
    return kinds == {"sweep"} or ("down" in kinds and "stop" not in kinds)


def _words(act: Act) -> list[tuple[str, ...]]:
    match act:
        case Up():
            return [commands.build(act.environment)]
        case Down():
            return [commands.tear_down(act.environment, base=act.base, anyway=act.anyway)]
        case Extend():
            return [commands.extend_lease(act.environment, act.until, act.reason)]
        case Stop():
            return [commands.stop_run(act.environment, act.run)]
        case Resume():
            return [commands.resume_run(act.environment, act.run)]
        case Check():
            return [commands.check_data("FOLDER", act.data_kind)]
        case Verify():
            since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=act.days)
            return [commands.verify_ledger(), commands.verify_trail(f"{since:%Y-%m-%d}")]
        case Export():
            return [commands.export_pack(act.scope, str(act.since), str(act.until))]
        case Sweep():
            return [commands.sweep(act.scope, delete=True, data=act.data, past_lease=act.past_lease)]
    submitted = commands.submit_recipe(
        act.environment, act.recipe, act.overrides, nodes=act.nodes, fleet=act.fleet, team=act.team,
        max_minutes=act.max_minutes,
    )  # fmt: skip
    return [*([commands.build(act.environment)] if act.build else []), submitted]
