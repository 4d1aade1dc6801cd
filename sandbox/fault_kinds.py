"""The kinds of faults, and the strict reading of a rule: whatever is wrong with it is told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from botocore.session import get_session
from moto.core.utils import get_service_model

from sandbox.faults import ANY, BY_SERVICE, CALLERS, KILLS, Fault


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A fault by its name: what a rule of the kind has where it says nothing else."""

    about: str
    rule: Mapping[str, object] = field(default_factory=dict)
    hits_machine: bool = False
    """Whether it hits a machine and not a call."""
    fixed: frozenset[str] = frozenset()
    """Fields of `rule` that may not be said otherwise."""


_NO_ROOM = "We currently do not have sufficient capacity of that instance type in the Availability Zone."
_IN_USE = "The resource has a dependent object and cannot be deleted."
_ONCE = {"count": 1}
KINDS: dict[str, Kind] = {
    "throttling": Kind(about="refuses as too many calls, in each service's own words"),
    "server-error": Kind(about="answers with HTTP 500, in each service's own words"),
    "no-capacity": Kind(
        about="EC2 has no machine of that type left",
        # HTTP 500: EC2 counts it among its server errors.
        rule={
            "service": "ec2", "action": "RunInstances", "code": "InsufficientInstanceCapacity", "status": 500,
            "message": _NO_ROOM,
        },
        fixed=frozenset({"service", "code"}),
    ),
    "dependency-violation": Kind(
        about="EC2 does not delete what something else still uses",
        rule={
            "service": "ec2", "action": "Delete*", "code": "DependencyViolation", "status": 400,
            "message": _IN_USE,
        },
        fixed=frozenset({"service", "code"}),
    ),
    "slow": Kind(about="answers late", rule={"delay_s": 5.0}),
    "cut": Kind(about="closes the connection, with no answer", rule={"cut": True}, fixed=frozenset({"cut"})),
    "kill": Kind(about="ends the process that called, by SIGKILL", rule={"kill": "process"}),
    "interruption": Kind(about="takes a spot machine back, with EC2's notice", rule=_ONCE, hits_machine=True),
    "power-loss": Kind(about="takes a machine's power away", rule=_ONCE, hits_machine=True),
    "disk-full": Kind(about="lets nothing on a machine write to a file", rule=_ONCE, hits_machine=True),
}  # fmt: skip
"""Every kind by its name."""


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong with a rule."""

    path: str
    """The field."""
    what: str
    do: str


class RuleError(ValueError):
    """A rule that is refused, with all that is wrong with it."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(f"{each.path}: {each.what}" for each in self.mistakes))

    def to_dict(self) -> dict[str, Any]:
        """Return it as the cloud answers it."""
        return {"error": str(self), "problems": [asdict(each) for each in self.mistakes]}


_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("kind", "service", "action", "resource", "caller", "code", "message"), (str,)),
    **dict.fromkeys(("kill", "machine", "environment"), (str,)),
    **dict.fromkeys(("status", "skip", "seed"), (int,)),
    **dict.fromkeys(("probability", "delay_s", "notice_s"), (int, float)),
    **dict.fromkeys(("after", "cut"), (bool,)),
    "count": (int, type(None)),
}
"""The fields that a rule may have, and what each is."""
_RANGES: dict[str, tuple[float, float]] = {
    "status": (400, 599),
    "count": (1, 1_000_000),
    "skip": (0, 1_000_000),
    "probability": (0.0, 1.0),
    "delay_s": (0.0, 3600.0),
    "notice_s": (0.0, 3600.0),
}


def read_rule(values: object) -> Fault:
    """Return the rule that an object of JSON describes. Raises RuleError with everything wrong with it."""
    if not isinstance(values, dict):
        raise RuleError([Mistake("", "a fault is a JSON object", "send one, docs/faults.md has examples")])
    if mistakes := [*_wrong_fields(values)]:
        raise RuleError(mistakes)  # what a value means can't be judged before it is one
    kind = KINDS.get(str(values.get("kind", "")))
    rule = Fault(**{**(kind.rule if kind else {}), **values})
    if mistakes := [*_wrong_names(rule), *_wrong_together(rule, kind, values)]:
        raise RuleError(mistakes)
    return rule


