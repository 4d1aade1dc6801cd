"""The datasets of recipes: prepared once on this machine, uploaded once to a dataset bucket."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleet import aws
from fleet.errors import ActError
from fleet.project import Project

_SOURCE = Path(__file__).parents[1] / "trainer"


@dataclass(frozen=True)
class DataFile:
    """One file of a dataset."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset on this machine."""

    name: str
    folder: Path
    files: tuple[DataFile, ...]

    @property
    def sha256(self) -> str:
        """Digest of the whole: of the names and digests of its files."""
        text = "".join(f"{file.sha256}  {file.name}\n" for file in self.files)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return the dataset as `run.json` names it."""
        return {"name": self.name, "sha256": self.sha256, "files": [asdict(file) for file in self.files]}


def prepare(project: Project, name: str) -> Dataset:
    """Return the dataset, made by `python -m trainer.prepare` unless this project has it already.

    Raises ActError with the trainer's own words where it can't be made.
    """
    folder = project.home / "data" / f"{name}-{_version()}"
    listing = folder / "files.json"
    if not listing.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        made = _run_trainer(name, folder)
        entries = sorted(
            (Path(file["path"]).relative_to(folder).as_posix(), int(file["bytes"]), str(file["sha256"]))
            for file in made["files"]
        )
        part = listing.with_name(f".files.{os.getpid()}.json")
        part.write_text(json.dumps(entries))
        part.replace(listing)
    files = tuple(DataFile(*entry) for entry in json.loads(listing.read_text()))
    return Dataset(name, folder, files)


def upload(s3: Any, bucket: str, dataset: Dataset) -> None:
    """Bring those files of the dataset to the dataset bucket, below its digest, that are not there yet."""

    def send(file: DataFile) -> None:
        key = f"{dataset.sha256}/{file.name}"
        if _size(s3, bucket, key) != file.size:
            s3.upload_file(str(dataset.folder / file.name), bucket, key)

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(send, dataset.files))


def _size(s3: Any, bucket: str, key: str) -> int | None:
    try:
        return int(s3.head_object(Bucket=bucket, Key=key)["ContentLength"])
    except Exception as error:
        if aws.error_code(error) in ("404", "NoSuchKey", "NotFound"):
            return None
        raise


def _version() -> str:
    """Return a digest of what makes a dataset: the trainer's code for it, and this Python's own library."""
    digest = hashlib.sha256(sys.version.encode())
    for file in (_SOURCE / "prepare.py", *sorted((_SOURCE / "data").glob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _run_trainer(name: str, folder: Path) -> dict[str, Any]:
    command: Sequence[str] = [sys.executable, "-m", "trainer.prepare", name, "--json", "--out", str(folder)]
    paths = [str(_SOURCE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode != 0:
        raise ActError(f"the dataset {name} can't be prepared: {done.stderr.strip() or done.returncode}")
    made: dict[str, Any] = json.loads(done.stdout)
    return made
