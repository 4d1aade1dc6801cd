"""Two submits at once cannot both have the rest of the budget; nothing that was held stays so for ever."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fleet import holds as holds_module
from fleet import reservation, submit
from fleet.budget import Budget, read_budget
from fleet.cloud import Cloud
from fleet.handover import hand_over
from fleet.holds import Hold, new_hold, read_holds, still_held, write_holds
from fleet.job import JobSpec, build_request
from fleet.limits import HeldByOthersError, require_within
from fleet.project import Project
from fleet.reservation import reserving
from fleet.run_store import RunStore
from fleet.runs import read_run
from fleet.session import Session
from stacks.problems import UserError
from tests.purse import NODE_PRICE, NOW, forget_runs, put_receipt, put_run, with_budget
from tests.run_environment import RunEnvironment, build
from tests.sandbox_helpers import wait_for

pytestmark = pytest.mark.sandbox
OTHER = "20991122-100000-aaaaa"


@pytest.fixture(scope="module")
def purse(
    sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunEnvironment]:
    root = tmp_path_factory.mktemp("holds")
    environment = build(sandbox, Project(root=root, home=sandbox_home), "till", nodes=1)
    yield environment
    environment.remove()


@pytest.fixture
def empty(purse: RunEnvironment) -> Iterator[RunEnvironment]:
    """The environment without any run, and with nothing held."""
    forget_runs(purse)
    yield purse
    forget_runs(purse)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text("import time\n\ntime.sleep(5)\n")
    return path


def hold(purse: RunEnvironment, usd: float, run_id: str = OTHER) -> None:
    """Have somebody else's submit hold an amount."""
    before = read_holds(purse.store)
    assert write_holds(purse.store, before, {**before.by_run, run_id: new_hold(usd)})


def rest_for(purse: RunEnvironment, nodes_hours: float) -> Session:
    """Return a session whose budget has that many hours of a node left, and some change."""
    spent = read_budget(purse.session).spent
    return with_budget(purse, spent + nodes_hours * NODE_PRICE + 1.0)


def check_of(session: Session, purse: RunEnvironment, script: Path, minutes: int) -> Callable[[str], Any]:
    job = JobSpec(environment="till", script=script, max_minutes=minutes)
    request = build_request(job, purse.outputs.fleets)
    return lambda run_id: partial(require_within, session, request, purse.outputs, submitting=run_id)


# ------------------------------------------------------------------------------------------ at the same time


