"""The task of fine-tuning a Hugging Face causal language model with LoRA."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.configs.lora import LoraConfig
from trainer.configs.settings import ConfigError
from trainer.data.source import Source
from trainer.distributed import World
from trainer.evaluation.blocks import evaluate_blocks
from trainer.evaluation.text import report_learned
from trainer.export.program import Exportable
from trainer.finetune.causal_loss import CausalLoss
from trainer.finetune.examples import Pair, end_tokens, make_examples, uses_chat_template
from trainer.finetune.hugging_face import (
    adapters_off,
    add_adapters,
    load_causal_model,
    load_tokenizer,
    matrix_sizes,
    model_folder,
    number_format_of,
)
from trainer.finetune.packing import PackedExamples
from trainer.finetune.saved import save_finetuned
from trainer.numbers.flops import PALM, Flops
from trainer.tasks.task import describe_data

EVALUATION_SAMPLES = 512
"""Held-out samples that are looked at, at most; spread evenly over them."""
BLOCK = 4
"""Held-out samples of one forward pass, at most."""
BLOCK_SCORES = 2**27
"""Scores of one forward pass, at most, unless one sample has more."""


class FinetuneTask:
    """Documents, or responses to prompts, that a pretrained model learns to go on with."""

    unit = "tokens"
    pretrained = True
    save_frozen = False
    """The pretrained weights lie in their own folder: checkpoints hold the adapters alone."""

    def __init__(self, config: LoraConfig, data: Any) -> None:
        """Take a data set of documents; raises ConfigError where the model's folder or the data don't fit."""
        self.config, self.data = config, data
        self.folder = model_folder(config.path)
        self.tokenizer = load_tokenizer(self.folder)
        self.units_per_sample = config.context
        self.prompted = bool(data.about["prompted"])
        self.chat = uses_chat_template(self.tokenizer, config, prompted=self.prompted)
        self.padding = next(
            each for each in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0) if each is not None
        )
        self._before: NDArray[np.float64] | None = None
        self.source: Source = self._examples("train")
        self.held_out: Source = self._examples("held_out")

    def build_model(self) -> nn.Module:
        """Return the pretrained model with fresh adapters, which alone are trained."""
        base = load_causal_model(self.folder, number_format_of(self.config))
        return CausalLoss(add_adapters(base, self.config), packing=self.config.packing)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Return the mean cross-entropy in nats of the tokens that are learned, and how many these are."""
        loss: Tensor = model(batch["tokens"], batch["positions"], batch["targets"])
        return loss, len(batch["counted"])

    def evaluate(self, model: nn.Module, world: World) -> dict[str, Any]:
        """Return the held-out loss and perplexity, beside those of the model before it was fine-tuned."""
        count = min(EVALUATION_SAMPLES, self.held_out.num_items)
        chosen = np.linspace(0, self.held_out.num_items - 1, count).astype(np.int64)

        def run_block(items: NDArray[np.int64]) -> Tensor:
            batch = self.held_out.batch(chosen[items], np.zeros((len(items), 0), np.float32))
            parts = (batch[name].to(world.device) for name in ("tokens", "positions", "targets"))
            found: Tensor = model(*parts, "rows")
            return found

        # Models whose scores can't be made in parts make those of a block's samples at once.
        scores = self.config.context * len(self.tokenizer)
        block = max(1, min(BLOCK, BLOCK_SCORES // scores))
        after = evaluate_blocks(count, block, world, run_block, columns=2).numpy()
        if self._before is None:
            with adapters_off(model):
                self._before = evaluate_blocks(count, block, world, run_block, columns=2).numpy()
        return report_learned(after, self._before)

    def describe(self) -> dict[str, Any]:
        """Return where the model came from and how documents were put before it."""
        items = {"train_items": self.source.num_items, "held_out_items": self.held_out.num_items}
        return {
            "base": self.config.path,
            "chat": self.chat,
            "end_tokens": end_tokens(self.tokenizer, chat=self.chat),
            "data": describe_data(self.data) | items,
        }

    def flops_per_sample(self) -> Flops:
        """Return what a sample costs: forward through all matrices, backward through them to the adapters.

        The frozen weights' own gradients are not made, so a weight costs 4 operations a token and not 6.
        """
        weights, layers, width = matrix_sizes(self.folder)
        context = self.config.context
        total = context * (4.0 * weights + 12.0 * layers * width * context)
        formula = (
            f"{context} tokens x (4 N + 12 L d T); N={weights} with the output layer, L={layers}, d={width}, "
            f"T={context}; without the adapters"
        )
        return Flops(total, formula, f"{PALM}, less the gradients of frozen weights")

    def exportable(self, model: nn.Module) -> Exportable | None:
        """Return nothing: the merged model is a folder that transformers reads."""
        return None

    def save_weights(self, folder: Path, weights: Mapping[str, Tensor]) -> nn.Module:
        """Write adapter/, and merged/ if it is wanted, into the model's folder; return the model."""
        model = self.build_model()
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        kept = {name: tensor for name, tensor in weights.items() if name in trained}
        assert kept.keys() == trained, "the weights are those of such a model"
        model.load_state_dict(kept, strict=False)
        save_finetuned(folder, model, self.tokenizer, merged=self.config.merged)
        return model.eval()

    def _examples(self, part: str) -> PackedExamples:
        examples = make_examples(
            read_pairs(self.data.arrays(part)),
            self.tokenizer,
            self.config,
            chat=self.chat,
            prompted=self.prompted,
        )
        packed = PackedExamples(examples, self.config.context, self.padding, packing=self.config.packing)
        if packed.num_items == 0:
            raise ConfigError([f"data: no document of the {part} part has a token to learn"])
        return packed


def read_pairs(arrays: Mapping[str, NDArray[Any]]) -> list[Pair]:
    """Return the prompts and responses of a part of a data set of documents."""
    text, offsets = arrays["text"].tobytes(), arrays["offsets"].tolist()
    pieces = [text[begin:end].decode() for begin, end in itertools.pairwise(offsets)]
    return list(zip(pieces[::2], pieces[1::2], strict=True))
