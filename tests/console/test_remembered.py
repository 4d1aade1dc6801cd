"""What is remembered: nobody waits but the first, one looks at a time, a failure leaves the last value."""

from __future__ import annotations

import threading

import pytest

from console.remembered import Remembered
from tests.sandbox_helpers import wait_for


def test_the_last_value_is_given_while_one_thread_looks_again() -> None:
    looks, go_on = [0], threading.Event()

    def look() -> int:
        looks[0] += 1
        if looks[0] > 1:
            assert go_on.wait(30)
        return looks[0]

    remembered = Remembered(look, seconds=0)
    assert [remembered.get() for _ in range(5)] == [1, 1, 1, 1, 1]
    wait_for(lambda: looks[0] == 2)
    assert remembered.get() == 1 and looks[0] == 2, "one looks at a time"
    go_on.set()
    wait_for(lambda: remembered.get() >= 2)


def test_what_is_young_enough_is_not_looked_up_again() -> None:
    looks = [0]

    def look() -> int:
        looks[0] += 1
        return looks[0]

    remembered = Remembered(look, seconds=3600)
    assert [remembered.get() for _ in range(3)] == [1, 1, 1] and looks == [1]


def test_a_look_that_fails_leaves_the_last_value_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    looks = [0]

    def look() -> int:
        looks[0] += 1
        if looks[0] == 2:
            raise ZeroDivisionError
        return looks[0]

    remembered = Remembered(look, seconds=0)
    assert remembered.get() == 1
    wait_for(lambda: remembered.get() >= 3)
    assert "ZeroDivisionError" in caplog.text


def test_a_first_look_that_fails_is_the_callers_to_know() -> None:
    with pytest.raises(ZeroDivisionError):
        Remembered(lambda: 1 / 0, seconds=0).get()


def test_what_nobody_has_asked_for_in_a_long_time_is_looked_up_before_it_is_given() -> None:
    looks = [0]

    def look() -> int:
        looks[0] += 1
        return looks[0]

    remembered = Remembered(look, seconds=3600, at_most=-1)
    assert [remembered.get() for _ in range(3)] == [1, 2, 3]


def test_who_does_not_wait_for_a_long_first_look_finds_it_later() -> None:
    go_on = threading.Event()

    def look() -> int:
        assert go_on.wait(30)
        return 7

    remembered = Remembered(look, seconds=3600)
    assert remembered.within(0.01) is None and remembered.within(0.01) is None
    go_on.set()
    assert remembered.within(30) == 7 and remembered.get() == 7


def test_a_first_look_that_fails_behind_everybodys_back_is_told_to_the_next_and_done_again() -> None:
    go_on, looks = threading.Event(), [0]

    def look() -> int:
        looks[0] += 1
        assert go_on.wait(30)
        if looks[0] == 1:
            raise ZeroDivisionError
        return looks[0]

    remembered = Remembered(look, seconds=3600)
    assert remembered.within(0.01) is None
    go_on.set()
    with pytest.raises(ZeroDivisionError):
        remembered.within(30)
    assert remembered.within(30) == 2
