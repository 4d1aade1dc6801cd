"""The finished model on disk: weights, config.json, the program for torch alone, the card; and loading."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config import Config
from trainer.configs.lora import LoraConfig
from trainer.configs.models import MODEL_CONFIGS
from trainer.configs.picture_models import PictureModelConfig
from trainer.configs.table_models import MLPConfig
from trainer.configs.text_models import GPTConfig, TextClassifierConfig
from trainer.evaluation.document import FILE as EVALUATION_FILE
from trainer.evaluation.document import evaluation_document, plain_metrics
from trainer.export.model_card import model_card
from trainer.export.program import save_program
from trainer.files.durable import write_durably
from trainer.files.safetensors import Array, read_header, write_safetensors
from trainer.tasks.task import Task

FORMAT = "fleetform-model/1"
MODEL_FOLDER = "model"
_DTYPES = {
    "F64": torch.float64, "I64": torch.int64, "F32": torch.float32, "I32": torch.int32, "F16": torch.float16,
    "BF16": torch.bfloat16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


class ModelFolderError(Exception):
    """A folder that holds no model of this trainer."""


def save_model(
    run_dir: Path, weights: Mapping[str, Tensor], config: Config, task: Task, metrics: Mapping[str, Any]
) -> Path:
    """Write `model/` and evaluation.json into the run directory; return the former's path.

    `weights` is the whole model's state dict; `metrics` is what the task's `evaluate` returned. A model/ that
    was there goes as a whole once the new one is whole.
    """
    folder = run_dir / f".{MODEL_FOLDER}.partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    about = task.describe()
    data = about.pop("data", {"name": config.dataset or "own data", "digest": "not known"})
    if group := getattr(config.data, "group_column", ""):
        data["grouped_by"] = group
    description = {
        "format": FORMAT,
        "model": dataclasses.asdict(config.model),
        "dataset": data["name"],
        "data": data,
        "about": about,
        "metrics": plain_metrics(metrics),
        "interval": (metrics.get("report") or {}).get("interval"),
        "torch": torch.__version__,
        "training": config.to_dict(),
    }
    write_durably(folder / "config.json", json.dumps(description, indent=1) + "\n")
    document = evaluation_document(config.recipe, data, metrics)
    write_durably(run_dir / EVALUATION_FILE, json.dumps(document, indent=1) + "\n")
    model = _save_weights(folder, weights, task)
    exportable = task.exportable(model) if config.program else None
    if exportable is not None and save_program(folder, exportable) is None:
        exportable = None
    parameters = sum(parameter.numel() for parameter in model.parameters())
    card = model_card(config, description, document, parameters, exportable)
    write_durably(folder / "README.md", card)
    return _put_in_place(folder, run_dir / MODEL_FOLDER)


def _save_weights(folder: Path, weights: Mapping[str, Tensor], task: Task) -> nn.Module:
    """Write the weights, and the files that the task has beside them; return the model."""
    # What is fine-tuned lies on the disk in the form that its own library reads.
    if hasattr(task, "save_weights"):
        model: nn.Module = task.save_weights(folder, weights)
    else:
        save_tensors(folder / "model.safetensors", weights)
        model = fresh_model(task, weights)
    if hasattr(task, "save_files"):
        task.save_files(folder, model)
    return model


def _put_in_place(partial: Path, folder: Path) -> Path:
    """Give the folder its name, in place of what has it, and return its path."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def fresh_model(task: Task, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return the task's model on the CPU with the weights, ready to predict, nothing wrapped around it."""
    with torch.random.fork_rng(devices=[]):
        model = task.build_model()
    model.load_state_dict({name: tensor.detach().cpu() for name, tensor in weights.items()})
    return model.eval().requires_grad_(False)


def load_model(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return the folder's model, ready to predict on the CPU, and its config.json.

    Raises ModelFolderError where the folder is not a whole model of this trainer.
    """
    try:
        description = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        model_config = MODEL_CONFIGS[description["model"]["kind"]](**description["model"])
        if isinstance(model_config, LoraConfig):
            from trainer.finetune.saved import load_finetuned

            return load_finetuned(Path(folder), model_config.path), description
        weights = load_tensors(Path(folder) / "model.safetensors")
        model = _build(model_config, description["about"])
        model.load_state_dict(weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelFolderError(f"{folder} holds no model of this trainer: {error}") from None
    return model.eval(), description


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
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
    """Return the model that a configuration and a task's description name; its module is imported here."""
    if isinstance(config, PictureModelConfig):
        from trainer.tasks.pictures import build_picture_model

        shape = about["channels"], about["height"], about["width"]
        return build_picture_model(config, shape, len(about["classes"]))
    if isinstance(config, MLPConfig):
        from trainer.tasks.table import build_table_model

        return build_table_model(config, about)
    if isinstance(config, TextClassifierConfig):
        from trainer.models.text_classifier import TextClassifier

        return TextClassifier(config, about["vocabulary_size"], len(about["classes"]), about["padding"])
    assert isinstance(config, GPTConfig)
    from trainer.models.gpt import GPT

    return GPT(config, vocabulary_size=about["vocabulary_size"])
