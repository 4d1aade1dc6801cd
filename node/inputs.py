"""What a node needs before it can start its part of a run: script, code and dataset, all verified."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from node.attach import Attached, attach
from node.config import NodeConfig
from node.layout import dataset_key, run_key
from node.mounts import MountError
from node.packages import PackagesAwayError, PackagesError, prepare_packages
from node.store import Bucket, file_digest


class InputError(Exception):
    """Something that the run needs is missing or damaged; the message is one line."""


class WrongInputError(InputError):
    """It would be no better on any other machine, or at another time."""


@dataclass(frozen=True)
class Inputs:
    """A run's files on this machine."""

    run: dict[str, Any]
    """`run.json`."""
    script: Path
    code_dir: Path
    data_dir: Path
    attached: Attached
    python: str
    """The interpreter that has what the run brings along."""


def fetch_inputs(bucket: Bucket, config: NodeConfig, run_id: str) -> Inputs:
    """Fetch everything; a dataset that an earlier run brought is used again. Raises InputError.

    A dataset on the run's own file system is read there, and not brought to this machine's disk.
    """
    run = json.loads(_need(bucket, run_key(run_id, "run.json")))
    try:
        attached = attach(bucket, config, run)
    except MountError as error:
        raise InputError(str(error)) from error
    run_dir, code_dir = config.run_dir(run_id), config.code_dir(run_id)
    run_dir.mkdir(parents=True, exist_ok=True)
    code_dir.mkdir(parents=True, exist_ok=True)
    script = code_dir.with_name(
        f"{run_id}.launch.sh"
    )  # beside the run directory, which goes back to the bucket
    # The tasks of an array run the same, which lies in the array's own directory.
    source = str(run.get("array_of") or run_id)
    script.write_bytes(_need(bucket, run_key(source, "launch.sh")))
    if run.get("code"):
        _unpack(_need(bucket, run_key(source, "code.tar.gz")), run["code"]["sha256"], code_dir)
    datasets = Bucket(bucket.s3, config.dataset_bucket)
    if attached.data_dir is not None:
        data_dir = _shown_dataset(attached.data_dir, run.get("dataset"))
    else:
        data_dir = _fetch_dataset(datasets, config, run.get("dataset"))
    return Inputs(run, script, code_dir, data_dir, attached, _python(config, run))


def _python(config: NodeConfig, run: Mapping[str, Any]) -> str:
    """Return the interpreter of the run's packages, which are installed unless they are; else the image's."""
    if not run.get("packages"):
        return config.python
    try:
        return str(prepare_packages(config, str(run["packages"]["sha256"])))
    except PackagesAwayError as error:
        raise InputError(f"its packages can't be had: {error}") from error
    except PackagesError as error:
        raise WrongInputError(f"its packages can't be installed: {error}") from error


def _need(bucket: Bucket, key: str) -> bytes:
    body = bucket.get(key)
    if body is None:
        raise WrongInputError(f"s3://{bucket.name}/{key} is missing")
    return body


def _unpack(archive: bytes, digest: str, folder: Path) -> None:
    if sha256(archive).hexdigest() != digest:
        raise WrongInputError(f"code.tar.gz is damaged: its SHA-256 is not {digest}")
    # The filter refuses what would land outside the folder.
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        tar.extractall(folder, filter="data")


def _shown_dataset(folder: Path, dataset: dict[str, Any] | None) -> Path:
    """Return the folder of the run's own file system that shows the dataset, after checking every file."""
    for file in dataset["files"] if dataset else []:
        path = folder / file["name"]
        if not path.is_file() or file_digest(path) != (file["size"], file["sha256"]):
            raise InputError(f"{file['name']} on the run's file system is missing or damaged")
    return folder


def _fetch_dataset(bucket: Bucket, config: NodeConfig, dataset: dict[str, Any] | None) -> Path:
    """Return the dataset's folder with every file in it; a file found there is checked again."""
    folder = config.data_dir(dataset["sha256"] if dataset else "")
    folder.mkdir(parents=True, exist_ok=True)
    for file in dataset["files"] if dataset else []:
        path = folder / file["name"]
        if path.is_file() and file_digest(path) == (file["size"], file["sha256"]):
            continue
        try:
            bucket.download(dataset_key(dataset["sha256"], file["name"]), path, file["sha256"])  # type: ignore[index]
        except ValueError as error:
            raise InputError(str(error)) from error
    return folder
