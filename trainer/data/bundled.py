"""Makes the bundled data sets' files from what is at hand offline, byte for byte the same each time."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import platform
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path

from trainer.data.errors import DatasetError
from trainer.safetensors_file import Array, write_safetensors

HELD_OUT_EVERY = 5
"""Every fifth digit, and every fifth file of the text, is held out from training."""
CHARACTERS = "\x00\t\n" + "".join(chr(code) for code in range(32, 127))
"""The characters that the text is made of, by token; token 0 stands for any other character."""


def dataset_names() -> list[str]:
    """Return the names of the data sets that can be prepared."""
    return sorted(_MAKERS)


def dataset_file_name(name: str) -> str:
    """Return the name of the data set's one file."""
    return f"{name}.safetensors"


def prepare(name: str, folder: Path) -> Path:
    """Make the data set's file in the folder and return its path; a reader never sees it half written.

    Raises DatasetError where its source is not on this machine.
    """
    arrays, about = _MAKERS[name]()
    path = folder / dataset_file_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(path, arrays, about)
    return path


def _make_digits() -> tuple[dict[str, Array], dict[str, str]]:
    """Return the 1,797 scanned digits (8 x 8 pixels of 0 to 16) and their labels, in the source's order.

    The source is scikit-learn's digits.csv.gz: the test part of E. Alpaydin and C. Kaynak, Optical
    Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998. The file is read where the
    package lies; importing scikit-learn would take a second.
    """
    package = importlib.util.find_spec("sklearn")
    locations = list(package.submodule_search_locations or []) if package else []
    source = Path(locations[0]) / "datasets" / "data" / "digits.csv.gz" if locations else None
    if source is None or not source.is_file():
        raise DatasetError(
            "the digits come with scikit-learn, which is not installed: pip install scikit-learn"
        )
    with gzip.open(source, "rt", newline="") as text:
        rows = [[int(float(cell)) for cell in row] for row in csv.reader(text)]
    if len(rows) != 1797 or any(len(row) != 65 or max(row) > 16 or min(row) < 0 for row in rows):
        raise DatasetError(
            f"{source} does not hold 1,797 rows of 64 pixels and a label: reinstall scikit-learn"
        )
    images = bytes(value for row in rows for value in row[:64])
    labels = bytes(row[64] for row in rows)
    arrays = {"images": Array((len(rows), 8, 8), images), "labels": Array((len(rows),), labels)}
    return arrays, {"dataset": "digits", "source": "scikit-learn digits.csv.gz"}


def _make_python_source() -> tuple[dict[str, Array], dict[str, str]]:
    """Return the text of the standard library's top-level modules as tokens, whole files held out.

    The text, and so the file, is that of the Python that runs this; the header names its version.
    """
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    token_of = {character: token for token, character in enumerate(CHARACTERS)}
    parts: dict[str, list[bytes]] = {"train": [], "held_out": []}
    for number, module in enumerate(modules):
        text = module.read_text(encoding="utf-8", errors="replace")
        tokens = bytes(token_of.get(character, 0) for character in text)
        parts["held_out" if number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else "train"].append(tokens)
    joined = {part: b"".join(texts) for part, texts in parts.items()}
    if min(len(tokens) for tokens in joined.values()) < 100_000:
        raise DatasetError("this Python does not carry its standard library's source: use another Python")
    arrays = {part: Array((len(tokens),), tokens) for part, tokens in joined.items()}
    about = {"dataset": "python_source", "python": platform.python_version(), "characters": CHARACTERS}
    return arrays, about


_MAKERS: Mapping[str, Callable[[], tuple[dict[str, Array], dict[str, str]]]] = {
    "digits": _make_digits,
    "python_source": _make_python_source,
}
