"""The model card: what the model is, what it was trained on, how good it is, its limits, how to load it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from trainer.config import Config
from trainer.configs.lora import LoraConfig
from trainer.evaluation.document import interval_line, metrics_table, reference_lines
from trainer.export.program import FILE as PROGRAM_FILE
from trainer.export.program import Exportable

_CARD = Path(__file__).with_suffix(".md")
_PROGRAM = """- `model.pt2`: the same model as a program for torch alone, without this package

```python
import torch
model = torch.export.load("{file}").module()
{usage}
```

`model` takes {takes}. It gives {gives}."""
WEIGHTS = "- `model.safetensors`: the weights, for any reader of safetensors"
LORA_WEIGHTS = """- `adapter/`: the adapters by themselves, for peft; they belong to the model `{base}`
- `merged/`: that model with the adapters added in (unless `model.merged` was false), for transformers:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("merged")
model = AutoModelForCausalLM.from_pretrained("merged")
```
"""
LIMITS = {
    "pictures": "It answers with one of its classes for any picture, also one of something else. Pictures "
    "are to be framed, sized and lit as those that it was trained on.",
    "table": "It assumes that new rows come from where the training rows came from, with the same columns in "
    "the same units. A category that training did not have counts as unknown; a number far outside of the "
    "range seen is answered all the same.",
    "tokens": "It continues text in the manner of its training text. What it writes is not checked for "
    "truth.",
    "documents": "It has the limits of the model that was fine-tuned, whose card tells them; so it is with "
    "its licence. What it writes is not checked for truth.",
    "labelled_text": "It answers with one of its classes for any text, also one of another subject or "
    "language.",
}
"""What a reader has to know of models by the kind of their data."""


def model_card(
    config: Config,
    description: Mapping[str, Any],
    document: Mapping[str, Any],
    parameters: int,
    exportable: Exportable | None,
) -> str:
    """Return README.md's text; `exportable` is None where there is no program."""
    data = description["data"]
    program = ""
    if exportable is not None:
        program = _PROGRAM.format(
            file=PROGRAM_FILE, usage=exportable.usage, takes=exportable.takes, gives=exportable.gives
        )
    return Template(_CARD.read_text(encoding="utf-8")).substitute(
        recipe=config.recipe,
        kind=config.model.kind,
        parameters=f"{parameters:,}",
        data=data_lines(data),
        training=training_lines(config, description),
        metrics=metrics_table(document) + interval_line(document),
        references=reference_lines(document),
        intervals=document["intervals"],
        limits=LIMITS.get(data.get("kind", ""), "None are known but those of its data."),
        weights=LORA_WEIGHTS.format(base=config.model.path)
        if isinstance(config.model, LoraConfig)
        else WEIGHTS,
        program=program,
        folder="model",
    )


def data_lines(data: Mapping[str, Any]) -> str:
    """Return what the model was trained on, a line each."""
    lines = [f"- `{data['name']}`, digest `{data['digest']}`"]
    for key, words in (("source", "source"), ("licence", "licence")):
        lines.append(f"- {words}: {data.get(key) or 'not said'}")
    if data.get("train_items") is not None:
        lines.append(f"- {data['train_items']:,} items to train on, {data['held_out_items']:,} held out")
    return "\n".join(lines)


def training_lines(config: Config, description: Mapping[str, Any]) -> str:
    """Return how the model was trained, a line each."""
    optimizer = config.optimizer
    return "\n".join(
        (
            f"- {config.samples:,} samples in {config.num_steps:,} steps of {config.global_batch}, "
            f"seed {config.seed}",
            f"- AdamW: learning rate {optimizer.learning_rate:g} after a warm-up, half a cosine down to "
            f"{optimizer.final_fraction:g} of it; weight decay {optimizer.weight_decay:g}",
            f"- torch {description['torch']}; every setting stands in `config.json` under `training`",
        )
    )
