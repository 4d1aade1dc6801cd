"""A causal language model as the engine trains it: tokens and targets in, the loss out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.finetune.hugging_face import plain_head
from trainer.finetune.packing import NOT_LEARNED
from trainer.models.token_loss import linear_cross_entropy, most_scores


class CausalLoss(nn.Module):
    """A transformers model with adapters, and the cross-entropy of its scores.

    Where the scores are the output layer's weights times the last hidden state, the scores of all tokens need
    not exist at once.
    """

    def __init__(self, peft_model: Any) -> None:
        super().__init__()
        self.peft = peft_model
        self.most_scores = most_scores()
        # Looked up when called: a second registration would be a second name of the same weights.
        self._plain_head = plain_head(self.causal_model) is not None

    @property
    def causal_model(self) -> Any:
        """Return the transformers model that the adapters sit in."""
        return self.peft.base_model.model

    def forward(self, tokens: Tensor, positions: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        """Return the mean cross-entropy in nats of the targets [n, length]; -100 counts for nothing.

        `positions` are the places of the tokens in their documents: where they begin anew, so does what a
        token can see. With reduction "rows", return the sum and the number of the counted targets of each
        row, float64 [n, 2].
        """
        model = self.causal_model
        if self._plain_head and reduction == "mean":
            hidden = model.base_model(input_ids=tokens, position_ids=positions, use_cache=False)
            weight = model.get_output_embeddings().weight
            state = hidden.last_hidden_state.flatten(0, 1)
            return linear_cross_entropy(state, weight.to(state.dtype), targets.flatten(), self.most_scores)
        scores = model(input_ids=tokens, position_ids=positions, use_cache=False).logits.float()
        if reduction == "mean":
            return functional.cross_entropy(scores.flatten(0, 1), targets.flatten())
        losses = functional.cross_entropy(scores.transpose(1, 2), targets, reduction="none")
        counted = (targets != NOT_LEARNED).sum(dim=1)
        return torch.stack((losses.double().sum(dim=1), counted.double()), dim=1)
