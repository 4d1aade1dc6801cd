"""The three lines that a run ends with."""

from __future__ import annotations

from trainer.numbers.closing import summary_lines
from trainer.numbers.goodput_events import History
from trainer.numbers.goodput_ledger import reckon


def test_a_start_with_no_step_left_says_so_and_blames_no_program() -> None:
    ledger = reckon(History((), (), (), 0))
    left_none = summary_lines({"steps": 15}, ledger)
    assert left_none[1] == "speed: unknown, for the last start had no steps to time"
    assert summary_lines({}, ledger)[1] == "speed: not reported by the program"
