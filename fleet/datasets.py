"""The datasets of recipes: prepared once on this machine, uploaded once to a dataset bucket."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleet import aws
from fleet.errors import ActError
from fleet.project import Project
from trainer.config import load_config

_SOURCE = Path(__file__).parents[1] / "trainer"
_LISTING = "files.json"
"""Beside a prepared dataset: its files, their sizes and digests. Written last."""


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


def prepare(
    project: Project,
    name: str,
    recipe: str = "",
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Dataset:
    """Return the dataset, made by `python -m trainer.prepare` unless this project has it already.

    What a recipe's section [data] names is looked at each time: its files may have changed, and are then
    prepared again. `environment` is that of the cloud, where those files may be. Raises ActError with the
    trainer's own words where it can't be made.
    """
    own = _is_own(recipe, overrides)
    folder = _folder(project, name, own=own)
    listing = folder / _LISTING
    if own or not listing.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        made = _run_trainer([recipe, *overrides] if own else [name], folder, environment or os.environ)
        entries = sorted(
            (Path(file["path"]).relative_to(folder).as_posix(), int(file["bytes"]), str(file["sha256"]))
            for file in made["files"]
        )
        part = listing.with_name(f".files.{os.getpid()}.json")
        part.write_text(json.dumps(entries))
        part.replace(listing)
    return _listed(name, folder)


def known_dataset(
    project: Project, name: str, recipe: str = "", overrides: Sequence[str] = ()
) -> Dataset | None:
    """Return the dataset as this project has prepared it last, None where it never has; nothing is made."""
    folder = _folder(project, name, own=_is_own(recipe, overrides))
    return _listed(name, folder) if (folder / _LISTING).is_file() else None


def _is_own(recipe: str, overrides: Sequence[str]) -> bool:
    """Return whether the recipe names data of the user's own."""
    return bool(recipe) and load_config(recipe, overrides).data is not None


def _folder(project: Project, name: str, *, own: bool) -> Path:
    return project.home / "data" / (name if own else f"{name}-{_version()}")


def _listed(name: str, folder: Path) -> Dataset:
    files = tuple(DataFile(*entry) for entry in json.loads((folder / _LISTING).read_text()))
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
    """Return a digest of what makes a bundled dataset: the trainer's code, and this Python's own library."""
    digest = hashlib.sha256(sys.version.encode())
    text = (_SOURCE / "text" / "sets.py", _SOURCE / "text" / "tokenizer.py")
    for file in (*sorted((_SOURCE / "data").glob("*.py")), *text):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _run_trainer(what: Sequence[str], folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Prepare a dataset by its name, or by a recipe and its settings; return what the trainer told of it.

    What it says of how far it is goes on to this process's standard error.
    """
    command = [sys.executable, "-m", "trainer.prepare", *what, "--json", "--out", str(folder)]
    paths = [str(_SOURCE.parent), *filter(None, [environment.get("PYTHONPATH")])]
    variables = {**environment, "PYTHONPATH": os.pathsep.join(paths)}
    errors: list[str] = []
    with (
        tempfile.TemporaryFile() as told,
        subprocess.Popen(
            command, stdout=told, stderr=subprocess.PIPE, text=True, errors="replace", env=variables
        ) as process,
    ):
        assert process.stderr is not None, "it is a pipe"
        for line in process.stderr:
            # An error is the last that it says, and may have several lines.
            if errors or line.startswith("error: ") or line.startswith("Traceback"):
                errors.append(line.removeprefix("error: "))
            else:
                print(line, end="", file=sys.stderr, flush=True)
        if process.wait() != 0:
            said = "".join(errors).strip() or f"it ended with {process.returncode}"
            raise ActError(f"the dataset {what[0]} can't be prepared: {said}")
        told.seek(0)
        made: dict[str, Any] = json.load(told)
    return made
