"""The tables that scikit-learn ships: where they lie, and the names of their columns."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainer.data.errors import DatasetError
from trainer.data.rows import Row

_OF_A_CELL = (
    *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"),
    *("concave_points", "symmetry", "fractal_dimension"),
)


@dataclass(frozen=True)
class BundledTable:
    """One of the tables, in the form that scikit-learn ships it."""

    file: str
    columns: tuple[str, ...]
    """Names of the columns, without the target's."""
    target: str
    source: str
    targets: str = ""
    """File with the targets, where they have one of their own."""


TABLES: Mapping[str, BundledTable] = {
    "breast_cancer": BundledTable(
        "breast_cancer.csv",
        tuple(f"{part}_{name}" for part in ("mean", "error", "worst") for name in _OF_A_CELL),
        "diagnosis",
        "W. N. Street, W. H. Wolberg and O. L. Mangasarian, Breast Cancer Wisconsin (Diagnostic), UCI"
        " Machine Learning Repository, 1993",
    ),
    "diabetes": BundledTable(
        "diabetes_data_raw.csv.gz",
        ("age", "sex", "bmi", "blood_pressure", "tc", "ldl", "hdl", "tch", "ltg", "glucose"),
        "progression",
        "B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, Least Angle Regression, Annals of Statistics"
        " 32(2), 2004",
        targets="diabetes_target.csv.gz",
    ),
    "iris": BundledTable(
        "iris.csv",
        ("sepal_length", "sepal_width", "petal_length", "petal_width"),
        "species",
        "R. A. Fisher, The use of multiple measurements in taxonomic problems, Annual Eugenics 7, 1936",
    ),
    "wine": BundledTable(
        "wine_data.csv",
        (
            *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols"),
            *("flavanoids", "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"),
            *("od280_od315", "proline"),
        ),
        "cultivar",
        "S. Aeberhard and M. Forina, Wine, UCI Machine Learning Repository, 1991",
    ),
}


def read_bundled(name: str, folder: Path) -> Iterator[Row]:
    """Yield the table's rows from scikit-learn's folder of data; raises DatasetError without it."""
    table = TABLES[name]
    try:
        if table.targets:
            cells = [line.split() for line in _text(folder / table.file).splitlines()]
            targets = [repr(float(line)) for line in _text(folder / table.targets).splitlines()]
            lines = [[*row, target] for row, target in zip(cells, targets, strict=True)]
        else:
            header, *lines = csv.reader(_text(folder / table.file).splitlines())
            classes = header[2:]
            lines = [[*row[:-1], classes[int(row[-1])]] for row in lines]
        names = (*table.columns, table.target)
        for number, line in enumerate(lines, start=1):
            yield table.file, number, dict(zip(names, line, strict=True))
    except (OSError, ValueError, IndexError):
        raise DatasetError(f"{folder / table.file} is not what scikit-learn ships: reinstall it") from None


def _text(path: Path) -> str:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return file.read()
    return path.read_text(encoding="utf-8")
