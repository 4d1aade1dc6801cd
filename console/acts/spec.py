"""Acts: what somebody can ask the console to do to the cloud, as values that a process can be given."""

from __future__ import annotations

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


class Stop(_Act):
    """End a run."""

    kind: Literal["stop"] = "stop"
    run: RunId


class Resume(_Act):
    """Go on with a run that has ended too early."""

    kind: Literal["resume"] = "resume"
    run: RunId


Act = Annotated[Up | Down | Launch | Stop | Resume, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[Act] = TypeAdapter(Act)
_VERBS: Mapping[str, Verb] = {
    "up": "environment.up",
    "down": "environment.down",
    "launch": "run.submit",
    "stop": "run.stop",
    "resume": "run.resume",
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

    A teardown goes on alone; only a run may be stopped meanwhile. Others wait for each other where they must.
    """
    kinds = {act.kind, other.kind}
    return "down" in kinds and "stop" not in kinds


def _words(act: Act) -> list[tuple[str, ...]]:
    match act:
        case Up():
            return [commands.build(act.environment)]
        case Down():
            return [commands.tear_down(act.environment, base=act.base, anyway=act.anyway)]
        case Stop():
            return [commands.stop_run(act.environment, act.run)]
        case Resume():
            return [commands.resume_run(act.environment, act.run)]
    submitted = commands.submit_recipe(
        act.environment, act.recipe, act.overrides, nodes=act.nodes, fleet=act.fleet, team=act.team,
        max_minutes=act.max_minutes,
    )  # fmt: skip
    return [*([commands.build(act.environment)] if act.build else []), submitted]
