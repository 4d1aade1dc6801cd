"""What a training run is asked to do: a recipe's TOML and `key=value` overrides become one frozen Config."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer.tables import Table, apply_overrides, nearest_hint, read_values

MAX_SEED = 2**63 - 1
"""Largest number that torch, numpy and TOML all take for a seed."""
RECIPE_FOLDER = Path(__file__).parent / "recipes"


class ConfigError(Exception):
    """The user's mistakes in a recipe or its overrides, all of them, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        assert self.problems, "a ConfigError names at least one problem"
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, kw_only=True)
class DigitsCNNConfig:
    """A small convolutional network that classifies 8 x 8 pictures of digits."""

    kind: Literal["digits_cnn"] = "digits_cnn"
    channels: int = 64
    """Channels of the middle layers; a multiple of 8. Time grows with its square."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        if self.channels < 8 or self.channels % 8:
            yield f"model.channels: {self.channels} is not a positive multiple of 8"


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """A decoder-only transformer that predicts the next character."""

    kind: Literal["gpt"] = "gpt"
    context: int = 128
    """Characters that a prediction can look back on, itself included; the length of a training sample."""
    num_layers: int = 4
    """Transformer blocks."""
    num_heads: int = 4
    """Attention heads of a block."""
    width: int = 128
    """Numbers that stand for a character between the blocks; a multiple of twice num_heads."""
    dropout: float = 0.0
    """Share of activations dropped in training, 0 to below 1. Above 0, results depend on the world size."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        for name in ("context", "num_layers", "num_heads", "width"):
            if getattr(self, name) < 1:
                yield f"model.{name}: {getattr(self, name)} is not positive"
        # Rotary positions turn the numbers of a head in pairs.
        if self.num_heads > 0 and self.width % (2 * self.num_heads):
            yield f"model.width: {self.width} is not a multiple of twice num_heads ({2 * self.num_heads})"
        if not 0 <= self.dropout < 1:
            yield f"model.dropout: {self.dropout} is not in [0, 1)"


ModelConfig = DigitsCNNConfig | GPTConfig
MODEL_CONFIGS: Mapping[str, type[ModelConfig]] = {"digits_cnn": DigitsCNNConfig, "gpt": GPTConfig}
_DATASET_OF_MODEL = {"digits_cnn": "digits", "gpt": "python_source"}


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW with linear warm-up and cosine decay; all of it a function of the step number."""

    learning_rate: float = 1e-3
    """Highest learning rate, reached at the end of the warm-up."""
    final_fraction: float = 0.1
    """Learning rate at the last step, as a share of the highest, 0 to 1."""
    warmup_fraction: float = 0.05
    """Share of the steps over which the learning rate climbs, 0 to 1."""
    weight_decay: float = 0.1
    """Decoupled decay of weight matrices and kernels; biases and norms are never decayed."""
    gradient_clip: float = 1.0
    """Largest norm of a step's gradient; 0 turns clipping off."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        for name in ("learning_rate", "weight_decay", "gradient_clip"):
            if not 0 <= getattr(self, name) < float("inf"):
                yield f"optimizer.{name}: {getattr(self, name)} is not zero or more"
        for name in ("final_fraction", "warmup_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                yield f"optimizer.{name}: {getattr(self, name)} is not between 0 and 1"


@dataclass(frozen=True, kw_only=True)
class Config:
    """One training run, complete: the same Config gives the same result on any number of processes."""

    recipe: str
    """Name of the recipe that this was made from."""
    dataset: Literal["digits", "python_source"]
    """What to train on; `python -m trainer.prepare` makes its file."""
    samples: int
    """Training samples (pictures, or texts of `model.context` characters) over all processes and epochs."""
    global_batch: int
    """Samples of one optimizer step over all processes; at least one a process."""
    seed: int = 1
    """Seed of the first weights, the order of samples and their augmentation, 0 to 2**63 - 1."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes the GPUs where each process of this machine can have one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of the forward and backward pass; auto is bf16 on a GPU and fp32 on a CPU."""
    log_every: int = 10
    """Steps between two lines of metrics.jsonl; the first and the last step are always logged."""
    checkpoint_every: int = 100
    """Steps between two checkpoints; 0 saves only at the end and when told to stop."""
    keep_checkpoints: int = 2
    """Newest whole checkpoints that are kept, at least 1; damaged ones do not count."""
    fresh: bool = False
    """Start over: delete the run directory's checkpoints and metrics instead of resuming."""
    model: ModelConfig = field(default_factory=DigitsCNNConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run; the last one is smaller where samples do not divide evenly."""
        return -(-self.samples // self.global_batch)

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range or does not fit another."""
        for name in ("samples", "global_batch", "log_every", "keep_checkpoints"):
            if getattr(self, name) < 1:
                yield f"{name}: {getattr(self, name)} is not positive"
        if self.checkpoint_every < 0:
            yield f"checkpoint_every: {self.checkpoint_every} is negative"
        if not 0 <= self.seed <= MAX_SEED:
            yield f"seed: {self.seed} is not between 0 and 2**63 - 1"
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
        incidental = {"recipe", "device", "log_every", "checkpoint_every", "keep_checkpoints", "fresh"}
        flat: Table = {}
        for key, value in self.to_dict().items():
            if isinstance(value, dict):
                flat |= {f"{key}.{name}": inner for name, inner in value.items()}
            elif key not in incidental:
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
