"""The finished model on disk: safetensors weights, a config.json and a README that says how to load it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from string import Template
from typing import Any

import torch
from torch import Tensor, nn

from trainer.checkpoint import write_durably
from trainer.config import Config
from trainer.model_configs import MODEL_CONFIGS, GPTConfig
from trainer.safetensors_file import Array, read_header, write_safetensors

MODEL_FOLDER = "model"
_DTYPES = {
    "F64": torch.float64, "I64": torch.int64, "F32": torch.float32, "I32": torch.int32, "F16": torch.float16,
    "BF16": torch.bfloat16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_CARD = Path(__file__).parent / "model_card.md"


class ModelFolderError(Exception):
    """A folder that holds no model of this trainer."""


def save_model(
    run_dir: Path, model: nn.Module, config: Config, about: dict[str, Any], metrics: dict[str, float]
) -> Path:
    """Write `model/` into the run directory and return its path; `about` is the task's own description."""
    folder = run_dir / MODEL_FOLDER
    folder.mkdir(exist_ok=True)
    save_tensors(folder / "model.safetensors", model.state_dict())
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
        weights = load_tensors(Path(folder) / "model.safetensors")
        model = _build(model_config, description["about"])
        model.load_state_dict(weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelFolderError(f"{folder} holds no model of this trainer: {error}") from None
    return model.eval(), description


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write the tensors as a safetensors file, each with bytes of its own."""
    names = {dtype: name for name, dtype in _DTYPES.items()}
    arrays = {
        name: Array(tuple(tensor.shape), _bytes(tensor), names[tensor.dtype])
        for name, tensor in tensors.items()
    }
    write_safetensors(path, arrays, {"format": "pt"})


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the safetensors file's tensors on the CPU; raises ValueError where it is not whole."""
    entries, _ = read_header(path)
    tensors = {}
    with path.open("rb") as file:
        for name, entry in entries.items():
            tensor = torch.empty(entry.shape, dtype=_DTYPES[entry.dtype])
            file.seek(entry.offset)
            file.readinto(_bytes(tensor))
            tensors[name] = tensor
    return tensors


def _bytes(tensor: Tensor) -> memoryview:
    """Return the tensor's bytes in row-major order: its own memory, where that is so on the CPU."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _build(config: Any, about: dict[str, Any]) -> nn.Module:
    if isinstance(config, GPTConfig):
        from trainer.models.gpt import GPT

        return GPT(config, vocabulary_size=len(about["characters"]))
    from trainer.models.digits_cnn import DigitsCNN

    return DigitsCNN(config)