def test_of_many_submits_at_once_only_so_many_get_a_share_as_there_is_money_for(
    empty: RunEnvironment, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reservation, "LASTS", 0.0)
    monkeypatch.setattr(reservation, "_POLL", 0.05)
    usd = 10 * NODE_PRICE
    session, store = rest_for(empty, 31), empty.store  # three times ten hours, and some change
    check, entered, refused = check_of(session, empty, script, 600), list[str](), list[str]()
    together, done = threading.Barrier(6), threading.Barrier(6)

    def one(run_id: str) -> None:
        together.wait()
        try:
            with reserving(session, store, run_id, usd, check(run_id)):
                entered.append(run_id)
                done.wait(60)
        except UserError:
            refused.append(run_id)
            done.wait(60)

    threads = [threading.Thread(target=one, args=(f"2099112{each}-100000-bbbbb",)) for each in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
    assert (len(entered), len(refused)) == (3, 3)
    assert read_holds(store).by_run == {}, "what ended holds nothing"


def test_the_look_at_the_budget_counts_only_where_nobody_has_written_since(
    empty: RunEnvironment, script: Path
) -> None:
    usd, looks = 10 * NODE_PRICE, list[int]()
    session = rest_for(empty, 11)
    check = check_of(session, empty, script, 600)("20991122-110000-ccccc")

    def while_another_comes_and_goes() -> Budget | None:
        found: Budget | None = check()
        looks.append(1)
        if (
            len(looks) == 1
        ):  # its run was held, came to be, and is held no more: all between two looks of ours
            hold(empty, usd)
            put_run(empty, OTHER, NOW, [], nodes=1, max_minutes=600)
            before = read_holds(empty.store)
            assert write_holds(empty.store, before, {})
        return found

    with (
        pytest.raises(UserError),
        reserving(session, empty.store, "20991122-110000-ccccc", usd, while_another_comes_and_goes),
    ):
        pytest.fail("both would have the same money")
    assert len(looks) == 1, "the second look refuses"


def test_a_submit_that_fails_gives_back_what_it_held(
    empty: RunEnvironment, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        assert list(read_holds(empty.store).by_run) != [], "it holds money when the run is about to be there"
        raise UserError.of("it breaks", "mend it")

    session = rest_for(empty, 11)
    monkeypatch.setattr(submit, "hand_over", broken)
    with pytest.raises(UserError, match="it breaks"):
        submit.submit(session, empty.outputs, JobSpec(environment="till", script=script, max_minutes=600))
    assert read_holds(empty.store).by_run == {}


def test_a_run_that_was_submitted_counts_by_itself(
    empty: RunEnvironment, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def watched(*arguments: Any) -> Any:
        told = hand_over(*arguments)
        seen["budget"] = read_budget(session)
        return told

    session = rest_for(empty, 2)
    monkeypatch.setattr(submit, "hand_over", watched)
    job = JobSpec(environment="till", script=script, max_minutes=60)
    run_id = submit.submit(session, empty.outputs, job).run_id
    assert seen["budget"].holds == {}, "the run is there: it is not counted twice"
    assert read_holds(empty.store).by_run == {}
    wait_for(lambda: not read_run(empty.store, run_id).active, 120)


# ---------------------------------------------------------------------------------------- what is held


def test_what_another_submit_holds_is_not_left_and_is_waited_for(
    empty: RunEnvironment, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reservation, "_POLL", 0.05)
    session = rest_for(empty, 11)
    hold(empty, 10 * NODE_PRICE)
    assert read_budget(session).left == pytest.approx(NODE_PRICE + 1.0, abs=0.1)
    check, said = check_of(session, empty, script, 600)("20991122-110000-ccccc"), list[str]()
    with pytest.raises(HeldByOthersError):
        check()

    def on_wait(text: str) -> None:
        said.append(text)
        if len(said) == 2:  # the other one has failed
            before = read_holds(empty.store)
            assert write_holds(empty.store, before, {})

    with reserving(session, empty.store, "20991122-110000-ccccc", 10 * NODE_PRICE, check, on_wait):
        assert list(read_holds(empty.store).by_run) == ["20991122-110000-ccccc"]
    assert said == ["another submit holds what is left of the budget: waiting for it"] * 2


def test_what_a_killed_submit_held_lapses(empty: RunEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds_module, "LASTS", -1.0)
    hold(empty, 100.0)
    monkeypatch.undo()
    assert read_holds(empty.store).by_run == {}
    assert read_budget(with_budget(empty, 50.0)).holds == {}


def test_what_a_submit_held_that_was_killed_after_its_run_had_come_to_be_ends_with_the_run(
    empty: RunEnvironment,
) -> None:
    session, hour = with_budget(empty, 50.0), datetime.timedelta(hours=1)
    hold(empty, 10.0)
    assert read_budget(session).holds == {OTHER: 10.0}
    now = datetime.datetime.now(datetime.UTC)
    put_run(empty, OTHER, now - hour, [("FAILED", now)])
    put_receipt(empty, OTHER, now - 2 * hour, now - hour, outcome="FAILED")
    assert read_budget(session).holds == {OTHER: 10.0}, "it is resumed: the hold is younger than its end"
    put_receipt(empty, OTHER, now - hour, now + datetime.timedelta(seconds=1), outcome="FAILED")
    assert read_budget(session).holds == {}


@pytest.mark.parametrize(
    "body",
    [
        b"no JSON", b"[]", b'{"holds": 7}', b'{"holds": {"r": {"usd": "much", "until": "2099"}}}',
        b'{"holds": {"r": {"usd": 1, "until": "2099-01-01T00:00:00+00:00"}}}',
        b'{"holds": {"r": {"usd": 1, "until": "2099-01-01T00:00:00"}}}',
    ],
    ids=["text", "list", "number", "words", "for ever", "no zone"],
)  # fmt: skip
def test_an_odd_file_holds_nothing_and_is_written_over(empty: RunEnvironment, body: bytes) -> None:
    store = empty.store
    store.s3.put_object(Bucket=store.bucket, Key="runs/.budget/holds.json", Body=body)
    assert read_holds(store).by_run == {}
    hold(empty, 1.0)
    assert list(read_holds(store).by_run) == [OTHER]


def test_a_hold_is_written_only_on_what_was_read(empty: RunEnvironment) -> None:
    nothing = read_holds(empty.store)
    hold(empty, 1.0)
    assert not write_holds(empty.store, nothing, {}), "there was none, and now there is"
    before = read_holds(empty.store)
    assert write_holds(empty.store, before, before.by_run)
    assert not write_holds(empty.store, before, {}), "the same text is not the same object"
    assert "holds.json" not in "".join(empty.store.run_ids()), "it is no run"


def test_of_an_array_what_its_tasks_count_with_is_held_no_more() -> None:
    told = {OTHER: Hold(10.0, "2099"), "20991122-100000-ddddd": Hold(3.0, "2099")}
    found = still_held(holds_module.Holds(told, ""), {f"{OTHER}-a0": 4.0, f"{OTHER}-a1": 4.0})
    assert found == {OTHER: 2.0, "20991122-100000-ddddd": 3.0}


def test_without_a_budget_nothing_is_written(empty: RunEnvironment) -> None:
    with reserving(empty.session, empty.store, OTHER, 10.0, None) as keep:
        keep()
        assert empty.store.read(".budget", "holds.json") is None


def test_a_run_that_is_let_go_over_the_budget_is_seen_by_others_all_the_same(empty: RunEnvironment) -> None:
    with reserving(with_budget(empty, 1.0), empty.store, OTHER, 10.0, None):
        assert read_budget(with_budget(empty, 1.0)).holds == {OTHER: 10.0}


def test_what_may_not_be_written_does_not_start(
    empty: RunEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    def denied(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")

    monkeypatch.setattr(RunStore, "put_new", denied)
    with (
        pytest.raises(UserError, match="may not note what the run takes"),
        reserving(with_budget(empty, 50.0), empty.store, OTHER, 1.0, None),
    ):
        pytest.fail("it must not begin")


def test_an_upload_that_took_long_takes_its_money_anew(
    empty: RunEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reserving(with_budget(empty, 50.0), empty.store, OTHER, 1.0, None) as keep:
        first = read_holds(empty.store).etag
        keep()
        assert read_holds(empty.store).etag == first
        monkeypatch.setattr(reservation, "_RENEW", -1.0)
        keep()
        assert read_holds(empty.store).etag != first


def test_the_verb_tells_what_is_held(empty: RunEnvironment) -> None:
    from scripts.budget import rows

    hold(empty, 2.5)
    told = dict(rows(read_budget(with_budget(empty, 50.0))))
    assert told[f"held while {OTHER} is submitted"] == 2.5
    assert json.loads(json.dumps(read_budget(empty.session).to_dict()))["holds"] == {OTHER: 2.5}
    assert datetime.datetime.fromisoformat(read_holds(empty.store).by_run[OTHER].until).tzinfo is not None
