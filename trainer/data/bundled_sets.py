"""Makes the bundled data sets from what is at hand offline, byte for byte the same each time."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import platform
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.configs.data import BUNDLED_SHAPES, TableConfig
from trainer.data.bundled_tables import TABLES, read_bundled
from trainer.data.errors import DatasetError
from trainer.data.mapped import NUMPY_KINDS
from trainer.data.prepared import Prepared
from trainer.data.quarantine import Quarantine
from trainer.data.table_check import class_counts
from trainer.data.table_prepare import prepare_table

HELD_OUT_EVERY = 5
"""Every fifth digit, row of a table, and file of the text, is held out from training."""
CHARACTERS = "\x00\t\n" + "".join(chr(code) for code in range(32, 127))
"""The characters that the text is made of, by token; token 0 stands for any other character."""


def make_bundled(name: str) -> Prepared:
    """Return a bundled data set; raises DatasetError where its source is not on this machine."""
    assert name in BUNDLED_SHAPES, "the bundled data sets are those of trainer/configs/data.py"
    return _make_table(name) if name in TABLES else _MAKERS[name]()


def scikit_learn_data() -> Path:
    """Return the folder of scikit-learn's data; importing scikit-learn itself would take a second."""
    package = importlib.util.find_spec("sklearn")
    locations = list(package.submodule_search_locations or []) if package else []
    if not locations:
        raise DatasetError(
            "the data comes with scikit-learn, which is not installed: pip install scikit-learn"
        )
    return Path(locations[0]) / "datasets" / "data"


def _make_digits() -> Prepared:
    """Return the 1,797 scanned digits (8 x 8 pixels of 0 to 16) and their labels, in the source's order.

    They lie in the order of their writers, so every writer is in both parts: a score on the held-out part is
    that on new digits of known hands.
    """
    source = scikit_learn_data() / "digits.csv.gz"
    try:
        with gzip.open(source, "rt", newline="") as text:
            rows = np.array([[float(cell) for cell in row] for row in csv.reader(text)]).astype(np.uint8)
    except (OSError, ValueError):
        rows = np.empty((0, 0), np.uint8)
    if rows.shape != (1797, 65) or rows.max() > 16:
        raise DatasetError(f"{source} is not what scikit-learn ships: reinstall it")
    held_out = np.arange(len(rows)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    parts = {
        part: {
            "pictures": rows[chosen, :64].reshape(-1, 8, 8, 1),
            "labels": rows[chosen, 64].astype(np.int64),
        }
        for part, chosen in (("train", ~held_out), ("held_out", held_out))
    }
    classes = [str(digit) for digit in range(10)]
    about = {
        "classes": classes,
        "height": 8,
        "width": 8,
        "channels": 1,
        "brightest": 16,
        "source": "scikit-learn digits.csv.gz: the test part of E. Alpaydin and C. Kaynak, Optical"
        " Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998",
        "licence": "CC BY 4.0",
    }
    counts = {part: len(arrays["labels"]) for part, arrays in parts.items()}
    report = {"pictures": counts, "bad_files": 0, "classes": class_counts(parts, "labels", classes)}
    return Prepared("pictures", parts, about, report | {"warnings": []})


def _make_table(name: str) -> Prepared:
    table, folder = TABLES[name], scikit_learn_data()
    share = 1 / HELD_OUT_EVERY
    categories = ("sex",) if name == "diabetes" else ()
    config = TableConfig(
        path=name, target=table.target, categories=categories, split="every_nth", held_out=share
    )
    parts, about, report = prepare_table(lambda: read_bundled(name, folder), config, Quarantine(0))
    about |= {"source": f"scikit-learn {table.file}: {table.source}"}
    about |= {"licence": "as shipped with scikit-learn (BSD-3-Clause)" if name == "diabetes" else "CC BY 4.0"}
    return Prepared("table", parts, about, report)


def _make_python_source() -> Prepared:
    """Return the text of the standard library's top-level modules as characters, whole files held out.

    The text, and so the data set, is that of the Python that runs this.
    """
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    token_of = {character: token for token, character in enumerate(CHARACTERS)}
    texts: dict[str, list[bytes]] = {"train": [], "held_out": []}
    for number, module in enumerate(modules):
        text = module.read_text(encoding="utf-8", errors="replace")
        tokens = bytes(token_of.get(character, 0) for character in text)
        texts["held_out" if number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else "train"].append(tokens)
    parts = {part: {"tokens": np.frombuffer(b"".join(each), np.uint8)} for part, each in texts.items()}
    if min(len(arrays["tokens"]) for arrays in parts.values()) < 100_000:
        raise DatasetError("this Python does not carry its standard library's source: use another Python")
    about = {
        "characters": CHARACTERS,
        "vocabulary": len(CHARACTERS),
        "source": f"the standard library of Python {platform.python_version()}, its top-level modules",
        "licence": "Python Software Foundation License 2",
    }
    return Prepared("tokens", parts, about, _text_report(parts, {p: len(each) for p, each in texts.items()}))


def _text_report(
    parts: Mapping[str, Mapping[str, NDArray[Any]]], documents: Mapping[str, int]
) -> dict[str, Any]:
    tokens = {part: len(arrays["tokens"]) for part, arrays in parts.items()}
    return {"documents": dict(documents), "tokens": tokens, "warnings": []}


def _make_text(make_name: str) -> Prepared:
    """Return what one of the makers of trainer/text/sets.py makes, its arrays by part."""
    from trainer.text import sets as text_sets

    arrays, about = getattr(text_sets, make_name)()
    parts: dict[str, dict[str, NDArray[Any]]] = {"train": {}, "held_out": {}}
    for name, array in arrays.items():
        part = "train" if name.startswith("train") else "held_out"
        key = name.removeprefix(part).removeprefix("_") or "tokens"
        parts[part][key] = np.frombuffer(array.data, NUMPY_KINDS[array.dtype]).reshape(array.shape)
    tokens = {part: len(each["tokens"]) for part, each in parts.items()}
    report: dict[str, Any] = {"tokens": tokens, "warnings": []}
    shape = "labelled_text" if "labels" in parts["train"] else "tokens"
    if shape == "labelled_text":
        report["documents"] = {part: len(each["labels"]) for part, each in parts.items()}
        report["classes"] = class_counts(parts, "labels", about["classes"])
    return Prepared("labelled_text" if shape == "labelled_text" else "tokens", parts, about, report)


_MAKERS: Mapping[str, Callable[[], Prepared]] = {
    "digits": _make_digits,
    "python_packages": lambda: _make_text("make_python_packages"),
    "python_source": _make_python_source,
    "python_source_bpe": lambda: _make_text("make_python_source_bpe"),
}
