"""What a run can train on: a bundled data set by its name, or data of the user's own, one class a kind."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Shape = Literal["pictures", "table", "labelled_text", "tokens", "documents"]
"""What a data set's items are once it is prepared; a model trains on one of these."""

SHAPE_WORDS: Mapping[Shape, str] = {
    "pictures": "pictures",
    "table": "rows of a table",
    "labelled_text": "texts with labels",
    "tokens": "a text's tokens",
    "documents": "documents",
}
BUNDLED_SHAPES: Mapping[str, Shape] = {
    "breast_cancer": "table",
    "diabetes": "table",
    "digits": "pictures",
    "iris": "table",
    "python_packages": "labelled_text",
    "python_source": "tokens",
    "python_source_bpe": "tokens",
    "wine": "table",
}
"""The bundled data sets. All but Python's own text come with scikit-learn."""

Split = Literal["content", "random", "every_nth"]


@dataclass(frozen=True, kw_only=True)
class _Common:
    """What every kind of data has."""

    path: str
    """A file or folder of this machine, or s3://bucket/prefix."""
    held_out: float = 0.2
    """Share of the data that is held out from training, above 0 and below 1."""
    max_bad_share: float = 0.01
    """Share of rows or files that may be broken, 0 to 1; they are left out, and more of them are refused."""

    def _common_faults(self) -> Iterator[str]:
        if not self.path:
            yield "data.path: is empty: name a file, a folder or s3://bucket/prefix"
        if not 0 < self.held_out < 1:
            yield f"data.held_out: {self.held_out} is not between 0 and 1"
        if not 0 <= self.max_bad_share <= 1:
            yield f"data.max_bad_share: {self.max_bad_share} is not in [0, 1]"


@dataclass(frozen=True, kw_only=True)
class PicturesConfig(_Common):
    """Pictures with a class each: a folder a class, or a table that lists files and labels."""

    kind: Literal["pictures"] = "pictures"
    labels: str = ""
    """CSV, JSONL or Parquet file that names each picture and its class; "" where each class has a folder."""
    file_column: str = "file"
    """Column of `labels` with a picture's path below `path`."""
    label_column: str = "label"
    """Column of `labels` with its class."""
    height: int = 224
    """Pixels of a prepared picture from top to bottom."""
    width: int = 224
    """Pixels of a prepared picture from left to right."""
    colour: Literal["rgb", "grey"] = "rgb"
    """Three channels, or one."""
    resize: Literal["crop", "squeeze"] = "crop"
    """How a picture of another shape is fitted: its middle cut out, or the whole of it squeezed."""
    split: Split = "content"
    """How pictures are held out: by a hash of the file's bytes, which keeps copies together and stays the
    same as data grows; by chance; or every nth in the order of their paths."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        yield from self._common_faults()
        for name in ("height", "width"):
            if not 1 <= getattr(self, name) <= 4096:
                yield f"data.{name}: {getattr(self, name)} is not between 1 and 4096 pixels"


@dataclass(frozen=True, kw_only=True)
class TableConfig(_Common):
    """Rows of numbers and categories, with one column to predict."""

    kind: Literal["table"] = "table"
    target: str
    """The column to predict."""
    predict: Literal["auto", "class", "number"] = "auto"
    """What the target is; auto takes a number where it has decimals or more than 20 different numbers."""
    numbers: tuple[str, ...] = ()
    """Columns to take for numbers, whatever they look like."""
    categories: tuple[str, ...] = ()
    """Columns to take for categories, though they look like numbers."""
    ignore: tuple[str, ...] = ()
    """Columns to leave out."""
    split: Split = "content"
    """How rows are held out: by a hash of the row, which keeps copies together and stays the same as data
    grows; by chance; or every nth."""
    group_column: str = ""
    """Rows with the same value here (patient, machine) are all in one part; not trained on."""
    held_out_column: str = ""
    """Column that says itself what is held out (held_out, test, valid, true, 1); not trained on."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range or does not fit another."""
        yield from self._common_faults()
        if not self.target:
            yield "data.target: is empty: name the column to predict"
        if self.group_column and self.held_out_column:
            yield "data.held_out_column: decides the split, and so does data.group_column: leave one out"
        named = {"target": (self.target,), "numbers": self.numbers, "categories": self.categories}
        named |= {"ignore": self.ignore, "group_column": (self.group_column,)}
        named |= {"held_out_column": (self.held_out_column,)}
        seen: dict[str, str] = {}
        for key, columns in named.items():
            for column in filter(None, columns):
                # What the target is taken for may be said in `predict` alone.
                if column in seen:
                    yield f"data.{key}: {column!r} is named in data.{seen[column]} as well"
                seen[column] = key


