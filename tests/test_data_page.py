"""docs/data.md: it has every setting and every bundled data set, and its programs run."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.configs.data import BUNDLED_SHAPES, DATA_CONFIGS
from trainer.data import prepare_data as preparing
from trainer.data.dataset import open_dataset
from trainer.data.prepare_data import Request

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("kind", DATA_CONFIGS)
def test_the_page_has_every_setting(kind: str) -> None:
    missing = [
        field.name for field in dataclasses.fields(DATA_CONFIGS[kind]) if f"`{field.name}`" not in PAGE
    ]
    assert [name for name in missing if name != "kind"] == []
    assert f'kind = "{kind}"' in PAGE


def test_the_page_s_bundled_data_sets_are_those_that_there_are() -> None:
    table = PAGE.partition("## Bundled data")[2].partition("## What is prepared")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(BUNDLED_SHAPES)


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "iris", "diabetes"])
def test_the_page_s_counts_are_those_of_the_data(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "references", lambda *arguments: {})
    data = open_dataset(preparing.prepare_data(Request(name), tmp_path / name))
    count = data.train.num_items + data.held_out.num_items
    assert re.search(rf"^\| `{name}` \|.*\| {count:,} \|", PAGE, re.MULTILINE)


@pytest.mark.torch
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_page_s_programs_run(number: int, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        PROGRAMS[number] + 'print("items", getattr(globals().get("source"), "num_items", 0))\n'
    )
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, program], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if "write_shards" in PROGRAMS[number]:
        assert int(done.stdout.split("items ")[1]) > 1000
    else:
        lines = (tmp_path / "runs" / "squares" / "metrics.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["step"] == 50
