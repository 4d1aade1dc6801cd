"""A fine-tuned model on disk: the adapters by themselves, and the whole model with them added in."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from torch import nn

from trainer.finetune.hugging_face import import_peft, load_causal_model, model_folder, quiet

ADAPTER = "adapter"
"""Folder as peft writes it: adapter_config.json, adapter_model.safetensors."""
MERGED = "merged"
"""Folder as transformers writes it, tokenizer included."""


def save_finetuned(folder: Path, model: nn.Module, tokenizer: Any, *, merged: bool) -> None:
    """Write adapter/, and merged/ if wanted, each with the tokenizer; `model` is a CausalLoss."""
    peft_model: Any = model.peft
    peft_model.save_pretrained(str(folder / ADAPTER), safe_serialization=True, save_embedding_layers=False)
    # peft's is a form to fill in; the card one folder up says it all.
    (folder / ADAPTER / "README.md").unlink(missing_ok=True)
    tokenizer.save_pretrained(str(folder / ADAPTER))
    if merged:
        whole = copy.deepcopy(peft_model).merge_and_unload()
        whole.save_pretrained(str(folder / MERGED), safe_serialization=True)
        tokenizer.save_pretrained(str(folder / MERGED))


def load_finetuned(folder: Path, base: str) -> Any:
    """Return the fine-tuned model of a model/ folder on the CPU, ready to predict.

    Where it has no merged/, the adapters are put into the model at `base`, which has to be there still.
    """
    if (folder / MERGED).is_dir():
        return load_causal_model(folder / MERGED).eval()
    model = load_causal_model(model_folder(base))
    with quiet():
        adapted = import_peft().PeftModel.from_pretrained(model, str(folder / ADAPTER), local_files_only=True)
    return adapted.merge_and_unload().eval()