@dataclass(frozen=True, kw_only=True)
class TextConfig(_Common):
    """Documents: files of text, or rows of a table; with a label each for text to class."""

    kind: Literal["text"] = "text"
    text_column: str = "text"
    """Column of a CSV, JSONL or Parquet file with the text."""
    label_column: str = ""
    """Column with its class; "" for text that is continued, not classified."""
    tokenizer: Literal["bpe", "characters"] = "bpe"
    """Byte pairs learned from the training part, or one token a character (ASCII alone)."""
    vocabulary: int = 4096
    """Tokens that byte pairs are learned for, 257 to 262,144."""
    split: Split = "content"
    """How documents are held out: by a hash of the text, which keeps copies together and stays the same as
    data grows; by chance; or every nth."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range or does not fit another."""
        yield from self._common_faults()
        if not self.text_column:
            yield "data.text_column: is empty: name the column with the text"
        if not 257 <= self.vocabulary <= 2**18:
            yield f"data.vocabulary: {self.vocabulary} is not between 257 and 262144"
        if self.label_column and self.tokenizer != "bpe":
            yield 'data.tokenizer: text to class needs "bpe"'


@dataclass(frozen=True, kw_only=True)
class DocumentsConfig(_Common):
    """Documents that stay text, for a model that brings its own tokenizer: files, or rows of a table."""

    kind: Literal["documents"] = "documents"
    text_column: str = "text"
    """Column of a CSV, JSONL or Parquet file with the text to learn: where there are prompts, the answer."""
    prompt_column: str = ""
    """Column with the prompt that comes before the text and is not learned; "" where there is none."""
    split: Split = "content"
    """How documents are held out, as for text."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        yield from self._common_faults()
        if not self.text_column:
            yield "data.text_column: is empty: name the column with the text"


@dataclass(frozen=True, kw_only=True)
class TokensConfig(_Common):
    """Shards of tokens that exist already: raw little-endian numbers in .bin files."""

    kind: Literal["tokens"] = "tokens"
    dtype: Literal["auto", "uint16", "uint32"] = "auto"
    """Kind of number; auto reads it from the file's header or about.json, and takes uint16 without either."""
    vocabulary: int = 0
    """Number of different tokens; 0 takes it from about.json, else one more than the largest token."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        yield from self._common_faults()
        if not 0 <= self.vocabulary <= 2**32:
            yield f"data.vocabulary: {self.vocabulary} is not between 0 and 2**32"


DataConfig = PicturesConfig | TableConfig | TextConfig | DocumentsConfig | TokensConfig
DATA_CONFIGS: Mapping[str, type[DataConfig]] = {
    "pictures": PicturesConfig,
    "table": TableConfig,
    "text": TextConfig,
    "documents": DocumentsConfig,
    "tokens": TokensConfig,
}


def data_shape(data: DataConfig) -> Shape:
    """Return what the items are once they are prepared."""
    if isinstance(data, TextConfig):
        return "labelled_text" if data.label_column else "tokens"
    return data.kind


def content_settings(data: DataConfig) -> dict[str, Any]:
    """Return the settings that decide what is prepared, as JSON knows them; not what is only refused."""
    settings = dataclasses.asdict(data)
    del settings["max_bad_share"]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def prepared_name(data: DataConfig) -> str:
    """Return the name of the folder that such data is prepared in: its kind and a digest of its settings."""
    text = json.dumps(content_settings(data), sort_keys=True)
    return f"{data.kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
