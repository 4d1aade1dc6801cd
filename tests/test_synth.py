"""The three stacks as synthesized: the golden ones, the same everywhere, tagged, closed and encrypted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stacks.app import main, read_declarations, synthesize
from stacks.problems import UserError
from tests import golden_synth
from tests.golden_synth import (
    BUNDLE,
    ENVIRONMENTS,
    GOLDEN,
    STACKS,
    golden_files,
    resources,
    stack_json,
)

ROOT = Path(__file__).parent.parent


def copied(root: Path, **edits: tuple[str, str]) -> Path:
    """Return a copy of the golden declarations; `name=(old, new)` edits the file of that name."""
    folder = root / "environments"
    shutil.copytree(ENVIRONMENTS, folder)
    for name, (old, new) in edits.items():
        text = (folder / f"{name}.toml").read_text()
        assert old in text
        (folder / f"{name}.toml").write_text(text.replace(old, new))
    return folder


def run_app(folder: Path, out: Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stacks.app", "--environments", str(folder), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_stacks_are_the_golden_ones(golden_out: Path) -> None:
    golden = {file.name: file.read_text() for file in GOLDEN.iterdir() if file.is_file()}
    made = golden_files(golden_out)
    assert set(made) == set(golden)
    for name, text in made.items():
        assert text == golden[name], f"{name} differs; if rightly: python -m tests.golden_synth"


def test_the_golden_command_writes_what_the_test_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden_synth, "GOLDEN", tmp_path)
    assert golden_synth.main() == 0
    assert {file.name for file in tmp_path.iterdir()} == {
        file.name for file in GOLDEN.iterdir() if file.is_file()
    }


def test_the_synthesis_is_the_same_from_any_folder_to_any_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "deeper" / "two"
    for target, cwd in ((first, ROOT), (second, tmp_path)):
        ran = run_app(ENVIRONMENTS, target, cwd)
        assert (ran.returncode, ran.stdout) == (0, "")
        assert ran.stderr.count("warning: ") == 1, "the account is in another region"
    assert files(first) == files(second)
    assert set(files(first)) >= {"manifest.json", "stacks/vision-fleet/node-bundle.tar.gz"}


def test_the_successor_of_cdktf_synthesizes_the_same(tmp_path: Path) -> None:
    for flavour in ("cdktf", "cdktn"):
        ran = run_app(ENVIRONMENTS, tmp_path / flavour, ROOT, FLEETFORM_CDK=flavour)
        assert ran.returncode == 0, ran.stderr
    tools = set()
    for stack in STACKS:
        one, other = stack_json(tmp_path / "cdktf", stack), stack_json(tmp_path / "cdktn", stack)
        tools |= {each["//"]["metadata"].pop("version") for each in (one, other)}
        assert one == other
    assert len(tools) == 2, "both runs used the same tool"


def test_the_outdir_that_cdktf_cli_names_is_taken(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stacks.app", "--environments", str(ENVIRONMENTS)]
    environment = {**os.environ, "CDKTF_OUTDIR": str(tmp_path / "chosen")}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    assert (tmp_path / "chosen/stacks/account/cdk.tf.json").is_file()


def test_every_problem_is_printed_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(
        tmp_path, vision=("max_nodes = 4", "max_nodes = 400\nnode = 1"), account=("[ledger]", "[ledge]")
    )
    assert main(["--environments", str(folder), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert "fleets.gpu.node" in printed
    assert "`ledger`" in printed
    assert not (tmp_path / "out").exists()


def test_the_guardrails_hold_unless_they_are_switched_off(tmp_path: Path) -> None:
    folder = copied(tmp_path, vision=("max_nodes = 4", "max_nodes = 400"))
    with pytest.raises(UserError, match="400"):
        read_declarations(folder, ["vision"])
    assert read_declarations(folder, ["vision"], unchecked=True)[1][0].fleets["gpu"].max_nodes == 400


def test_an_environment_whose_lease_is_over_can_still_be_torn_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(tmp_path, vision=("2035-12-31", "2020-12-31"))
    _, specs = read_declarations(folder, None)
    assert [spec.name for spec in specs] == ["vision"]
    assert "warning" in capsys.readouterr().err


def test_a_folder_without_environments_says_how_to_start(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "vision.toml").unlink()
    with pytest.raises(UserError, match="fleetform init"):
        read_declarations(folder, None)


@pytest.mark.parametrize("stack", STACKS)
def test_state_lies_in_the_accounts_bucket_under_s3s_own_lock(golden_out: Path, stack: str) -> None:
    assert stack_json(golden_out, stack)["terraform"]["backend"]["s3"] == {
        "bucket": "golden-org-fleetform-state-eu-central-1",
        "key": f"{stack}/terraform.tfstate",
        "region": "eu-central-1",
        "encrypt": True,
        "use_lockfile": True,
    }


@pytest.mark.parametrize("stack", STACKS)
def test_the_place_of_every_element_is_a_line_that_makes_one(golden_out: Path, stack: str) -> None:
    sources = json.loads((golden_out / "stacks" / stack / "sources.json").read_text())
    content = stack_json(golden_out, stack)
    addresses = {f"{kind}.{name}" for kind, named in content["resource"].items() for name in named}
    addresses |= {f"data.{kind}.{name}" for kind, named in content.get("data", {}).items() for name in named}
    assert set(sources) == addresses - {"data.terraform_remote_state.base"}
    for place in sources.values():
        file, _, line = place.rpartition(":")
        assert file.startswith("stacks/")
        assert not file.startswith(("stacks/aws/", "stacks/cdk"))
        assert "(" in (ROOT / file).read_text().splitlines()[int(line) - 1]


def test_no_line_of_ours_moves_the_golden_files(golden_out: Path) -> None:
    assert not any(
        "stacks/" in (golden_out / "stacks" / stack / "cdk.tf.json").read_text() for stack in STACKS
    )


@pytest.mark.parametrize(("choice", "goes"), [("retain", False), ("delete", True)])
def test_artifacts_go_with_their_bucket_only_where_the_file_says_so(
    tmp_path: Path, choice: str, goes: bool
) -> None:
    folder = copied(tmp_path, vision=("[head]", f'[artifacts]\non_teardown = "{choice}"\n\n[head]'))
    account, specs = read_declarations(folder, None)
    synthesize(account, specs, BUNDLE, tmp_path)
    assert resources(tmp_path, "vision-base", "aws_s3_bucket")["artifacts"]["force_destroy"] is goes
