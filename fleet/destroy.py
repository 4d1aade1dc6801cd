"""Destroying a stack until it is gone: what holds it is cleared or waited for, and the destroy repeated.

The provider waits by itself for what hangs on a thing, for some resources a quarter of an hour and more, and
then fails. So what holds is looked for while it waits, and again where it has failed. The cloud's own
listings tell; only what is provably the environment's is touched (`fleet/holders/holder.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from fleet import aws
from fleet.destroy_failures import Failure, classify
from fleet.errors import ActError
from fleet.holders.find import FINDERS, find_holders
from fleet.holders.holder import Holder, Teardown
from fleet.session import Session
from fleet.terraform import Stack
from fleet.terraform_events import Diagnostic, ProgressEvent, Report, TerraformError
from fleet.terraform_state import StateResource

_MAY_NOT = ("AccessDenied", "UnauthorizedOperation", "OperationNotPermitted")
"""Codes, or parts of them, of a refusal that waiting does not mend."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a destroy is tried; seconds."""

    all_in_all: float = 60 * 60.0
    """From the first failure on: Lambda's interfaces take 40 minutes, a file system up to 30."""
    pause: float = 3.0
    longest_pause: float = 30.0
    unexplained: int = 6
    """Repeats in a row where the listings show nothing that holds it: they lag, and a cloud may be busy."""
    first_look: float = 20.0
    """How long the provider waits for one resource before its holders are looked for."""
    look_every: float = 15.0


class HeldError(ActError):
    """Something keeps a stack from being destroyed that only a person can decide on, or for too long."""

    def __init__(self, stack: str, holders: Sequence[Holder], *, waited: bool) -> None:
        """Make the error that names each of them."""
        self.stack, self.holders = stack, tuple(holders)
        why = (
            "is still held after all the time there is"
            if waited
            else "is held by what is not known to be its own"
        )
        lines = [f"{stack} {why}:", *(f"    {each}" for each in holders)]
        super().__init__(
            "\n".join([*lines, "    what was destroyed stays so; the same command goes on from here"])
        )


class Clearing:
    """Looks for what holds the resources of one stack, clears it, and says what is waited for."""

    def __init__(self, teardown: Teardown, report: Report, stack: str, patience: Patience) -> None:
        """Prepare for one stack; contacts nothing yet."""
        self.teardown, self.stack = teardown, stack
        self._report, self._patience = report, patience
        self._looked = 0.0
        self._told: frozenset[str] = frozenset()

    def watch(self, event: ProgressEvent) -> None:
        """Pass progress on; where Terraform waits long for a resource to go, clear what holds it."""
        self._report(event)
        waits = event.kind == "working" and event.action == "delete"
        if not waits or event.seconds < self._patience.first_look:
            return
        if time.monotonic() < self._looked + self._patience.look_every:
            return
        self._looked = time.monotonic()
        self.ease([each for each in self.teardown.resources if each.address == event.address])

    def ease(self, resources: Collection[StateResource]) -> list[Holder]:
        """Clear what holds these resources and can be cleared; return all that still held them then."""
        try:
            found = find_holders(self.teardown, resources)
        except Exception as error:
            if not aws.is_cloud_error(error):
                raise
            self.tell(f"nobody could look what holds it: {str(error).splitlines()[0]}")
            return []
        found = [self._clear(each) if each.clear else each for each in found]
        waiting = [each for each in found if each.fate != "clear"]
        names = frozenset(f"{each.kind} {each.id}" for each in waiting)
        if waiting and names != self._told:
            more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
            self.tell(f"waiting for {waiting[0]}{more}")
        self._told = names
        return found

    def _clear(self, holder: Holder) -> Holder:
        """Clear it; return it as it is then."""
        assert holder.clear is not None, holder
        try:
            holder.clear()
        except Exception as error:
            if not (aws.is_cloud_error(error) or isinstance(error, ActError)):
                raise
            code, said = aws.error_code(error), str(error).splitlines()[0]
            if "NotFound" in code or "NoSuch" in code:
                return holder
            final = isinstance(error, ActError) or any(part in code for part in _MAY_NOT)
            return replace(holder, fate="stop" if final else "wait", why=said)
        self.tell(f"cleared {holder}")
        return holder

    def tell(self, text: str) -> None:
        """Say something of this stack."""
        self._report(ProgressEvent(kind="note", stack=self.stack, text=f"{self.stack}: {text}"))


def destroy(
    session: Session,
    stack: Stack,
    stacks: Collection[str],
    read: Callable[[], Sequence[StateResource]],
    patience: Patience | None = None,
) -> None:
    """Destroy the stack; what holds it is cleared or waited for, and the destroy repeated, within a deadline.

    `stacks` are all that this teardown destroys, `read` returns what the state holds at the moment. Raises
    TerraformError for what no repetition mends, HeldError for what is not ours or did not go in time.
    """
    chosen = patience or Patience()
    deadline, unexplained = float("inf"), 0
    while True:
        resources = tuple(read())
        clearing = _clearing(session, stack, stacks, resources, chosen)
        try:
            replace(stack, report=clearing.watch).destroy()
            return
        except TerraformError as error:
            failure = classify(error.diagnostics)
            if failure.final:
                raise
            deadline = min(deadline, time.monotonic() + chosen.all_in_all)
            clearing = _clearing(session, stack, stacks, tuple(read()), chosen)
            explained = _until_free(clearing, failure, deadline, chosen)
            unexplained = 0 if explained else unexplained + 1
            if unexplained > chosen.unexplained or time.monotonic() > deadline:
                raise
            if not explained:
                pause = min(chosen.pause * 2**unexplained, 2 * chosen.longest_pause)
                clearing.tell(f"{_in_short(error.diagnostics)}; trying again in {pause:.0f} s")
                time.sleep(pause)


def _clearing(
    session: Session,
    stack: Stack,
    stacks: Collection[str],
    resources: Sequence[StateResource],
    chosen: Patience,
) -> Clearing:
    def tell(text: str) -> None:
        stack.report(ProgressEvent(kind="note", stack=stack.name, text=text))

    return Clearing(Teardown(session, stacks, resources, tell), stack.report, stack.name, chosen)


def _until_free(clearing: Clearing, failure: Failure, deadline: float, patience: Patience) -> bool:
    """Clear and wait until nothing holds what could not be destroyed; return whether anything did.

    Raises HeldError.
    """
    held, pause, explained = _named(clearing.teardown.resources, failure.held), patience.pause, False
    while found := clearing.ease(held):
        explained = True
        if stuck := [each for each in found if each.fate == "stop"]:
            raise HeldError(clearing.stack, stuck, waited=False)
        if time.monotonic() > deadline:
            raise HeldError(clearing.stack, found, waited=True)
        time.sleep(pause)
        pause = min(pause * 1.5, patience.longest_pause)
    return explained


def _named(resources: Iterable[StateResource], errors: Iterable[Diagnostic]) -> list[StateResource]:
    """Return the resources that the errors are about; where they name none, all that something can hold."""
    there, addresses = list(resources), {each.address for each in errors}
    named = [each for each in there if each.address in addresses]
    return named or [each for each in there if addresses and each.kind in FINDERS]


def _in_short(errors: Sequence[Diagnostic]) -> str:
    more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{errors[0].summary.splitlines()[0]}{more}"
