"""Finds a run's prepared data on this machine, and prepares it where nobody has yet."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from trainer.config import Config
from trainer.data.dataset import ABOUT
from trainer.data.prepare_data import Request, prepare_data


def find_dataset(config: Config, *, may_prepare: bool) -> Path | None:
    """Return the folder of the run's prepared data: below $FLEETFORM_DATA_DIR, else in this machine's cache.

    If `may_prepare`, what is missing there, or was prepared from other files than there are now, is prepared
    into the cache; else the answer may be None. Raises DatasetError.
    """
    request = Request(config.dataset, config.data)
    if given := os.environ.get("FLEETFORM_DATA_DIR"):
        folder = Path(given) / request.name
        if (folder / ABOUT).is_file():
            return folder
    folder = cache_folder(request)
    if may_prepare:
        return prepare_data(request, folder)
    return folder if (folder / ABOUT).is_file() else None


def cache_folder(request: Request) -> Path:
    """Return the folder of this machine's cache that such data is prepared in."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleetform" / "datasets"
    # Bundled text is that of this Python's own library.
    return home / (request.name if request.data else f"python-{platform.python_version()}/{request.name}")
