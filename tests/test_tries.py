"""Models that answer: one process a model, within limits, whatever it is asked."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from fleet.trainer_process import trainer_command, trainer_variables
from fleet.tries import Answerer, Answerers
from fleet.warm_process import TryLimits
from stacks.problems import UserError
from tests.test_recipe_export import make_model

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model of digits, a few steps old."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.delenv("FLEETFORM_DATA_DIR", raising=False)
        return make_model("digits", tmp_path_factory.mktemp("digits"), "program=false") / "model"


@pytest.fixture(scope="module")
def answerer(folder: Path) -> Iterator[Answerer]:
    """A model that answers, for whoever leaves it answering."""
    with closing(Answerer(folder)) as made:
        yield made


def picture(tmp_path: Path, number: int = 0) -> str:
    path = tmp_path / f"{number}.png"
    Image.new("L", (20, 30), number).save(path)
    return base64.b64encode(path.read_bytes()).decode()


def process_of(answerer: Answerer) -> subprocess.Popen[bytes]:
    assert answerer._process is not None
    return answerer._process._process


def test_one_process_answers_question_after_question(answerer: Answerer, tmp_path: Path) -> None:
    assert answerer.describe()["answer"]["classes"] == [str(digit) for digit in range(10)]
    first = process_of(answerer).pid
    answers = answerer.ask([picture(tmp_path), picture(tmp_path, 200)])
    assert [sum(each["probabilities"].values()) for each in answers] == pytest.approx([1, 1], abs=1e-4)
    assert answerer.ask([picture(tmp_path)])[0]["class"] == answers[0]["class"]
    assert process_of(answerer).pid == first


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        (["no base64!"], "input 0: is no base64 of a picture"),
        ([base64.b64encode(b"<html>").decode()], "is no picture of a kind that is known"),
        (["/etc/passwd"], "is no base64|is no picture"),
        ([{"picture": None}], "not a picture"),
        ([], "there is no input"),
        ([[[1] * 1000] * 1000], "wanted are"),
        (["x"] * 101, "101 inputs are more than 100"),
        (["x" * 40_000_000], "the input has more than 34 MB"),
        (["\ud800"], "is no base64"),
    ],
)
def test_what_is_no_input_is_said_and_the_next_question_is_answered(
    inputs: list[object], what: str, answerer: Answerer, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=what):
        answerer.ask(inputs)
    assert len(answerer.ask([picture(tmp_path)])) == 1


def test_a_process_that_dies_is_started_again_for_the_next_question(folder: Path, tmp_path: Path) -> None:
    with closing(Answerer(folder)) as answerer:
        answerer.ask([picture(tmp_path)])
        process_of(answerer).kill()
        process_of(answerer).wait()
        assert len(answerer.ask([picture(tmp_path)])) == 1


def test_an_answer_that_takes_too_long_ends_and_leaves_no_process(tmp_path: Path, folder: Path) -> None:
    limits = TryLimits(answer_seconds=1, inputs=10**9, question_bytes=2**30)
    with closing(Answerer(folder, limits)) as answerer:
        answerer.describe()
        process = process_of(answerer)
        with pytest.raises(UserError, match="longer than the 1 s that it may"):
            answerer.ask([picture(tmp_path)] * 60_000)
        assert process.poll() is not None
        assert len(answerer.ask([picture(tmp_path)])) == 1


def test_a_picture_that_needs_more_memory_than_it_may_is_refused_alone(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (8000, 8000)).save(path)
    large = base64.b64encode(path.read_bytes()).decode()
    with closing(Answerer(folder)) as answerer:
        assert len(answerer.ask([large])) == 1
    with closing(Answerer(folder, TryLimits(memory_bytes=240 * 2**20))) as answerer:
        with pytest.raises(UserError, match=r"MemoryError|more memory than there is"):
            answerer.ask([large])
        assert len(answerer.ask([picture(tmp_path)])) == 1


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    nothing = r"the model can't be loaded: .* holds no model"
    with closing(Answerer(tmp_path)) as answerer, pytest.raises(UserError, match=nothing):
        answerer.ask(["x"])


def test_a_question_that_is_none_is_answered_with_what_one_is(folder: Path, tmp_path: Path) -> None:
    command = trainer_command("trainer.predict", [str(folder), "--serve"])
    whole = json.dumps({"inputs": [picture(tmp_path)]}).encode()
    questions = b"\n".join([b"no json", b'["inputs"]', b'{"inputs": 3}', whole, b""])
    done = subprocess.run(command, input=questions, capture_output=True, env=trainer_variables(), check=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(line) for line in said] == [["ready"], ["error"], ["error"], ["error"], ["answers"]]


def test_several_threads_take_turns(answerer: Answerer, tmp_path: Path) -> None:
    asked = [picture(tmp_path, number) for number in range(8)]
    alone = [answerer.ask([each]) for each in asked]
    heard: dict[int, object] = {}
    threads = [
        threading.Thread(target=lambda number=number: heard.update({number: answerer.ask([asked[number]])}))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [heard[number] for number in range(8)] == alone


def test_the_model_asked_longest_ago_makes_room_and_idle_ones_end(folder: Path, tmp_path: Path) -> None:
    with closing(Answerers(most=2)) as pool:
        made = [pool.of(key, lambda: folder) for key in "ab"]
        for each in made:
            each.ask([picture(tmp_path)])
        assert pool.of("a", lambda: folder) is made[0]
        made[0].ask([picture(tmp_path)])
        second = process_of(made[1])
        pool.of("c", lambda: folder)
        assert second.poll() is not None, "the one asked longest ago has ended"
        assert pool.of("a", lambda: folder) is made[0]
        # Whoever still holds one that was closed gets an answer, and leaves no process behind.
        made[1].ask([picture(tmp_path)])
        assert made[1]._process is None
        first = process_of(made[0])
        pool.close_idle(1000)
        assert first.poll() is None
        pool.close_idle()
        assert first.poll() is not None


def test_an_idle_model_ends_by_itself(folder: Path, tmp_path: Path) -> None:
    with closing(Answerers(idle_seconds=0.3)) as pool:
        answerer = pool.of("a", lambda: folder)
        answerer.ask([picture(tmp_path)])
        process = process_of(answerer)
        assert process.wait(60) is not None


def test_who_gets_no_turn_is_told_to_come_again(folder: Path) -> None:
    pool = Answerers(most=1, limits=TryLimits(wait_seconds=0))
    with closing(pool), pool._turns, pytest.raises(UserError, match="others are asking models now"):
        pool.of("a", lambda: folder).describe()


def test_the_process_ends_with_the_one_that_asks(folder: Path) -> None:
    read, write = os.pipe()
    command = trainer_command("trainer.predict", [str(folder), "--serve"])
    with subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE, env=trainer_variables()) as process:
        os.close(read)
        assert process.stdout is not None
        assert "ready" in json.loads(process.stdout.readline())
        os.close(write)
        assert process.wait(60) == 0