def _wrong_fields(values: Mapping[str, object]) -> Iterator[Mistake]:
    """Yield the fields that there are not, and the values that are none."""
    for name, value in values.items():
        if name not in _TYPES:
            yield Mistake(str(name), "there is no such field", _perhaps(str(name), _TYPES))
        elif not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and bool not in _TYPES[name]):
            wanted = " or ".join(each.__name__ for each in _TYPES[name]).replace("NoneType", "null")
            yield Mistake(name, f"{value!r} is no {wanted}", f"give it as {wanted}")
        elif name in _RANGES and value is not None:
            low, high = _RANGES[name]
            assert isinstance(value, int | float), "its type was looked at"
            if not low <= value <= high:
                yield Mistake(name, f"{value} is not between {low:g} and {high:g}", "choose one in between")
    if (kind := values.get("kind", "")) != "" and isinstance(kind, str) and kind not in KINDS:
        yield Mistake("kind", f"there is no kind {kind!r}", _perhaps(kind, KINDS))


def _wrong_names(rule: Fault) -> Iterator[Mistake]:
    """Yield the names that nothing has: of services, actions, callers, processes to kill."""
    for name, value, known in (("caller", rule.caller, CALLERS), ("kill", rule.kill, KILLS)):
        if value not in known:
            yield Mistake(name, f"{value!r} is none", _perhaps(value, known))
    if rule.service != ANY and rule.service not in _services():
        yield Mistake("service", f"there is no service {rule.service!r}", _perhaps(rule.service, _services()))
    elif rule.service != ANY:
        actions = _actions(rule.service)
        if not any(fnmatchcase(each, rule.action) for each in actions):
            what = f"{rule.service} has no action {rule.action!r}"
            yield Mistake("action", what, _perhaps(rule.action, actions))
    elif rule.action != ANY:
        yield Mistake("action", f"{rule.action!r} is of no service", "name its service too")


def _wrong_together(rule: Fault, kind: Kind | None, values: Mapping[str, object]) -> Iterator[Mistake]:
    """Yield what does not go together, and what would have no effect."""
    for name in sorted(kind.fixed & set(values) if kind else ()):
        if kind and values[name] != kind.rule[name]:
            yield Mistake(name, f"a fault of the kind {rule.kind} has {kind.rule[name]!r}", "leave it out")
    hits_machine = kind is not None and kind.hits_machine
    if hits_machine and not rule.machine:
        yield Mistake("machine", f"{rule.kind} hits a machine", "name it, by its instance's id")
    if not hits_machine:
        for name in ("machine", "environment", "notice_s"):
            if name in values:
                yield Mistake(name, "only faults of machines have one", "leave it out")
    refuses = bool(rule.code) or rule.kind in BY_SERVICE
    if not (refuses or rule.breaks or rule.delay_s or hits_machine):
        yield Mistake("kind", "the rule would do nothing", f"name a kind ({', '.join(KINDS)}), or a code")
    if rule.after and not (refuses or rule.breaks):
        yield Mistake("after", "there is nothing to do after the call", "leave it out")
    if rule.probability == 0.0:
        yield Mistake("probability", "it would never hit", "give more than 0")


def _perhaps(name: str, known: Iterable[str]) -> str:
    """Return what to do about a name that there is not."""
    names = [each for each in known if each]
    near = difflib.get_close_matches(name, names, n=1)
    return f"perhaps {near[0]!r} is meant" if near else f"choose from {', '.join(names[:20])}"


@lru_cache(maxsize=1)
def _services() -> tuple[str, ...]:
    """Return the names of all services' models."""
    return tuple(get_session().get_available_services())


@lru_cache(maxsize=32)
def _actions(service: str) -> tuple[str, ...]:
    """Return the names of a service's actions."""
    return tuple(get_service_model(service).operation_names)
