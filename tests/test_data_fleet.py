"""Data of one's own on its way: prepared here, uploaded by its digest, found again on the node."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from fleet import datasets
from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.project import Project
from tests.sandbox_helpers import api
from trainer import aws
from trainer.config import load_config
from trainer.configs.data import PicturesConfig, TableConfig, TokensConfig
from trainer.data import prepare_own
from trainer.data.dataset import open_dataset
from trainer.data.errors import DatasetError
from trainer.data.find import find_dataset
from trainer.data.places import list_places
from trainer.data.prepare_data import Request, prepare_data

BUCKET = "data-of-ones-own"


def table(path: Path, rows: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["height", "colour", "label"])
        writer.writerows([[n * 0.37 % 7, "red" if n % 3 else "blue", n % 2] for n in range(rows)])
    return path


def test_a_recipe_s_own_data_is_prepared_uploaded_and_found_on_a_node_that_lacks_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine" / "a.bin"
    path.parent.mkdir()
    np.arange(5000, dtype="<u2").tofile(path)
    project = Project(root=tmp_path, home=tmp_path / "home")
    settings = ["dataset=", "data.kind=tokens", f"data.path={path.parent}"]
    config = load_config("gpt", settings)
    first = datasets.prepare(project, config.data_name, "gpt", settings)
    assert {file.name.split("/")[0] for file in first.files} == {config.data_name}
    node = tmp_path / "node"
    for file in first.files:
        (node / file.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first.folder / file.name, node / file.name)
    np.arange(6000, dtype="<u2").tofile(path)
    second = datasets.prepare(project, config.data_name, "gpt", settings)
    assert second.sha256 != first.sha256
    shutil.rmtree(path.parent)
    with pytest.raises(ActError, match=r"gpt can't be prepared: data.path: .* does not exist"):
        datasets.prepare(project, config.data_name, "gpt", settings)
    monkeypatch.setenv("FLEETFORM_DATA_DIR", str(node))
    found = find_dataset(config, may_prepare=True)
    assert found is not None
    assert sum(open_dataset(found).report["tokens"].values()) == 5000


@pytest.fixture(autouse=True)
def _no_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the measuring of other methods: it takes seconds a data set."""
    monkeypatch.setattr(prepare_own, "references", lambda *arguments: {})


@pytest.mark.sandbox
def test_data_in_s3_is_what_it_is_on_a_disk(
    sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    from tests.test_data_own import album

    for name, value in sandbox.variables.items():
        monkeypatch.setenv(name, value)
    aws.client.cache_clear()
    s3 = api(sandbox, "s3")
    s3.create_bucket(Bucket=BUCKET)
    local = tmp_path / "local"
    table(local / "table" / "a.csv", 60)
    album(local / "album", 12)
    (local / "tokens").mkdir()
    np.arange(5000, dtype="<u2").tofile(local / "tokens" / "a.bin")
    for file in (path for path in local.rglob("*") if path.is_file()):
        s3.upload_file(str(file), BUCKET, file.relative_to(local).as_posix())
    s3.put_object(Bucket=BUCKET, Key="table-of-another/b.csv", Body=b"other,columns\n1,2\n")
    configs = (
        lambda where: TableConfig(path=f"{where}/table", target="label"),
        lambda where: PicturesConfig(path=f"{where}/album", height=8, width=8, held_out=0.4),
        lambda where: TokensConfig(path=f"{where}/tokens"),
    )
    for number, config in enumerate(configs):
        there = open_dataset(prepare_data(Request(data=config(f"s3://{BUCKET}")), tmp_path / f"s{number}"))
        here = open_dataset(prepare_data(Request(data=config(str(local))), tmp_path / f"l{number}"))
        for part in ("train", "held_out"):
            for name, array in here.arrays(part).items():
                assert np.array_equal(there.arrays(part)[name], array)
    with pytest.raises(DatasetError, match=r"s3://data-of-ones-own/nothing has no file that ends in"):
        list_places(f"s3://{BUCKET}/nothing", (".csv",))
    with pytest.raises(DatasetError, match=r"s3://no-such-bucket-here/x cannot be read: .*NoSuchBucket"):
        list_places("s3://no-such-bucket-here/x", (".csv",))
    aws.client.cache_clear()
