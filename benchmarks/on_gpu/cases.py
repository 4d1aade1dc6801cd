"""The models that are trained on one GPU, by hand and by our engine, and how large their batches are."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.trainer.hand_gpt import GPT2, Shape
from trainer.configs.text_models import GPTConfig
from trainer.numbers.flops import Flops, transformer_flops


@dataclass(frozen=True)
class Case:
    """One model and batch."""

    id: str
    what: str
    model: GPTConfig
    vocabulary: int
    batch: int
    goal_mfu: float
    reference: str
    """What others report for such a model on such a device."""
    hand: Shape | None = None
    """The same size as a nanoGPT-style loop has it, where that is compared."""

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.batch * self.model.shape.context

    def flops(self, parameters: int) -> Flops:
        """Return what a sample computes, for a model of so many parameters in all."""
        shape = self.model.shape
        return transformer_flops(
            parameters=parameters,
            num_layers=shape.num_layers,
            width=shape.width,
            context=shape.context,
            vocabulary_size=self.vocabulary,
        )


CASES = (
    Case(
        "G1a",
        "GPT-2 124M, 1,024 tokens",
        GPTConfig(size="124m"),
        50304,
        batch=32,
        goal_mfu=0.45,
        reference="nanoGPT about 33 % (H100)",
        hand=GPT2,
    ),
    Case(
        "G1b",
        "350M, 2,048 tokens",
        GPTConfig(size="350m", context=2048),
        50304,
        batch=12,
        goal_mfu=0.50,
        reference="MosaicML 51.6 % (8 A100), none on H100",
    ),
    Case(
        "G1c",
        "1.3B as Llama has it, 2,048 tokens",
        GPTConfig(size="1.3b", feed_forward="swiglu", tied=False),
        50304,
        batch=4,
        goal_mfu=0.55,
        reference="MosaicML 41.8 % (8 H100)",
    ),
    Case(
        "G1c",
        "1.3B as Llama has it, 8,192 tokens",
        GPTConfig(size="1.3b", feed_forward="swiglu", tied=False, context=8192),
        50304,
        batch=1,
        goal_mfu=0.55,
        reference="",
    ),
)
SMOKE = Case(
    "G1a",
    "a tiny model, to see that all of this runs",
    GPTConfig(context=64, num_layers=2, num_heads=4, width=32),
    256,
    batch=4,
    goal_mfu=0.0,
    reference="",
    hand=Shape(layers=2, heads=4, width=32, context=64, vocabulary=256),
)
