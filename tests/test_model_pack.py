"""Models taken home: one zip that proves itself, with where the model is from, and what is not known."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.lineage import lineage
from fleet.model_copy import bring_model
from fleet.model_pack import card, pack
from fleet.project import Project
from fleet.run_store import RunStore
from stacks.problems import UserError
from tests.run_directories import ENDED, bring_home, make, new_store, put

pytestmark = pytest.mark.sandbox
RUN = "20260101-000000-abcde"
DATA = hashlib.sha256(b"about").hexdigest()
CONFIG: dict[str, Any] = {
    "data": {"name": "pictures-0a1b", "digest": DATA, "source": "pets | `all`", "licence": ""},
    "torch": "2.13.0",
    "metrics": {"accuracy": 0.97},
    "training": {"recipe": "digits-resnet", "samples": 100},
}
FILES = {
    "model/README.md": "# Pets\n\n## Use\n\n```python\n# a comment\n```\n",
    "model/model.safetensors": "weights" * 1000,
    "summary.json": '{"samples": 100}',
    "metrics.jsonl": '{"step": 1, "loss": 2.0}\n',
}


@pytest.fixture
def store(sandbox: Cloud) -> RunStore:
    """Return a bucket with one run that has ended, and has left a model."""
    store = new_store(sandbox)
    dataset = {
        "name": "pictures-0a1b",
        "sha256": "d" * 64,
        "files": [{"name": "pictures-0a1b/about.json", "size": 5, "sha256": DATA}],
    }
    make(
        store,
        RUN,
        *ENDED,
        environment="shop",
        recipe="digits-resnet",
        dataset=dataset,
        overrides=["samples=100"],
    )
    bring_home(store, RUN, **FILES, **{"model/config.json": json.dumps(CONFIG)})
    store.put(RUN, "data.json", {"digest": DATA})
    store.put(RUN, "receipt.json", {"cost": {"usd": 1.25}})
    return store


def test_the_lineage_goes_from_the_data_to_the_model(store: RunStore) -> None:
    found = lineage(store, RUN)
    assert (found.data_digest, found.upload_digest) == (DATA, "d" * 64)
    assert (found.program, found.overrides, found.torch) == ("digits-resnet", ("samples=100",), "2.13.0")
    assert (found.machines, found.usd, found.metrics) == (("g5.xlarge",), 1.25, {"accuracy": 0.97})
    assert [file.name for file in found.files] == [
        "model/README.md", "model/config.json", "model/model.safetensors",
    ]  # fmt: skip
    lines = "".join(f"{file.sha256}  {file.name}\n" for file in found.files)
    assert found.model_sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert [gap for gap in found.gaps if "version of fleetform" not in gap] == []


def test_what_does_not_fit_together_is_said(store: RunStore) -> None:
    store.put(RUN, "data.json", {"digest": "e" * 64})
    assert any("data check is of other data" in gap for gap in lineage(store, RUN).gaps)
    store.delete(RUN, "data.json")
    run = store.get_json(RUN, "run.json") or {}
    run["dataset"]["files"][0]["sha256"] = "f" * 64
    store.put(RUN, "run.json", run)
    assert any("uploaded for the run is not what the model says" in gap for gap in lineage(store, RUN).gaps)
    store.delete(RUN, "outputs/node-0.json")
    assert any("no node has recorded the digest" in gap for gap in lineage(store, RUN).gaps)
    make(store, RUN, *ENDED, recipe="", script="train.py", code={"sha256": "c" * 64, "git": None})
    assert any("lay in no repository" in gap for gap in lineage(store, RUN).gaps)


def unpacked(body: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(body)) as opened:
        assert opened.testzip() is None
        opened.extractall(folder)
    return folder / RUN


def test_the_zip_proves_itself_without_fleetform_and_is_the_same_each_time(
    store: RunStore, tmp_path: Path
) -> None:
    packed = pack(store, RUN)
    body = b"".join(packed.chunks)
    assert packed.name == f"{RUN}-model.zip"
    assert b"".join(pack(store, RUN).chunks) == body
    folder = unpacked(body, tmp_path)
    ran = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
    assert len(ran.stdout.splitlines()) == len([each for each in folder.rglob("*") if each.is_file()]) - 1
    assert (folder / "model" / "model.safetensors").read_text() == FILES["model/model.safetensors"]
    assert json.loads((folder / "lineage.json").read_text())["model_sha256"] == packed.lineage.model_sha256
    text = (folder / "MODEL_CARD.md").read_text()
    assert "| data from | `pets \\| 'all'` |" in text
    assert "\n## Pets\n" in text and "\n### Use\n" in text and "\n# a comment\n" in text


def test_a_file_that_is_not_what_its_node_uploaded_leaves_no_whole_zip(store: RunStore) -> None:
    put(store, RUN, "model/model.safetensors", b"weighty" * 1000)
    got = bytearray()
    with pytest.raises(ActError, match=r"model.safetensors of the run .* is damaged"):
        for chunk in pack(store, RUN).chunks:
            got += chunk
    assert got
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(bytes(got)))


def test_a_run_without_a_model_is_refused_before_anything_is_sent(store: RunStore) -> None:
    make(store, "20260101-000001-abcde", "QUEUED", "PROVISIONING", "RUNNING")
    with pytest.raises(UserError, match=r"is RUNNING and has no model\n    wait for its end"):
        pack(store, "20260101-000001-abcde")
    make(store, "20260101-000002-abcde", "QUEUED", "FAILED")
    with pytest.raises(UserError, match="take a run of a recipe that has SUCCEEDED"):
        pack(store, "20260101-000002-abcde")
    for name in ("20260101-000000-abcdf", "../runs", "", f"{RUN}/model"):
        with pytest.raises(UserError, match="there is no run"):
            pack(store, name)


def test_the_card_says_what_is_not_known(store: RunStore) -> None:
    text = card(lineage(store, RUN))
    assert "- which version of fleetform's own trainer the nodes had" in text
    assert "licence" not in text, "what is not known is left out of the table"


def test_a_model_is_brought_alone_and_verified(store: RunStore, tmp_path: Path) -> None:
    project = Project(root=tmp_path, home=tmp_path / "home")
    folder = bring_model(project, store, RUN)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert bring_model(project, store, RUN) == folder
    shutil.rmtree(folder)
    put(store, RUN, "model/config.json", b"{}")
    with pytest.raises(ActError, match="is damaged"):
        bring_model(project, store, RUN)
