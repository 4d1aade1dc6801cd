"""What hangs on a thing that is to be destroyed, what becomes of it, and whose it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from fleet.listings.things import Look, Thing, tags_of
from fleet.orphans.removals import REMOVALS
from fleet.session import Session
from fleet.sweep import look_of
from fleet.terraform_state import StateResource
from stacks import naming

Fate = Literal["clear", "wait", "stop"]
"""It can be cleared, it goes by itself, or only a person can say."""
_SAY_NOTHING = frozenset({"Name"})
"""Tags that tell of no owner."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """One thing that keeps another from being destroyed."""

    kind: str
    """In plain words, as the sweep has it: "network interface"."""
    id: str
    on: str
    """What it hangs on: "security group sg-1"."""
    why: str
    """What it is, or waits for, or what a person can do."""
    fate: Fate
    clear: Callable[[], object] | None = field(default=None, compare=False, repr=False)
    """Clears it, or begins to; of what can be cleared."""

    def __str__(self) -> str:
        return f"{self.kind} {self.id} on {self.on}: {self.why}"


@dataclass(frozen=True)
class Teardown:
    """A stack of an environment that is being destroyed, and what is known to be its own."""

    session: Session
    stacks: Collection[str]
    """The stacks that this teardown destroys."""
    resources: Collection[StateResource]
    """What the state of the stack at work holds: Terraform's to destroy, not ours."""
    tell: Callable[[str], None] = field(default=lambda text: None)
    """Hears of what takes long."""

    @cached_property
    def managed(self) -> frozenset[str]:
        """The ids of what Terraform destroys itself."""
        return frozenset(each.id for each in self.resources)

    @cached_property
    def own_networks(self) -> frozenset[str]:
        """The ids of the VPCs that go with the stack: nothing in them can outlast it."""
        return frozenset(each.id for each in self.resources if each.kind == "aws_vpc")

    @cached_property
    def look(self) -> Look:
        """What the listings take; its clients are made once."""
        return look_of(self.session)

    def client(self, service: str) -> Any:
        """Return a client for the service in the environment's region."""
        return self.look.client(service)

    def is_ours(self, item: Mapping[str, Any], *, inside: bool = False) -> bool:
        """Return whether a listed thing is provably the environment's.

        By its tag; or, with `inside` (it lies within what goes), where no tag of it tells of another owner.
        """
        tags = tags_of(item)
        tagged = tags.get(naming.TAG_ENVIRONMENT)
        return tagged == self.session.spec.name if tagged else inside and not set(tags) - _SAY_NOTHING

    def goes(self, item: Mapping[str, Any]) -> bool:
        """Return whether a listed thing of worth goes with this teardown: by its tags, both of them.

        What has the environment's tag and no stack's was made by hand, and a teardown leaves it.
        """
        tags = tags_of(item)
        of_environment = tags.get(naming.TAG_ENVIRONMENT) == self.session.spec.name
        return of_environment and tags.get(naming.TAG_STACK) in self.stacks

    def removal(self, thing: Thing) -> Callable[[], object]:
        """Return what deletes the thing."""
        return lambda: REMOVALS[thing.kind](self.look.client, thing)
