"""The plain cdktf command on the repository as it stands: synth, deploy, diff and destroy."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from tests.real_stacks import ROOT, RealStacks, declare

CDKTF = ROOT / "node_modules" / ".bin" / "cdktf"
NAME = "plain"
UNLOCKED = "--skip-provider-lock"
"""Locking asks the registry for every platform's checksums, which a machine without internet cannot."""

pytestmark = [
    pytest.mark.cdktf_cli,
    pytest.mark.sandbox,
    pytest.mark.terraform,
    pytest.mark.skipif(not CDKTF.exists(), reason="cdktf-cli is not installed here: npm ci"),
]


@pytest.fixture
def real(tmp_path: Path, sandbox: Cloud) -> RealStacks:
    """Declarations of the test's own under the repository's cdktf.json."""
    shutil.copy(ROOT / "cdktf.json", tmp_path)
    return declare(tmp_path, sandbox, name=NAME, organization="cdktf-cli")


def cdktf(real: RealStacks, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Its plugin cache may be the very folder that the provider comes from: init cannot copy onto itself.
    done = real.run("env", "CDKTF_DISABLE_PLUGIN_CACHE_ENV=1", "CI=1", str(CDKTF), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_synth_writes_every_stack_of_the_repository(real: RealStacks, tmp_path: Path) -> None:
    written = tmp_path / "out"
    ran = subprocess.run(
        [str(CDKTF), "synth", "--output", str(written)],
        cwd=ROOT,
        env=real.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    names = {file.stem for file in (ROOT / "environments").glob("*.toml")} - {"account"}
    assert names
    expected = {"account", *(f"{name}-{part}" for name in names for part in ("base", "fleet"))}
    assert set(json.loads((written / "manifest.json").read_text())["stacks"]) == expected


def test_deploy_diff_and_destroy_go_through(real: RealStacks) -> None:
    deployed = cdktf(real, "deploy", "account", f"{NAME}-base", f"{NAME}-fleet", UNLOCKED, "--auto-approve")
    assert deployed.stdout.count("Apply complete!") == 3
    try:
        assert "No changes." in cdktf(real, "diff", f"{NAME}-fleet", UNLOCKED).stdout
    finally:
        gone = cdktf(real, "destroy", f"{NAME}-fleet", f"{NAME}-base", UNLOCKED, "--auto-approve")
    assert gone.stdout.count("Destroy complete!") == 2
