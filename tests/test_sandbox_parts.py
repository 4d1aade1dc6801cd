"""The embedded cloud's parts that need no cloud: documents, cores and GPUs, faults, user data."""

from __future__ import annotations

import base64
import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.documents import RUN_SHELL_SCRIPT, InvalidParametersError, steps_of
from sandbox.hardware import Cores, Gpus
from sandbox.node import decode_user_data
from sandbox.place import Place
from sandbox.processes import end_marked, marked, spawn
from sandbox.variables import client_variables

DOCUMENT: dict[str, Any] = {
    "parameters": {
        "Lines": {"type": "StringList", "default": ["echo a", "echo b"]},
        "Name": {"type": "String", "default": "x"},
        "Count": {"type": "Integer", "default": 3},
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "run",
            "onFailure": "exit",
            "inputs": {
                "runCommand": ["echo {{ Name }} {{Count}} {{ Unknown }}", "{{ Lines }}"],
                "timeoutSeconds": "60",
                "workingDirectory": "/{{ Name }}",
            },
        },
        {
            "action": "aws:runPowerShellScript",
            "name": "windows",
            "inputs": {"runCommand": ["dir"]},
        },
        {
            "action": "aws:runShellScript",
            "name": "elsewhere",
            "precondition": {"StringEquals": ["platformType", "Windows"]},
            "inputs": {"runCommand": ["dir"]},
        },
    ],
}


def test_a_document_is_filled_in_and_lists_are_spliced() -> None:
    [step] = steps_of(DOCUMENT, {"Name": ["y"]})
    assert step.script == "echo y 3 {{ Unknown }}\necho a\necho b\n"
    assert (step.folder, step.timeout_s, step.exit_on_failure) == ("/y", 60, True)


def test_run_shell_script_takes_its_lines_and_its_time() -> None:
    [step] = steps_of(RUN_SHELL_SCRIPT, {"commands": ["a", "b"], "executionTimeout": ["5"]})
    assert (step.script, step.timeout_s) == ("a\nb\n", 5)


@pytest.mark.parametrize(
    ("rules", "value"),
    [
        ({"type": "String", "allowedPattern": "^a+$"}, "ab"),
        ({"type": "String", "allowedValues": ["a"]}, "b"),
        ({"type": "String", "maxChars": 2}, "abc"),
        ({"type": "Boolean"}, "yes"),
        ({"type": "Integer"}, "1.5"),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused(rules: dict[str, Any], value: str) -> None:
    with pytest.raises(InvalidParametersError, match="P: "):
        steps_of({"parameters": {"P": rules}, "mainSteps": []}, {"P": [value]})


def test_two_values_for_one_are_refused() -> None:
    with pytest.raises(InvalidParametersError, match="takes one value, not 2"):
        steps_of({"parameters": {"P": {"type": "String"}}, "mainSteps": []}, {"P": ["a", "b"]})


def test_a_pattern_without_anchors_does_not_protect_by_accident() -> None:
    steps_of(
        {"parameters": {"P": {"type": "String", "allowedPattern": "a"}}, "mainSteps": []}, {"P": ["bab"]}
    )


def test_cores_are_shared_evenly_and_given_back() -> None:
    cores = Cores(1, frozenset({4, 7}))
    taken = [cores.take() for _ in range(3)]
    assert taken == [{4}, {7}, {4}]
    cores.give_back(taken[0])
    cores.give_back(taken[2])
    assert cores.take() == {4}


def test_a_node_gets_no_more_cores_than_there_are() -> None:
    assert Cores(8, frozenset({0, 1})).take() == {0, 1}


def test_a_gpu_belongs_to_one_node_at_a_time() -> None:
    gpus = Gpus(("0", "1", "2"))
    first, second, third = gpus.take(2), gpus.take(2), gpus.take(1)
    assert (first, second, third) == (("0", "1"), ("2",), ())
    gpus.give_back(first)
    assert gpus.take(8) == ("0", "1")


def test_nodes_that_work_together_get_the_same_number_of_gpus_or_none() -> None:
    assert Gpus(("0",)).take(1, sharers=2) == ()
    assert Gpus(("0", "1", "2")).take(8, sharers=2) == ("0",)
    assert Gpus(("0", "1", "2", "3")).take(1, sharers=2) == ("0",)


def test_a_process_is_on_its_cores_from_the_first_instruction_and_its_parent_is_not(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    core = frozenset({min(before)})
    with (tmp_path / "out").open("wb") as output:
        program = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
        process = spawn(program, environment={}, folder=tmp_path, output=output, errors=output, cores=core)
    assert process.wait() == 0
    assert (tmp_path / "out").read_text() == f"{sorted(core)}\n"
    assert os.sched_getaffinity(0) == before


def test_marked_processes_are_found_and_ended_even_in_a_session_of_their_own(tmp_path: Path) -> None:
    script = "trap '' TERM; setsid sleep 600 & setsid sleep 600 & wait"
    mark = str(tmp_path)
    with subprocess.Popen(["sh", "-c", script], env={"TEST_MARK": mark, "PATH": os.defpath}) as process:
        while len(marked("TEST_MARK", mark)) < 3:
            assert process.poll() is None
        end_marked("TEST_MARK", mark, grace_s=0.1)
    assert marked("TEST_MARK", mark) == []


def test_a_proxy_is_kept_out_of_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "intranet")
    assert client_variables(Place(tmp_path), "http://127.0.0.1:1")["no_proxy"] == "intranet,127.0.0.1"


def test_user_data_is_read_in_every_form() -> None:
    script = b"#!/bin/sh\n"
    forms = [base64.b64encode(script), base64.b64encode(gzip.compress(script)), script]
    assert [decode_user_data(form.decode()) for form in forms] == [script] * 3
    assert decode_user_data("") == b""
