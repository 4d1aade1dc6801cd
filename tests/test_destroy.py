"""A destroy is repeated until nothing holds the stack, or it is told what does; nothing else is repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet import destroy as destroying
from fleet.cloud import Cloud
from fleet.destroy import HeldError, Patience, destroy
from fleet.errors import ActError
from fleet.holders.holder import Holder
from fleet.terraform_events import Diagnostic, ProgressEvent, Report, TerraformError, quiet
from fleet.terraform_state import StateResource
from tests.teardown_parts import open_own

GROUP = StateResource(address="aws_security_group.nodes", kind="aws_security_group", id="sg-1")
KEY = StateResource(address="aws_kms_key.main", kind="aws_kms_key", id="key-1")
QUICK = Patience(all_in_all=5.0, pause=0.0, longest_pause=0.0, unexplained=2, first_look=0.0, look_every=0.0)


def failed(text: str, address: str = GROUP.address) -> TerraformError:
    errors = (Diagnostic(severity="error", summary=text, address=address),)
    return TerraformError("e-base", "destroy", errors)


HELD = failed(
    "deleting Security Group (sg-1): api error DependencyViolation: resource sg-1 has a dependent object"
)
BUSY = failed("deleting Security Group (sg-1): api error RequestLimitExceeded: Request limit exceeded.")
DENIED = failed("deleting Security Group (sg-1): api error UnauthorizedOperation: no")


@dataclass
class Terraform:
    """A stack whose destroy answers one thing after the other, and then succeeds."""

    answers: list[Exception | ProgressEvent]
    report: Report = quiet
    name: str = "e-base"
    calls: list[int] = field(default_factory=list)

    def destroy(self) -> None:
        self.calls.append(1)
        while self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            self.report(answer)


@dataclass
class Cloudlike:
    """What the listings tell, look by look; the last one for ever."""

    looks: list[list[Holder] | Exception]
    asked: list[list[str]] = field(default_factory=list)

    def __call__(self, teardown: Any, resources: Any) -> list[Holder]:
        self.asked.append([each.address for each in resources])
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(found, Exception):
            raise found
        return found


def holder(identity: str, fate: Any, clear: Callable[[], object] | None = None) -> Holder:
    return Holder(kind="network interface", id=identity, on="sg-1", why="x", fate=fate, clear=clear)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]) -> Any:
    """Return a destroy of a stack that answers so, in a cloud whose listings tell so; it returns that."""
    session = open_own(Cloud("none", {}), tmp_path)

    def destroyed(answers: list[Any], looks: list[Any], patience: Patience = QUICK) -> Cloudlike:
        cloud = Cloudlike(looks)
        monkeypatch.setattr(destroying, "find_holders", cloud)
        stack: Any = Terraform(answers, lambda event: told.append(event.text))
        destroy(session, stack, ("e-base",), lambda: [GROUP, KEY], patience)
        return cloud

    return destroyed


def test_what_holds_is_cleared_and_the_destroy_repeated(run: Any, told: list[str]) -> None:
    cleared: list[str] = []
    clearable = holder("eni-1", "clear", lambda: cleared.append("eni-1"))
    cloud = run([HELD], [[clearable], []])
    assert cleared == ["eni-1"] and cloud.asked == [[GROUP.address]] * 2
    assert told == ["e-base: cleared network interface eni-1 on sg-1: x"]


def test_what_goes_by_itself_is_waited_for_and_said_once(run: Any, told: list[str]) -> None:
    waits = holder("eni-1", "wait")
    cloud = run([HELD], [[waits, holder("eni-2", "wait")], [waits], [waits], []])
    assert len(cloud.asked) == 4
    assert told == [
        "e-base: waiting for network interface eni-1 on sg-1: x and 1 more",
        "e-base: waiting for network interface eni-1 on sg-1: x",
    ]


def test_what_is_not_ours_ends_it_at_once_with_its_name_and_after_the_rest_was_cleared(
    run: Any, told: list[str]
) -> None:
    cleared: list[str] = []
    ours = holder("eni-1", "clear", lambda: cleared.append("eni-1"))
    with pytest.raises(
        HeldError, match=r"e-base is held by what is not known(.|\n)*eni-2(.|\n)*goes on from here"
    ):
        run([HELD], [[ours, holder("eni-2", "stop")]])
    assert cleared == ["eni-1"]


def test_after_all_the_time_there_is_it_ends_with_what_still_holds(run: Any) -> None:
    patience = Patience(all_in_all=0.0, pause=0.0)
    with pytest.raises(HeldError, match=r"still held after all the time(.|\n)*eni-1"):
        run([HELD], [[holder("eni-1", "wait")]], patience)


def test_a_busy_cloud_is_tried_again_and_a_refusal_without_a_cause_too_but_not_for_ever(
    run: Any, told: list[str]
) -> None:
    run([BUSY, HELD], [[]])
    assert [text.partition(": ")[2][:30] for text in told] == ["deleting Security Group (sg-1)"] * 2
    assert all("trying again in" in text for text in told)
    with pytest.raises(TerraformError, match="DependencyViolation"):
        run([HELD] * 9, [[]])


def test_what_no_repetition_mends_is_not_repeated(run: Any) -> None:
    with pytest.raises(TerraformError, match="UnauthorizedOperation"):
        run([DENIED], [AssertionError("nobody looks")])


def test_while_terraform_waits_for_a_resource_what_holds_it_is_cleared(run: Any, told: list[str]) -> None:
    cleared: list[str] = []
    waiting = ProgressEvent(
        kind="working", stack="e-base", text="still", address=GROUP.address, action="delete", seconds=30
    )
    making = ProgressEvent(
        kind="working", stack="e-base", text="making", address=KEY.address, action="create", seconds=30
    )
    cloud = run([making, waiting], [[holder("eni-1", "clear", lambda: cleared.append("eni-1"))]])
    assert cleared == ["eni-1"] and cloud.asked == [[GROUP.address]]
    assert told[:2] == ["making", "still"], "and its progress is passed on"


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DeleteNetworkInterface")


@pytest.mark.parametrize(
    ("error", "then"),
    [
        (refusal("UnauthorizedOperation"), "stop"),
        (ActError("3 versions are locked"), "stop"),
        (refusal("RequestLimitExceeded"), "wait"),
        (refusal("InvalidNetworkInterfaceID.NotFound"), "clear"),
    ],
)
def test_what_cannot_be_cleared_is_waited_for_named_or_gone(
    run: Any, told: list[str], error: Exception, then: str
) -> None:
    def refuse() -> None:
        raise error

    looks = [[holder("eni-1", "clear", refuse)], []]
    if then == "stop":
        with pytest.raises(HeldError, match=str(error)[-10:]):
            run([HELD], looks)
    else:
        run([HELD], looks)
        assert [text for text in told if "cleared" in text] == []
        assert bool(told) == (then == "wait")


def test_where_the_listings_are_refused_too_it_is_said_and_tried_again(run: Any, told: list[str]) -> None:
    run([HELD], [refusal("RequestLimitExceeded"), []])
    assert "nobody could look what holds it" in told[0]


def test_an_error_that_names_no_resource_has_all_looked_at_that_can_be_held(run: Any) -> None:
    cloud = run([failed("waiting: timeout while waiting for state", address="")], [[]])
    assert cloud.asked == [[GROUP.address]], "nothing can hold a key"
