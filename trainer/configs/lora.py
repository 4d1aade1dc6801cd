"""How a Hugging Face causal language model is fine-tuned: LoRA adapters beside its frozen weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """A model folder as transformers writes it, and adapters of a low rank that are trained in its stead.

    E. Hu et al., LoRA, arXiv 2106.09685.
    """

    kind: Literal["lora"] = "lora"
    path: str
    """Folder with config.json, *.safetensors and the tokenizer: on this machine (on every node: see
    docs/recipes.md), or s3://bucket/prefix. Nothing is fetched from anywhere else."""
    rank: int = 16
    """Rows of an adapter's small matrix; what can be learned, and the adapters' size, grow with it."""
    alpha: float | Literal["auto"] = "auto"
    """An adapter's output is scaled by alpha / rank; auto is twice the rank."""
    targets: tuple[str, ...] = ()
    """Ends of the names of the layers that get an adapter, as ["q_proj", "v_proj"]; none of them named means
    every matrix but the embedding and the output layer."""
    dropout: float = 0.0
    """Share of the adapters' inputs dropped in training, 0 to below 1. Above 0, results depend on the world
    size."""
    context: int = 512
    """Tokens of a training sample; longer documents are cut into such pieces."""
    packing: bool = True
    """Whether several short documents share a sample; none of them sees another."""
    learn: Literal["auto", "responses", "all"] = "auto"
    """Which tokens are learned: of the response alone, or of the prompt too; auto is responses where the data
    has prompts."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """How prompt and response are put together: by the tokenizer's own chat template, or one behind the
    other; auto uses the template where there is one, and prompts."""
    weights: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of the frozen weights; auto is bf16 on a GPU and fp32 on a CPU. With sharding=fsdp use
    fp32: a sharded block has one format, and the adapters' is fp32."""
    merged: bool = True
    """Whether the finished model is also written as a whole, adapters added into the weights."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        if not self.path:
            yield "model.path: is empty: name the folder of the model to fine-tune, or s3://bucket/prefix"
        if self.rank < 1:
            yield f"model.rank: {self.rank} is not positive"
        if self.context < 2:
            yield f"model.context: {self.context} is not above 1"
        if self.alpha != "auto" and not 0 < self.alpha < float("inf"):
            yield f"model.alpha: {self.alpha} is not positive"
        if not 0 <= self.dropout < 1:
            yield f"model.dropout: {self.dropout} is not in [0, 1)"
