"""A few items of data as they are: pictures, the first rows of a table, beginnings of texts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PreviewPicture:
    """A picture made small."""

    src: str
    label: str
    """Its class."""


@dataclass(frozen=True, kw_only=True)
class PreviewText:
    """The beginning of a text."""

    label: str
    """Its class, "" where there are none."""
    text: str


@dataclass(frozen=True, kw_only=True)
class DataPreview:
    """What `data_preview.html.j2` shows; what is of another kind is empty."""

    title: str
    about: tuple[str, ...]
    """How much there is, and where it is from."""
    classes: tuple[tuple[str, str], ...]
    """Each class, and how many items of it there are."""
    pictures: tuple[PreviewPicture, ...]
    columns: tuple[str, ...]
    target: str
    """The column that is predicted, "" where none is named."""
    rows: tuple[tuple[str, ...], ...]
    texts: tuple[PreviewText, ...]
    warnings: tuple[str, ...]
    """In the product's own words, which are English."""
