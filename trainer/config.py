"""What a training run is asked to do: a recipe's TOML and `key=value` overrides become one frozen Config."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from trainer.configs.data import (
    BUNDLED_SHAPES as BUNDLED_SHAPES,
)
from trainer.configs.data import (
    DATA_CONFIGS,
    SHAPE_WORDS,
    DataConfig,
    Shape,
    data_shape,
    prepared_name,
)
from trainer.configs.models import MODEL_CONFIGS, DigitsCNNConfig, ModelConfig
from trainer.configs.optimizer import OptimizerConfig
from trainer.configs.settings import INCIDENTAL, RunSettings
from trainer.configs.settings import (
    ConfigError as ConfigError,  # what fleet/ sees of the trainer is this module
)
from trainer.configs.tables import Table, apply_overrides, nearest_hint, read_values
from trainer.configs.tables import parse_value as parse_value

Kind = TypeVar("Kind")
RECIPE_FOLDER = Path(__file__).parent / "recipes"
SHAPE_OF_MODEL: Mapping[str, Shape] = {
    "digits_cnn": "pictures",
    "resnet": "pictures",
    "vit": "pictures",
    "mlp": "table",
    "gpt": "tokens",
    "text_classifier": "labelled_text",
    "lora": "documents",
}
"""What each kind of model trains on."""


@dataclass(frozen=True, kw_only=True)
class Config(RunSettings):
    """One training run, complete: the same Config gives the same result on any number of processes.

    But where a model of text has dropout, which each process draws for itself.
    """

    recipe: str
    """Name of the recipe that this was made from."""
    dataset: str = ""
    """Name of a bundled data set to train on; "" where the section [data] names data of your own."""
    data: DataConfig | None = None
    """Data of the user's own, by its kind (trainer/configs/data.py); exactly one of this and `dataset`."""
    samples: int
    """Training samples (pictures, or texts of `model.context` characters) over all processes and epochs."""
    global_batch: int
    """Samples of one optimizer step over all processes; at least one a process."""
    program: bool = True
    """Whether the finished model is also written as `model.pt2`, which torch alone runs; takes seconds."""
    model: ModelConfig = field(default_factory=DigitsCNNConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run; the last one is smaller where samples do not divide evenly."""
        return -(-self.samples // self.global_batch)

    @property
    def data_name(self) -> str:
        """Name of the folder that the data is prepared in."""
        return self.dataset if self.data is None else prepared_name(self.data)

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range or does not fit another."""
        for name in ("samples", "global_batch"):
            if getattr(self, name) < 1:
                yield f"{name}: {getattr(self, name)} is not positive"
        yield from self.setting_faults()
        yield from self._data_faults()
        yield from self.model.faults()
        yield from self.optimizer.faults()

    def _data_faults(self) -> Iterator[str]:
        if bool(self.dataset) == (self.data is not None):
            both = "is given, and so is [data]: leave one of them out" if self.data else "is missing"
            yield f"dataset: {both}; name one of {', '.join(BUNDLED_SHAPES)}, or describe data in [data]"
            return
        if self.dataset and self.dataset not in BUNDLED_SHAPES:
            yield f"dataset: there is no {self.dataset!r}{nearest_hint(self.dataset, BUNDLED_SHAPES)}"
            return
        shape = data_shape(self.data) if self.data else BUNDLED_SHAPES[self.dataset]
        wanted = SHAPE_OF_MODEL[self.model.kind]
        given = f"data.kind: {self.data.kind}" if self.data else f"dataset: {self.dataset}"
        if wanted != shape:
            yield f"{given}: is {SHAPE_WORDS[shape]}; a {self.model.kind} model takes {SHAPE_WORDS[wanted]}"
        elif self.model.kind == "digits_cnn" and self.dataset != "digits":
            yield f"{given}: a digits_cnn model takes the digits alone; a resnet model takes any pictures"
        if self.data:
            yield from self.data.faults()

    def to_dict(self) -> Table:
        """Return the configuration as plain values, nested as in the TOML file."""
        # By way of JSON, for a checkpoint's manifest knows lists and no tuples.
        table: Table = json.loads(json.dumps(dataclasses.asdict(self)))
        return {key: value for key, value in table.items() if value is not None}

    def result_settings(self) -> Table:
        """Return, flat, the settings that decide the weights; a checkpoint resumes only under the same."""
        flat: Table = {}
        for key, value in self.to_dict().items():
            if isinstance(value, dict):
                flat |= {f"{key}.{name}": inner for name, inner in value.items()}
            elif key not in INCIDENTAL | {"recipe"}:
                flat[key] = value
        return flat

    def digest(self) -> str:
        """Return the SHA-256 of `result_settings` as canonical JSON."""
        text = json.dumps(self.result_settings(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def recipe_names() -> list[str]:
    """Return the names of the bundled recipes, sorted."""
    return sorted(path.stem for path in RECIPE_FOLDER.glob("*.toml"))


def load_config(recipe: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration of a bundled recipe or a TOML file, with `key=value` overrides applied.

    Raises ConfigError with every mistake of the file and the overrides at once.
    """
    path = recipe_file(recipe)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    problems: list[str] = []
    table = apply_overrides(table, overrides, problems)
    values = read_values(
        Config, {"recipe": path.stem, **table}, problems, sections=("data", "model", "optimizer")
    )
    model = _read_kind(table.get("model"), MODEL_CONFIGS, "model", problems)
    data = _read_kind(table["data"], DATA_CONFIGS, "data", problems) if "data" in table else None
    optimizer_table = table.get("optimizer", {})
    optimizer = read_values(
        OptimizerConfig,
        optimizer_table if isinstance(optimizer_table, dict) else {},
        problems,
        path="optimizer.",
    )
    if problems or model is None:
        raise ConfigError(problems)
    config = Config(**values, data=data, model=model, optimizer=OptimizerConfig(**optimizer))
    if problems := list(config.faults()):
        raise ConfigError(problems)
    return config


def recipe_file(recipe: str | Path) -> Path:
    """Return the TOML file of a recipe's name or path; raises ConfigError where there is none."""
    if str(recipe) in recipe_names():
        return RECIPE_FOLDER / f"{recipe}.toml"
    path = Path(recipe)
    if path.suffix != ".toml":
        hint = nearest_hint(str(recipe), recipe_names())
        raise ConfigError([f"{recipe}: is neither a bundled recipe nor a .toml file{hint}"])
    return path


def _read_kind(table: Any, kinds: Mapping[str, type[Kind]], section: str, problems: list[str]) -> Kind | None:
    """Return a section that has a `kind`, as the class of that kind; None where it has mistakes."""
    kind: Any = table.get("kind") if isinstance(table, dict) else None
    if kind not in kinds:
        problems.append(f"{section}.kind: {kind!r} is not one of {', '.join(kinds)}")
        return None
    before = len(problems)
    values = read_values(kinds[kind], table, problems, path=f"{section}.")
    return kinds[kind](**values) if len(problems) == before else None
