"""Brings a model's folder from S3 to this machine, once for all processes on it."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from pathlib import Path

from trainer.configs.settings import ConfigError
from trainer.data.errors import DatasetError
from trainer.data.s3 import Found, download_object, list_objects

SUFFIXES = (".json", ".safetensors", ".model", ".txt", ".jinja")
"""Files that a model's folder is made of; weights in formats that can run code are not fetched."""


def fetch(url: str, cache: Path) -> Path:
    """Return the folder in the cache with the files right below s3://bucket/prefix, as they are there now.

    Whichever process comes first fetches them, the others wait. Raises ConfigError where there are none.
    """
    prefix = url.rstrip("/") + "/"
    try:
        found = [
            each
            for each in list_objects(prefix.rstrip("/"))
            if "/" not in (name := each.url.removeprefix(prefix)) and name.endswith(SUFFIXES)
        ]
    except DatasetError as error:
        raise ConfigError([f"model.path: {error}"]) from None
    if not found:
        raise ConfigError([f"model.path: there is no model's file below {prefix}"])
    folder = cache / _digest(found)
    cache.mkdir(parents=True, exist_ok=True)
    # The kernel frees the lock when its holder ends, however that was.
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _download(found, prefix, folder)
    return folder


def _download(found: list[Found], prefix: str, folder: Path) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        for each in found:
            download_object(each.url, partial / each.url.removeprefix(prefix))
    except DatasetError as error:
        raise ConfigError([f"model.path: {error}"]) from None
    partial.rename(folder)


def _digest(found: list[Found]) -> str:
    """Return what changes when one of the files does."""
    text = "".join(sorted(f"{each.url} {each.size} {each.etag}\n" for each in found))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
