"""The door to transformers and peft: models and tokenizers from folders on this machine, and nothing else."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainer.configs.lora import LoraConfig
from trainer.configs.settings import ConfigError

_HELP = "pip install 'transformers>=5,<6' 'peft>=0.21,<1'"


def model_folder(path: str) -> Path:
    """Return the model's folder on this machine, fetched from S3 once where it lies there.

    Raises ConfigError where it is not the folder of a model with safetensors weights.
    """
    folder = _fetched(path) if path.startswith("s3://") else Path(path).expanduser()
    if not (folder / "config.json").is_file():
        raise ConfigError([f"model.path: {path} has no config.json: name a folder that transformers wrote"])
    if not any(folder.glob("*.safetensors")):
        raise ConfigError([f"model.path: {path} has no *.safetensors: weights of other formats can run code"])
    return folder


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a model's folder."""
    transformers = _import_transformers()
    try:
        return transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers raises errors of many kinds
        raise ConfigError(
            [f"model.path: {folder} has no tokenizer that can be read: {_line(error)}"]
        ) from None


def load_causal_model(folder: Path, weights: str = "fp32") -> Any:
    """Return the causal language model of a folder, ready to predict, in fp32 or bf16."""
    transformers = _import_transformers()
    number_format = torch.bfloat16 if weights == "bf16" else torch.float32
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=number_format,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except Exception as error:  # transformers raises errors of many kinds
        raise ConfigError([f"model.path: {folder} cannot be loaded: {_line(error)}"]) from None


def add_adapters(model: Any, config: LoraConfig) -> Any:
    """Return the model with fresh adapters, which alone are trained; they change nothing yet."""
    peft = import_peft()
    alpha = 2 * config.rank if config.alpha == "auto" else config.alpha
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=alpha,
        target_modules=list(config.targets) or "all-linear",
        lora_dropout=config.dropout,
        # GPT-2's own layers keep their matrices the other way round.
        fan_in_fan_out=any(type(module).__name__ == "Conv1D" for module in model.modules()),
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        with quiet():
            return peft.get_peft_model(model, settings)
    except ValueError as error:
        raise ConfigError([f"model.targets: {_line(error)}"]) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back that peft calls what transformers is about to rename, which is nothing to the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Let the model answer as it did before it was fine-tuned."""
    layer = import_peft().tuners.tuners_utils.BaseTunerLayer
    adapted = [module for module in model.modules() if isinstance(module, layer)]
    for each in adapted:
        each.enable_adapters(False)
    try:
        yield
    finally:
        for each in adapted:
            each.enable_adapters(True)


def number_format_of(config: LoraConfig) -> str:
    """Return the number format of the frozen weights on this machine, `fp32` or `bf16`."""
    if config.weights != "auto":
        return config.weights
    return "bf16" if torch.cuda.is_available() else "fp32"


def matrix_sizes(folder: Path) -> tuple[int, int, int]:
    """Return the weights of the model's matrices, output layer included, its layers and its width."""
    transformers = _import_transformers()
    config = transformers.AutoConfig.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    head = model.get_output_embeddings()
    weights = sum(p.numel() for p in model.parameters() if p.dim() > 1 and id(p) not in embeddings)
    if head is not None and id(head.weight) in embeddings:
        weights += head.weight.numel()
    text = config.get_text_config()
    return weights, int(text.num_hidden_layers), int(text.hidden_size)


def plain_head(model: Any) -> nn.Module | None:
    """Return the layer that makes the scores, if they are its weights times the last hidden state alone.

    Some models scale or bend their scores, or add a bias: then the answer is None.
    """
    head = model.get_output_embeddings()
    if head is None or getattr(head, "bias", None) is not None:
        return None
    tokens = torch.zeros(1, 2, dtype=torch.int64)
    with torch.no_grad():
        hidden = model.base_model(input_ids=tokens).last_hidden_state
        same = torch.allclose(
            head(hidden).float(), model(input_ids=tokens).logits.float(), atol=1e-3, rtol=1e-3
        )
    return head if same else None


def _import_transformers() -> Any:
    # Set before the import: what looks for files on the hub would wait for a network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import transformers
    except ImportError:
        raise ConfigError([f"fine-tuning needs transformers and peft, which are missing: {_HELP}"]) from None
    transformers.utils.logging.disable_progress_bar()
    return transformers


def import_peft() -> Any:
    """Return the peft package, offline; raises ConfigError where it is not installed."""
    _import_transformers()
    try:
        import peft
    except ImportError:
        raise ConfigError([f"fine-tuning needs peft, which is missing: {_HELP}"]) from None
    return peft


def _fetched(path: str) -> Path:
    """Return the folder of this machine's cache with the files below an S3 prefix."""
    from trainer.finetune.fetch import fetch

    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleetform" / "models"
    return fetch(path, home)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
