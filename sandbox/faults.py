"""Faults on purpose: rules that make calls fail, wait, lose their answer or their caller. docs/faults.md."""

from __future__ import annotations

import random
import threading
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from sandbox.calls import Call
from sandbox.fault_codes import Refusal, server_error, throttling

ANY = "*"
CALLERS = (ANY, "command", "terraform", "role")
"""Who a rule may be about, as `Call.caller` tells them apart."""
KILLS = ("", "process", "group")
"""Whom a rule may kill: nobody, the process that called, that process with its process group."""
BY_SERVICE = {"throttling": throttling, "server-error": server_error}
"""Kinds whose error every service has another name for."""


@dataclass(kw_only=True)
class Fault:
    """One rule; the first rule that matches a call decides over it."""

    kind: str = ""
    """What it was made from (`sandbox/fault_kinds.py`), "" for a rule of its own."""
    service: str = ANY
    """Name of the API model (`s3`, `ec2`), or `*`."""
    action: str = ANY
    """Name of the action (`PutObject`), or a pattern of names (`Delete*`)."""
    resource: str = ""
    """Text that must occur in what the call is about (a bucket or key, a parameter's value)."""
    caller: str = ANY
    """One of CALLERS: `command` is whoever has the owner's keys and is not Terraform."""
    code: str = ""
    """The service's error code; "" refuses nothing, unless the kind has its own for each service."""
    message: str = "injected by the embedded cloud"
    status: int = 400
    """HTTP status; 500 and above make clients try again."""
    count: int | None = None
    """How many calls it hits before it is spent; None for ever."""
    skip: int = 0
    """How many matching calls pass before the first is hit."""
    probability: float = 1.0
    """Share of the matching calls that it hits, drawn from `seed`."""
    seed: int = 0
    delay_s: float = 0.0
    """Seconds that a hit call waits first."""
    after: bool = False
    """Make the call, then refuse, cut or kill: what a lost answer looks like."""
    cut: bool = False
    """Close the connection without an answer."""
    kill: str = ""
    """One of KILLS: who at the other end of the connection is ended by SIGKILL."""
    machine: str = ""
    """The machine that is hit: an instance's id, or in an environment its name in Slurm, or `head`."""
    environment: str = ""
    """The machine's environment, where it is named by anything but its id."""
    notice_s: float = 120.0
    """Seconds between an interruption's notice and the machine's end."""
    id: int = 0
    """Its number; given by the cloud."""
    hits: int = 0
    """How many calls it has hit; kept by the cloud."""
    killed: list[int] = field(default_factory=list)
    """The processes that it has ended; kept by the cloud."""
    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a reproducible draw, not a secret

    @property
    def breaks(self) -> bool:
        """Whether a hit call gets no answer at all."""
        return self.cut or bool(self.kill)

    @property
    def at_once(self) -> bool:
        """Whether it hits its machine when it is set, and not at a call."""
        selects = (self.service, self.action, self.resource, self.caller, self.skip)
        return bool(self.machine) and selects == (ANY, ANY, "", ANY, 0)

    def refusal(self, service: str) -> Refusal | None:
        """Return the error that a hit call of the service is answered with, None where it gets its answer."""
        if self.code:
            return Refusal(self.code, self.message, self.status)
        return BY_SERVICE[self.kind](service, self.message) if self.kind in BY_SERVICE else None

    def strikes(self, call: Call) -> bool:
        """Return whether this call is hit, counting it."""
        if self.at_once or self.service not in (ANY, call.service) or self.caller not in (ANY, call.caller):
            return False
        if not fnmatchcase(call.action, self.action) or self.resource not in call.text:
            return False
        if self.count is not None and self.hits >= self.count:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self._random.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def describe(self) -> dict[str, Any]:
        """Return the rule as JSON values."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


class Effect(Protocol):
    """What a kind of fault does to a machine; both raise ValueError where it can't be done."""

    def begin(self, rule: Fault) -> None:
        """Do it."""

    def end(self, rule: Fault) -> None:
        """Undo it, where it can be undone: the rule is withdrawn."""


class Faults:
    """The rules in force, in the order in which they were added."""

    def __init__(self) -> None:
        self.effects: dict[str, Effect] = {}
        """By kind; extensions add theirs."""
        self._rules: list[Fault] = []
        self._lock = threading.Lock()
        self._last = 0

    def add(self, rule: Fault) -> None:
        """Put a rule in force. Raises ValueError where the machine that it is to hit can't be hit."""
        with self._lock:
            self._last += 1
            rule.id = self._last
        if rule.at_once:
            self.act(rule)
            rule.hits += 1
        with self._lock:
            self._rules.append(rule)

    def clear(self, number: int | None = None) -> None:
        """Withdraw the rule of that number, or all. Raises ValueError where there is none of it."""
        with self._lock:
            gone = [rule for rule in self._rules if number in (None, rule.id)]
            self._rules = [rule for rule in self._rules if rule not in gone]
        if number is not None and not gone:
            raise ValueError(f"there is no fault {number}")
        for rule in gone:
            if rule.hits and (effect := self.effects.get(rule.kind)):
                effect.end(rule)

    def strike(self, call: Call, *, refusing: bool = False) -> Fault | None:
        """Return the rule that hits this call, or None; with `refusing` of those rules that refuse."""
        with self._lock:
            rules = [rule for rule in self._rules if not refusing or rule.refusal(call.service)]
            return next((rule for rule in rules if rule.strikes(call)), None)

    def act(self, rule: Fault) -> None:
        """Do to the rule's machine what its kind does, if it does anything to machines."""
        if effect := self.effects.get(rule.kind):
            effect.begin(rule)

    def describe(self) -> list[dict[str, Any]]:
        """Return the rules and how often each has hit."""
        with self._lock:
            return [rule.describe() for rule in self._rules]
