"""What is new of a run since a place: everything once, for whoever was cut off, too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet import tail as tail_module
from fleet.cloud import Cloud
from fleet.run_store import RunStore
from fleet.tail import Cursor, News, Tail, near_end
from stacks.problems import UserError
from tests.run_directories import ENDED, make, new_store, put

pytestmark = pytest.mark.sandbox
RUN = "20260101-000000-aaaaa"


@pytest.fixture
def store(sandbox: Cloud) -> RunStore:
    return new_store(sandbox)


def lines(*steps: int, attempt: int = 1) -> bytes:
    return b"".join(
        json.dumps({"step": step, "time": f"2026-01-0{attempt}T00:00:00Z", "loss": 1 / step}).encode() + b"\n"
        for step in steps
    )


def steps_of(news: News) -> list[int]:
    return [line["step"] for line in news.steps]


def text_of(news: News) -> str:
    return "".join(piece.text for piece in news.logs)


def test_everything_comes_once_and_then_nothing(store: RunStore) -> None:
    make(store, RUN, "QUEUED", "PROVISIONING", "RUNNING")
    put(store, RUN, "metrics.jsonl", lines(1, 2))
    put(store, RUN, "logs/node-0.log", b"one\n")
    tail = Tail(store, RUN, Cursor())
    news = tail.look()
    assert [event.event for event in news.events] == ["QUEUED", "PROVISIONING", "RUNNING"]
    assert (steps_of(news), news.steps_anew, text_of(news), news.over) == ([1, 2], False, "one\n", False)
    assert not tail.look()
    put(store, RUN, "metrics.jsonl", lines(1, 2, 3))
    put(store, RUN, "logs/node-0.log", b"one\ntwo\n")
    make(store, RUN, *ENDED)
    news = tail.look()
    assert [event.event for event in news.events] == ["SUCCEEDED"]
    assert (steps_of(news), text_of(news), news.over) == ([3], "two\n", True)
    assert not tail.look()


def test_whoever_comes_back_with_their_place_gets_what_they_have_missed(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    put(store, RUN, "metrics.jsonl", lines(1, 2))
    put(store, RUN, "logs/node-0.log", b"one\n")
    place = str(Tail(store, RUN, Cursor()).look().cursor)
    assert place.startswith(f"e1.m{len(lines(1, 2))}-") and place.endswith(".l0-4")
    put(store, RUN, "metrics.jsonl", lines(1, 2, 3))
    put(store, RUN, "logs/node-0.log", b"one\ntwo\n")
    news = Tail(store, RUN, Cursor.parse(place)).look()
    assert (list(news.events), steps_of(news), news.steps_anew, text_of(news)) == ([], [3], False, "two\n")


@pytest.mark.parametrize("text", ["e0.m0", "e3.m8192-1a2b3c4d.l0-51200.l1-4096", "e1.m0.l12-7"])
def test_a_place_reads_back_as_it_was_written(text: str) -> None:
    assert str(Cursor.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "e",
        "e1",
        "e1.m",
        "e-1.m0",
        "e1.m0.l0",
        "e1.m0\r\nid: 2",
        "e\u0661.m0",
        "e1.m0-xyz",
        "e" + "9" * 99,
    ],
)
def test_what_is_no_place_is_a_mistake_and_not_an_error(text: str) -> None:
    with pytest.raises(UserError, match="no place in a run's directory"):
        Cursor.parse(text)


def test_a_place_that_nobody_was_given_does_no_harm(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    put(store, RUN, "metrics.jsonl", lines(1, 2))
    put(store, RUN, "logs/node-0.log", b"one\n")
    news = Tail(store, RUN, Cursor.parse("e99.m999999-00000000.l0-999999.l9-1")).look()
    assert (list(news.events), steps_of(news), news.steps_anew, text_of(news)) == ([], [1, 2], True, "")


def test_half_a_line_waits_for_its_end(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    whole = lines(1, 2)
    put(store, RUN, "metrics.jsonl", whole[:-9])
    tail = Tail(store, RUN, Cursor())
    assert steps_of(tail.look()) == [1]
    put(store, RUN, "metrics.jsonl", whole)
    assert steps_of(tail.look()) == [2]


def test_lines_that_are_no_steps_are_left_out(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    put(store, RUN, "metrics.jsonl", b'7\n"step time"\n{\n[]\n{"step": 1}\n' + lines(3))
    assert steps_of(Tail(store, RUN, Cursor()).look()) == [3]


@pytest.mark.parametrize("again", [(1,), (1, 2), (1, 2, 3, 4)])
def test_an_attempt_that_goes_back_sends_all_steps_anew(store: RunStore, again: tuple[int, ...]) -> None:
    """It cuts metrics.jsonl off behind its last checkpoint; by the next look the file may be longer again."""
    make(store, RUN, "QUEUED")
    put(store, RUN, "metrics.jsonl", lines(*range(1, 20)))
    tail = Tail(store, RUN, Cursor())
    place = str(tail.look().cursor)
    put(store, RUN, "metrics.jsonl", lines(*again, attempt=2))
    for each in (tail, Tail(store, RUN, Cursor.parse(place))):
        news = each.look()
        assert (steps_of(news), news.steps_anew) == (list(again), True)
        assert not each.look()
    longer = lines(*again, attempt=2) + lines(*range(5, 40), attempt=2)
    put(store, RUN, "metrics.jsonl", longer)
    assert (steps_of(tail.look()), tail.look().steps_anew) == (list(range(5, 40)), False)


def test_a_rewritten_file_of_the_same_length_is_noticed(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    put(store, RUN, "metrics.jsonl", lines(1, 2, 3))
    tail = Tail(store, RUN, Cursor())
    tail.look()
    put(store, RUN, "metrics.jsonl", lines(1, 2, 3, attempt=2))
    news = tail.look()
    assert (steps_of(news), news.steps_anew) == ([1, 2, 3], True)


def test_a_character_comes_whole_though_it_was_cut(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    body = "훈련 끝\n".encode()
    tail = Tail(store, RUN, Cursor())
    seen = []
    for end in range(1, len(body) + 1):
        put(store, RUN, "logs/node-0.log", body[:end])
        seen.append(text_of(tail.look()))
    assert "".join(seen) == body.decode()
    assert tail.cursor.logs == {0: len(body)}


def test_what_no_character_is_does_not_hold_the_end_up(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    put(store, RUN, "logs/node-0.log", b"killed \xed\x9b")
    tail = Tail(store, RUN, Cursor())
    assert text_of(tail.look()) == "killed "
    assert not tail.look()
    make(store, RUN, *ENDED)
    news = tail.look()
    assert (text_of(news), news.over) == ("\N{REPLACEMENT CHARACTER}", True)


def test_the_last_event_comes_after_all_that_was_written_before_it(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "_MOST_BYTES", 4)
    make(store, RUN, *ENDED)
    put(store, RUN, "logs/node-0.log", b"0123456789")
    tail, seen = Tail(store, RUN, Cursor()), []
    while not (news := tail.look()).over:
        assert list(news.events) == []
        seen.append(text_of(news))
    assert [*seen, text_of(news)] == ["0123", "4567", "89"]
    assert [event.event for event in news.events] == list(ENDED)


def test_a_resumed_run_is_not_over_with_its_first_attempt(store: RunStore) -> None:
    make(store, RUN, "QUEUED", "FAILED", attempt=2)
    tail = Tail(store, RUN, Cursor(), attempt=2)
    assert not tail.look().over
    make(store, RUN, "QUEUED", "FAILED", "QUEUED", "SUCCEEDED", attempt=2)
    assert tail.look().over


def test_a_log_that_begins_again_is_said_to(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    put(store, RUN, "logs/node-0.log", b"a long first life\n")
    tail = Tail(store, RUN, Cursor())
    tail.look()
    put(store, RUN, "logs/node-0.log", b"second\n")
    assert not tail.look()  # a piece may be missing while it is joined to another
    (piece,) = tail.look().logs
    assert (piece.text, piece.anew) == ("second\n", True)


def test_only_the_nodes_that_were_asked_for_are_read(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    for rank in (0, 1, 12):
        put(store, RUN, f"logs/node-{rank}.log", f"{rank}\n".encode())
    assert text_of(Tail(store, RUN, Cursor(), ranks=frozenset({1})).look()) == "1\n"
    assert text_of(Tail(store, RUN, Cursor(), ranks=frozenset({0, 12})).look()) == "0\n12\n"
    assert text_of(Tail(store, RUN, Cursor()).look()) == "0\n1\n12\n"


def test_a_page_begins_near_the_end_of_a_long_log_with_a_whole_line(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    put(store, RUN, "logs/node-0.log", b"".join(b"line %03d\n" % number for number in range(100)))
    put(store, RUN, "logs/node-1.log", b"short\n")
    news = Tail(store, RUN, near_end(store, RUN, 30)).look()
    assert [piece.text for piece in news.logs] == ["line 097\nline 098\nline 099\n", "short\n"]
    assert not Tail(store, RUN, near_end(store, RUN, 0)).look().logs


def test_a_look_at_what_has_not_changed_fetches_no_byte(store: RunStore) -> None:
    make(store, RUN, "QUEUED")
    put(store, RUN, "metrics.jsonl", lines(1))
    put(store, RUN, "logs/node-0.log", b"one\n")
    tail, fetched = Tail(store, RUN, Cursor()), 0

    def count(parsed: dict[str, Any], **about: Any) -> None:
        nonlocal fetched
        fetched += int(parsed.get("ContentLength", 0))

    tail.look()
    store.s3.meta.events.register("after-call.s3.GetObject", count)
    assert not tail.look()
    assert fetched == 0
