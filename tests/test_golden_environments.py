"""The six golden environments: what they synthesize to, under CDKTF and its successor, valid to Terraform."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fleet.terraform_find import child_environment, find_plugin_dir, find_terraform
from stacks import naming
from stacks.aws.generated.provider import VERSION
from tests.golden_environments import DECLARED, GOLDEN, golden_texts, stack_names, synthesize_all

ROOT = Path(__file__).parent.parent
STACKS = tuple(stack_names())


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all six are synthesized, once."""
    folder = tmp_path_factory.mktemp("cdktf.out")
    synthesize_all(folder)
    return folder


def stack_json(out: Path, stack: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "stacks" / stack / "cdk.tf.json").read_text())
    return found


def without_comments(value: Any) -> Any:
    """Return a configuration without what CDKTF notes in it under the key `//`."""
    if isinstance(value, dict):
        return {key: without_comments(item) for key, item in value.items() if key != "//"}
    if isinstance(value, list):
        return [without_comments(item) for item in value]
    return value


def test_the_stacks_of_all_six_are_the_golden_ones(out: Path) -> None:
    golden = {file.name: file.read_text() for file in GOLDEN.iterdir() if file.is_file()}
    made = golden_texts(out)
    assert set(made) == set(golden)
    for name, text in made.items():
        assert text == golden[name], f"{name} differs; if rightly: python -m tests.golden_environments"


def test_the_six_cover_every_purchase_network_and_store(out: Path) -> None:
    kinds = {kind for stack in STACKS for kind in stack_json(out, stack).get("resource", {})}
    assert {
        "aws_autoscaling_group",
        "aws_cloudtrail",
        "aws_efs_access_point",
        "aws_efs_file_system",
        "aws_flow_log",
        "aws_fsx_data_repository_association",
        "aws_fsx_lustre_file_system",
        "aws_lambda_function",
        "aws_nat_gateway",
        "aws_placement_group",
        "aws_s3_bucket",
        "aws_scheduler_schedule",
        "aws_sns_topic",
        "aws_vpc_endpoint",
    } <= kinds


def test_the_successor_of_cdktf_synthesizes_all_six_the_same(out: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stacks.app", "--environments", str(DECLARED), "--out"]
    for flavour in ("cdktf", "cdktn"):
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "FLEETFORM_CDK": flavour}
        subprocess.run([*command, str(tmp_path / flavour)], env=variables, check=True)
    for stack in STACKS:
        one, other = stack_json(tmp_path / "cdktf", stack), stack_json(tmp_path / "cdktn", stack)
        # As text, in the order in which it was written: the bytes that Terraform reads.
        assert json.dumps(without_comments(one)) == json.dumps(without_comments(other))
        assert one["//"].keys() == other["//"].keys()


def test_without_its_comments_a_stack_is_plain_terraform(out: Path) -> None:
    for stack in STACKS:
        plain = without_comments(stack_json(out, stack))
        assert "cdk" not in json.dumps(plain).lower(), f"{stack} still speaks of CDKTF"
        assert plain["terraform"]["required_providers"]["aws"]["version"] == VERSION


@pytest.mark.terraform
def test_terraform_finds_every_stack_valid(out: Path, tmp_path: Path) -> None:
    # At once, for each look loads the provider: as modules of the stack whose `import` blocks need to be in a
    # root module.
    stacks = Path(shutil.copytree(out / "stacks", tmp_path / "stacks"))
    others = [stack for stack in STACKS if stack != naming.ACCOUNT_STACK]
    modules = {"module": {stack: {"source": f"../{stack}"} for stack in others}}
    folder = stacks / naming.ACCOUNT_STACK
    (folder / "modules.tf.json").write_text(json.dumps(modules))
    plugins = find_plugin_dir(tmp_path / "plugins.json", VERSION, child_environment(os.environ))
    option = [f"-plugin-dir={plugins}"] if plugins else []
    initialized = terraform(folder, "init", "-backend=false", *option)
    assert initialized.returncode == 0, initialized.stdout + initialized.stderr
    known = json.loads((folder / ".terraform/modules/modules.json").read_text())["Modules"]
    assert {each["Key"] for each in known} == {"", *others}
    said = json.loads(terraform(folder, "validate", "-json").stdout)
    assert (said["valid"], said["error_count"]) == (True, 0), said["diagnostics"]


def terraform(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    variables = child_environment(os.environ)
    return subprocess.run(
        [str(find_terraform()), *words, "-no-color"],
        cwd=folder, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
