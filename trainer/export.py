"""The finished model on disk: safetensors weights, a config.json and a README that says how to load it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from string import Template
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from trainer.checkpoint import write_durably
from trainer.config import MODEL_CONFIGS, Config, GPTConfig

MODEL_FOLDER = "model"
_CARD = Path(__file__).parent / "model_card.md"


class ModelFolderError(Exception):
    """A folder that holds no model of this trainer."""


def save_model(
    run_dir: Path, model: nn.Module, config: Config, about: dict[str, Any], metrics: dict[str, float]
) -> Path:
    """Write `model/` into the run directory and return its path; `about` is the task's own description."""
    folder = run_dir / MODEL_FOLDER
    folder.mkdir(exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    description = {
        "model": dataclasses.asdict(config.model),
        "dataset": config.dataset,
        "about": about,
        "metrics": metrics,
        "training": config.to_dict(),
    }
    write_durably(folder / "config.json", json.dumps(description, indent=1) + "\n")
    card = Template(_CARD.read_text(encoding="utf-8")).substitute(
        recipe=config.recipe,
        kind=config.model.kind,
        parameters=f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        dataset=config.dataset,
        samples=f"{config.samples:,}",
        metrics=", ".join(f"{name} {value:.4g}" for name, value in metrics.items()),
        folder=MODEL_FOLDER,
    )
    write_durably(folder / "README.md", card)
    return folder


def load_model(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return the folder's model, ready to predict on the CPU, and its config.json.

    Raises ModelFolderError where the folder is not a whole model of this trainer.
    """
    try:
        description = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        model_config = MODEL_CONFIGS[description["model"]["kind"]](**description["model"])
        weights = load_file(Path(folder) / "model.safetensors")
        model = _build(model_config, description["about"])
        model.load_state_dict(weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelFolderError(f"{folder} holds no model of this trainer: {error}") from None
    return model.eval(), description


def _build(config: Any, about: dict[str, Any]) -> nn.Module:
    if isinstance(config, GPTConfig):
        from trainer.models.gpt import GPT

        return GPT(config, vocabulary_size=len(about["characters"]))
    from trainer.models.digits_cnn import DigitsCNN

    return DigitsCNN(config)
