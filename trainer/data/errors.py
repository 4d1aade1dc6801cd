"""The one error that says a data set cannot be used."""

from __future__ import annotations


class DatasetError(Exception):
    """A data set that cannot be made here, or a file that is not what it should be; says what to do."""


class FileError(DatasetError):
    """One file or object that cannot be read, through no fault of its neighbours."""
