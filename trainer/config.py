"""What a training run is asked to do: a recipe's TOML and `key=value` overrides become one frozen Config."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer.model_configs import MODEL_CONFIGS, DigitsCNNConfig, ModelConfig
from trainer.optimizer_config import OptimizerConfig
from trainer.settings import INCIDENTAL, RunSettings
from trainer.settings import ConfigError as ConfigError  # what fleet/ sees of the trainer is this module
from trainer.tables import Table, apply_overrides, nearest_hint, read_values

RECIPE_FOLDER = Path(__file__).parent / "recipes"
_DATASET_OF_MODEL = {"digits_cnn": "digits", "gpt": "python_source"}


@dataclass(frozen=True, kw_only=True)
class Config(RunSettings):
    """One training run, complete: the same Config gives the same result on any number of processes."""

    recipe: str
    """Name of the recipe that this was made from."""
    dataset: Literal["digits", "python_source"]
    """What to train on; `python -m trainer.prepare` makes its file."""
    samples: int
    """Training samples (pictures, or texts of `model.context` characters) over all processes and epochs."""
    global_batch: int
    """Samples of one optimizer step over all processes; at least one a process."""
    model: ModelConfig = field(default_factory=DigitsCNNConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run; the last one is smaller where samples do not divide evenly."""
        return -(-self.samples // self.global_batch)

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range or does not fit another."""
        for name in ("samples", "global_batch"):
            if getattr(self, name) < 1:
                yield f"{name}: {getattr(self, name)} is not positive"
        yield from self.setting_faults()
        if _DATASET_OF_MODEL[self.model.kind] != self.dataset:
            wanted = _DATASET_OF_MODEL[self.model.kind]
            yield f"dataset: a {self.model.kind} model trains on {wanted}, not on {self.dataset}"
        yield from self.model.faults()
        yield from self.optimizer.faults()

    def to_dict(self) -> Table:
        """Return the configuration as plain values, nested as in the TOML file."""
        return dataclasses.asdict(self)

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
    path = _recipe_file(recipe)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    problems: list[str] = []
    table = apply_overrides(table, overrides, problems)
    values = read_values(Config, {"recipe": path.stem, **table}, problems, sections=("model", "optimizer"))
    model = _read_model(table.get("model"), problems)
    optimizer_table = table.get("optimizer", {})
    optimizer = read_values(
        OptimizerConfig,
        optimizer_table if isinstance(optimizer_table, dict) else {},
        problems,
        path="optimizer.",
    )
    if problems or model is None:
        raise ConfigError(problems)
    config = Config(**values, model=model, optimizer=OptimizerConfig(**optimizer))
    if problems := list(config.faults()):
        raise ConfigError(problems)
    return config


def _recipe_file(recipe: str | Path) -> Path:
    if str(recipe) in recipe_names():
        return RECIPE_FOLDER / f"{recipe}.toml"
    path = Path(recipe)
    if path.suffix != ".toml":
        hint = nearest_hint(str(recipe), recipe_names())
        raise ConfigError([f"{recipe}: is neither a bundled recipe nor a .toml file{hint}"])
    return path


def _read_model(table: Any, problems: list[str]) -> ModelConfig | None:
    if not isinstance(table, dict) or table.get("kind") not in MODEL_CONFIGS:
        kind = table.get("kind") if isinstance(table, dict) else None
        problems.append(f"model.kind: {kind!r} is not one of {', '.join(MODEL_CONFIGS)}")
        return None
    kind_of_config = MODEL_CONFIGS[table["kind"]]
    before = len(problems)
    values = read_values(kind_of_config, table, problems, path="model.")
    return kind_of_config(**values) if len(problems) == before else None
