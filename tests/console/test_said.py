"""What the product says in English, in Korean: the patterns are what the code says, and none is left out."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.words.end_words import END_WORDS
from console.words.form_words import FORM_WORDS
from console.words.languages import KOREAN, translations
from console.words.left_words import LEFT_WORDS
from console.words.reader import Reader
from console.words.said import problems, said, translated
from console.words.sentences import COMPOSED, SENTENCES
from fleet.budget_net import _HOW, _STATES, Stop
from fleet.costs.runs_gone import RunsGone
from fleet.limits import _in_words
from fleet.preflights import quotas
from fleet.recipe_forms import forms, overrides
from fleet.recipe_knobs import FormData
from fleet.run_costs import Ask
from stacks.problems import Problem, UserError
from tests.console.messages import ROOT

pytestmark = pytest.mark.console
SEOUL, LONDON = Reader(KOREAN, "Asia/Seoul"), Reader("en", "Europe/London")
SAYING = ("fleet", "node", "console/acts")
"""Rooms whose sentences reach people of the console."""
WHOLE = (
    "console/acts/start.py",
    "fleet/data_check.py",
    "fleet/extension.py",
    "fleet/file_kinds.py",
    "fleet/file_names.py",
    "fleet/lease.py",
    "fleet/recipe_forms.py",
    "fleet/resume.py",
    "fleet/try_form.py",
    "fleet/tries.py",
    "fleet/unpack.py",
)
"""Modules of whose refusals every one has a translation."""
TYPED = {
    "{} is no setting",
    "write KEY=VALUE",
    "no head node has confirmed that {} is queued: see `fleetform queue`",
    "the file does not say `lease_ends = DATE` in a line of its own",
    "set it to {} by hand, then run `fleetform up`",
    "the run {} was resumed by somebody else just now",
}
"""What only they say to somebody who types commands, or as a failure of the world."""


def blank(message: str) -> str:
    """Return a sentence with all that is filled in as `{}`, neighbours as one."""
    return re.sub(r"(\{\})+", "{}", re.sub(r"\{\w*\}", "{}", message))


def template(node: ast.expr) -> str | None:
    """Return what an expression says, `{}` for what is filled in; None where it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return blank(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = [str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values]
        return blank("".join(parts))
    return None


@functools.cache
def texts_of(file: Path) -> frozenset[str]:
    """Return every text of a file."""
    found = (
        template(node)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.expr)
    )
    return frozenset(each for each in found if each)


