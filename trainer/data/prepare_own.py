"""Prepares the user's own data, by its kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainer.configs.data import (
    DataConfig,
    DocumentsConfig,
    PicturesConfig,
    TableConfig,
    TextConfig,
    content_settings,
)
from trainer.data.dataset import PARTS, SMALL, merged
from trainer.data.dataset_writer import finish
from trainer.data.decode import SUFFIXES
from trainer.data.mapped import map_safetensors
from trainer.data.pictures_prepare import find_pictures, prepare_pictures
from trainer.data.places import Place, on_this_machine
from trainer.data.prepared import Prepared, write_prepared
from trainer.data.quarantine import Quarantine
from trainer.data.references import references
from trainer.data.rows import read_rows
from trainer.data.table_prepare import prepare_table
from trainer.data.text_prepare import prepare_documents, prepare_labelled, prepare_tokens
from trainer.data.tokens_import import import_tokens
from trainer.data.units import forget_units


def prepare_own(
    name: str, data: DataConfig, places: Sequence[Place], folder: Path, quarantine: Quarantine
) -> Path:
    """Prepare the files into the folder under that name, and return the folder; raises DatasetError."""
    if isinstance(data, PicturesConfig):
        return _pictures(name, data, places, folder, quarantine)
    if isinstance(data, TableConfig):
        return _table(name, data, places, folder, quarantine)
    settings = content_settings(data)
    if isinstance(data, DocumentsConfig):
        return write_prepared(folder, prepare_documents(data, places, quarantine), name, settings)
    if isinstance(data, TextConfig) and data.label_column:
        return write_prepared(folder, prepare_labelled(data, places, quarantine), name, settings)
    if isinstance(data, TextConfig):
        files, about, report = prepare_tokens(folder, data, places, quarantine)
    else:
        files, about, report = import_tokens(folder, data, places)
    finish(folder, name=name, kind="tokens", files=files, about=about, report=report, settings=settings)
    forget_units(folder)
    return folder


def _pictures(
    name: str, data: PicturesConfig, places: Sequence[Place], folder: Path, quarantine: Quarantine
) -> Path:
    pictures = find_pictures(data, quarantine)
    used = {picture.place.where for picture in pictures}
    unlisted = sum(Path(each.where).suffix.lower() in SUFFIXES and each.where not in used for each in places)
    files, about, report = prepare_pictures(folder, data, pictures, quarantine, unlisted)
    if sum(file["bytes"] for file in files) <= SMALL:
        opened = [(file["part"], map_safetensors(folder / file["name"])) for file in files]
        parts = {each: merged([arrays for part, arrays in opened if part == each]) for each in PARTS}
        about |= references("pictures", about, parts)
    settings = content_settings(data)
    finish(folder, name=name, kind="pictures", files=files, about=about, report=report, settings=settings)
    forget_units(folder)
    return folder


def _table(
    name: str, data: TableConfig, places: Sequence[Place], folder: Path, quarantine: Quarantine
) -> Path:
    with on_this_machine(places, quarantine) as files:
        parts, about, report = prepare_table(lambda: read_rows(files, quarantine), data, quarantine)
    about |= {"source": data.path} | references("table", about, parts)
    return write_prepared(folder, Prepared("table", parts, about, report), name, content_settings(data))
