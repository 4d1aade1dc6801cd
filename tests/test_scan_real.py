"""The policy scan with the real checkov, installed once into the user's cache folder."""

from __future__ import annotations

import datetime
import json
import os
import re
import socket
from pathlib import Path

import pytest

from fleet.checkov import VERSION, install, run_checkov
from fleet.scan import POLICIES, check_stacks, judge, read_report
from fleet.scan_copy import copy_stack
from fleet.terraform_events import quiet
from stacks.waivers import OWN_WAIVERS, load_waivers
from tests.golden_environments import synthesize_all
from tests.golden_synth import synthesize_golden
from tests.spec_files import environment_text, write_folder
from tests.test_cli import fleetform
from tests.test_scan import RECORDED, recorded

pytestmark = pytest.mark.checkov


@pytest.fixture(scope="module")
def checkov() -> Path:
    """The pinned checkov; about a minute where this user's cache does not have it yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return install(cache / "fleetform" / f"checkov-{VERSION}", quiet)


def test_checkov_says_what_was_recorded_and_contacts_nothing(
    checkov: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where checkov remembers that it has just asked pypi.org
    copy = copy_stack(RECORDED / "stacks" / "tiny", tmp_path / "tiny")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        text = run_checkov(checkov, tmp_path, POLICIES)
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert read_report(text, [copy]) == read_report(json.dumps(recorded()), [copy])


def test_no_check_fails_on_any_golden_tree_but_what_is_waived(checkov: Path, tmp_path: Path) -> None:
    synthesize_golden(tmp_path / "one")
    synthesize_all(tmp_path / "six")
    one, six = (tmp_path / each / "stacks" for each in ("one", "six"))
    for name in ("vision-base", "vision-fleet"):
        (one / name).rename(six / name)
    verdict, copies = check_stacks(tmp_path / "six", tmp_path / "copy", checkov, quiet)
    result = judge(verdict, copies, load_waivers([OWN_WAIVERS]), datetime.date(2026, 11, 22))
    assert [str(each) for each in result.errors] == []
    assert [str(each) for each in result.warnings] == []
    declared = {
        stack.name: sum(map(len, json.loads((stack / "cdk.tf.json").read_text())["resource"].values()))
        for stack in six.iterdir()
    }
    assert verdict.resources == declared, "all that was declared was scanned"
    assert "import" in json.loads((six / "account" / "cdk.tf.json").read_text()), "checkov drops it as it is"
    used = {str(waiver) for _, waiver in result.waived}
    reaching = {
        str(waiver)
        for _, waiver in load_waivers([OWN_WAIVERS])
        for copy in copies
        if any(waiver.reaches(copy.stack, block.address) for block in copy.blocks)
    }
    assert used == reaching, "no waiver of anything that is there goes without a use"


def test_the_verb_scans_tells_the_count_and_reads_the_projects_own_waivers(
    checkov: Path, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path, vision=environment_text())
    folder.joinpath("waivers.toml").write_text(
        '[[waiver]]\ncheck = "CKV_AWS_21"\naddress = "aws_s3_bucket.artifacts"\nowner = "kim"\n'
        'reason = "to see that it is read, and reported"\nreview = 2099-01-01\n'
    )
    result = fleetform("check", "--scan", "vision", cwd=tmp_path, FLEETFORM_CHECKOV=str(checkov))
    assert result.returncode == 0, result.stderr
    assert re.search(
        r"checkov 3\.3\.30 scanned (\d+) resources of \1 in 3 stacks: \d+ checks, 0 failed, \d+ waived",
        result.stdout,
    )
    assert (
        "environments/waivers.toml: CKV_AWS_21 at aws_s3_bucket.artifacts in *: the waiver waives nothing"
        in (result.stderr)
    )