def refusals_of(file: Path) -> Iterator[str]:
    """Yield what a file says in problems: their `what` and `do`, named at once or before."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        told: list[ast.expr] = []
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "UserError.of":
                told += node.args
            if called in ("UserError.of", "Problem"):
                told += [each.value for each in node.keywords if each.arg in ("what", "do")]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("what", "do"):
            told.append(node.value)
        for each in told:
            branches = (each.body, each.orelse) if isinstance(each, ast.IfExp) else (each,)
            yield from (text for branch in branches if (text := template(branch)))


def test_each_pattern_is_what_the_code_says() -> None:
    told = {text for room in SAYING for file in (ROOT / room).rglob("*.py") for text in texts_of(file)}
    assert [each for each in (*SENTENCES, *END_WORDS) if blank(each) not in told] == []


@pytest.mark.parametrize("name", WHOLE)
def test_every_refusal_of_what_people_do_in_the_console_has_its_pattern(name: str) -> None:
    known = {blank(each) for each in (*SENTENCES, *COMPOSED, *END_WORDS, *LEFT_WORDS)}
    assert sorted(set(refusals_of(ROOT / name)) - known - TYPED - {"", "{}"}) == []


def test_every_word_of_the_recipes_forms_is_korean() -> None:
    words = set()
    for form in forms():
        words |= {form.title, form.text, form.items}
        for knob in form.knobs:
            words |= {knob.label, knob.why, knob.unit, *(choice.label for choice in knob.choices)}
    words = {each for each in words if re.search("[A-Za-z]{2}", each)}
    assert words == set(FORM_WORDS)
    for each in words:
        found = said(SEOUL, each)
        assert found.language == "" and re.search("[가-힣]", found.text), each


@pytest.mark.parametrize(
    ("text", "korean"),
    [
        ("the run 20261123-r is RUNNING", "20261123-r 실행의 상태는 RUNNING입니다"),
        ("cancelled by Ann Lee", "Ann Lee이(가) 취소했습니다"),
        ("node 3: exit code 1", "노드 3: 종료 코드 1"),
        ("node 3: its machine i-1 is gone", "노드 3: 머신 i-1이(가) 없어졌습니다"),
        ("cancelled by {who} {0} %s", "{who} {0} %s이(가) 취소했습니다"),
    ],
)
def test_a_sentence_is_found_by_its_pattern_with_what_is_filled_in(text: str, korean: str) -> None:
    assert (said(SEOUL, text).text, said(SEOUL, text).language) == (korean, "")
    assert (said(LONDON, text).text, said(LONDON, text).language) == (text, "")


@pytest.mark.parametrize(
    "text",
    ["node 3: ValueError: no such thing", "Slurm says NODE_FAIL", "x" * 5000, "one thing, and another"],
)
def test_what_has_no_pattern_is_shown_as_it_is_and_marked_as_english(text: str) -> None:
    assert (said(SEOUL, text).text, said(SEOUL, text).language) == (text, "en")


def test_a_budgets_refusal_is_korean_in_all_its_parts() -> None:
    korean = translations(KOREAN).gettext
    for nodes, minutes in ((4, 1440), (1, 1)):
        ask = Ask(nodes=nodes, minutes=minutes, usd_per_node_hour=1.01, storage_usd_per_hour=0.0, tasks=1)
        how = _in_words(ask)
        for whose in ("blue", "the team blue in blue"):
            left = (
                f"nothing is left of the 50 USD of {whose} for 2026-11: 20.00 USD are spent, "
                "30.00 USD kept for active runs"
            )
            text = translated(f"it may cost up to 96.96 USD ({how}), and {left}", korean)
            assert text and not re.search("[a-z]{3}", text.replace("blue", "")), text


@pytest.mark.parametrize("status", _STATES)
def test_every_state_of_a_stop_of_aws_budgets_is_korean(status: str) -> None:
    for how in _HOW.values():
        text = translated(
            str(Stop(id="1", percent=100.0, status=status, how=how)), translations(KOREAN).gettext
        )
        assert text and not re.search("[a-z]{3}", text.replace("AWS Budgets", "")), text


def test_what_the_ledger_proves_of_runs_that_were_deleted_is_korean() -> None:
    for gone in (RunsGone(3, 41400.0, 1), RunsGone(1, 60.0, 0)):
        text = translated(str(gone), translations(KOREAN).gettext)
        assert text and not re.search("[a-z]{3}", text.replace("costs.json", "")), text


def test_a_stop_that_a_new_month_has_left_in_force_is_korean() -> None:
    text = translated(
        "no machine may be started, though the bill is not over 100 % of 500.00 USD: `fleetform up blue` "
        "takes the stop off",
        translations(KOREAN).gettext,
    )
    assert text and "100 % of 500.00 USD" in text and "`fleetform up blue`" in text and "제한" in text


@pytest.mark.parametrize("counted", ["nothing yet", "412.10 USD"])
def test_what_aws_budgets_has_counted_is_korean(counted: str) -> None:
    text = translated(f"AWS Budgets: {counted} of 500.00 USD by the bill", translations(KOREAN).gettext)
    assert text and not re.search("[a-z]{3}", text.replace("AWS Budgets", "")), text


def test_a_quotas_refusal_is_korean() -> None:
    demand = quotas.Demand(path="fleets.gpu.instance_type", now=96, most=96)
    for others in (0, 32):
        room = quotas.Room(
            family="P", purchase="on_demand", code="L-417A185B", quota=64, others=others, demand=demand
        )
        what = f"{room}{f', {others} are in use by others' if others else ''}, and the nodes need 96"
        assert said(SEOUL, what).language == "", what


def test_what_was_filled_in_wrongly_in_a_form_is_said_in_korean() -> None:
    for form in forms():
        data = FormData(items=0, path="", columns=("a", "b"))
        with pytest.raises(UserError) as caught:
            overrides(form, {"passes": "many", "size": "x", "side": "y", "target": "c", "knob": 1}, data)
        for each in problems(SEOUL, caught.value.problems):
            assert (each.language, each.do_in) == ("", ""), each


def test_a_problem_names_its_file_and_has_each_part_in_its_own_language() -> None:
    (found,) = problems(SEOUL, [Problem(what="is text in UTF-16", do="turn it round", file="a.csv")])
    assert (found.what, found.language) == ("a.csv: UTF-16 텍스트입니다", "")
    assert (found.do, found.do_in) == ("turn it round", "en")
