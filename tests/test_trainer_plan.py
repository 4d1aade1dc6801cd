"""What the command tells of a run before it is one: every setting with its source, and what auto becomes."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tests.trainer_runs import TINY, TINY_GPT
from tests.trainer_runs import own_surroundings as own_surroundings
from trainer import __main__ as command

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_surroundings")]


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Run the command; return what it printed as TOML, and the comment behind each key."""
    capsys.readouterr()
    assert command.main(list(words)) == 0
    text = capsys.readouterr().out
    lines = [line.partition("  # ") for line in text.splitlines() if " = " in line]
    return tomllib.loads(text), {key.partition(" = ")[0]: comment for key, _, comment in lines}


def test_every_value_is_printed_with_where_it_is_from(capsys: pytest.CaptureFixture[str]) -> None:
    values, sources = told(capsys, "digits", "samples=64", "model.channels=16", "--print-config")
    assert (values["samples"], values["model"]["channels"], values["seed"]) == (64, 16, 1)
    assert (sources["samples"], sources["channels"]) == ("command line", "command line")
    assert (sources["global_batch"], sources["seed"]) == ("digits", "default")


def test_a_run_of_64_processes_is_planned_and_tried_on_one(capsys: pytest.CaptureFixture[str]) -> None:
    plan, _ = told(capsys, "gpt", *TINY_GPT, "global_batch=256", "samples=512", "--dry-run", "--ranks", "64")
    assert (plan["world_size"], plan["sharding"], plan["micro_batch"]) == (64, "ddp", 4)
    assert (plan["steps"], plan["precision"], plan["compile"]) == (2, "fp32", "off")


def test_a_sharded_plan_gives_each_process_its_part_of_the_state(capsys: pytest.CaptureFixture[str]) -> None:
    whole, _ = told(capsys, "gpt", "--dry-run", "--ranks", "4")
    parts, _ = told(capsys, "gpt", "sharding=fsdp", "--dry-run", "--ranks", "4")
    assert parts["parameters"] == whole["parameters"]
    assert parts["state_gib_a_rank"] == pytest.approx(whole["state_gib_a_rank"] / 4, abs=1e-3)


def test_gpus_that_are_not_here_are_planned_for_by_their_memory(capsys: pytest.CaptureFixture[str]) -> None:
    large = ["gpt", "model.num_layers=24", "model.width=2048", "model.num_heads=16", "global_batch=256",
             "model.context=1024", "device=cuda", "--dry-run", "--ranks", "8"]  # fmt: skip
    roomy, why = told(capsys, *large, "--device-gib", "80")
    assert (roomy["sharding"], roomy["precision"], roomy["compile"]) == ("ddp", "bf16", "blocks")
    assert "GiB, on devices of 80 GiB" in why["sharding"]
    tight, why = told(capsys, *large, "--device-gib", "16")
    assert tight["sharding"] == "fsdp"
    assert tight["micro_batch"] < roomy["micro_batch"] <= 32 and "to fit" in why["micro_batch"]


def test_a_plan_that_cannot_be_carried_out_is_refused_as_the_run_would_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["digits", *TINY, "--dry-run", "--ranks", "64"]) == 2
    assert "cannot be split over 64 processes" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        command.main(["digits", "--ranks", "4"])
    assert "--ranks: a positive number, together with --dry-run" in capsys.readouterr().err
