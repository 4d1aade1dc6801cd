"""A causal language model as the engine trains it: tokens and targets in, the loss out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.configs.settings import ConfigError
from trainer.finetune.hugging_face import plain_head
from trainer.finetune.packing import NOT_LEARNED
from trainer.models.token_loss import linear_cross_entropy, most_scores

EVALUATION_SCORES = 2**25
"""Scores of held-out tokens that are made at once (128 MiB of float32)."""


class CausalLoss(nn.Module):
    """A transformers model with adapters, and the cross-entropy of its scores.

    Where the scores are the output layer's weights times the last hidden state, the scores of all tokens need
    not exist at once. Raises ConfigError where documents that share a sample would see each other.
    """

    def __init__(self, peft_model: Any, *, packing: bool) -> None:
        super().__init__()
        self.peft = peft_model
        self.packing = packing
        self.most_scores = most_scores()
        # Looked up when called: a second registration would be a second name of the same weights.
        self._plain_head = plain_head(self.causal_model) is not None
        self._masked = packing and not self._keeps_documents_apart(masked=False)
        if self._masked and not self._keeps_documents_apart(masked=True):
            raise ConfigError(
                ["model.packing: with this model packed documents see each other: set it to false"]
            )

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
        inputs = self._inputs(tokens, positions, masked=self._masked)
        if not self._plain_head:
            scores = self.causal_model(**inputs).logits
            if reduction == "mean":
                return functional.cross_entropy(scores.float().flatten(0, 1), targets.flatten())
            return _rows(_losses(scores.flatten(0, 1), None, targets), targets)
        state = self.causal_model.base_model(**inputs).last_hidden_state.flatten(0, 1)
        weight = self.causal_model.get_output_embeddings().weight.to(state.dtype)
        if reduction == "mean":
            return linear_cross_entropy(state, weight, targets.flatten(), self.most_scores)
        return _rows(_losses(state, weight, targets), targets)

    def _inputs(self, tokens: Tensor, positions: Tensor, *, masked: bool) -> dict[str, Any]:
        """Return what the model is called with; a document that is alone needs no word of where it is."""
        inputs: dict[str, Any] = {"input_ids": tokens, "use_cache": False}
        if self.packing:
            inputs["position_ids"] = positions
        if masked:
            document = (positions == 0).cumsum(dim=1)
            same = document[:, None, :, None] == document[:, None, None, :]
            inputs["attention_mask"] = same.tril()
        return inputs

    def _keeps_documents_apart(self, *, masked: bool) -> bool:
        """Return whether a document behind another in a sample gets the scores that it has alone.

        transformers tells documents apart by their positions for most models, and by a mask for others.
        """
        device = next(self.parameters()).device
        size = self.causal_model.get_input_embeddings().num_embeddings
        first, other, second = (torch.arange(at, at + 6, device=device) % size for at in (2, 11, 23))
        positions = torch.arange(6, device=device).repeat(2)[None]
        training = self.training
        self.eval()
        with torch.no_grad():
            try:
                behind, behind_other = (
                    self._scores(torch.cat((before, second))[None], positions, masked)[0, 6:]
                    for before in (first, other)
                )
                alone = self._scores(second[None], positions[:, :6], masked)[0]
            except (TypeError, ValueError, RuntimeError):  # it takes no positions, or no such mask
                return False
            finally:
                self.train(training)
        scale = float(alone.abs().max())
        return torch.allclose(behind, behind_other, rtol=0, atol=1e-6 * scale) and torch.allclose(
            behind, alone, rtol=0, atol=(1e-3 if alone.dtype == torch.float32 else 3e-2) * scale
        )

    def _scores(self, tokens: Tensor, positions: Tensor, masked: bool) -> Tensor:
        scores: Tensor = self.causal_model(**self._inputs(tokens, positions, masked=masked)).logits
        return scores


def _losses(state: Tensor, weight: Tensor | None, targets: Tensor) -> Tensor:
    """Return each target's cross-entropy, float64 [n, length], from states, or from scores without weights.

    As many scores at a time are made float32 as an evaluation has room for.
    """
    width = state.shape[1] if weight is None else weight.shape[0]
    parts = []
    rows = max(128, EVALUATION_SCORES // width)
    flat = targets.flatten()
    for at in range(0, len(flat), rows):
        part, wanted = state[at : at + rows], flat[at : at + rows]
        scores = part if weight is None else functional.linear(part, weight)
        parts.append(functional.cross_entropy(scores.float(), wanted, reduction="none").double())
    return torch.cat(parts).view(targets.shape)


def _rows(losses: Tensor, targets: Tensor) -> Tensor:
    """Return each row's sum and number of counted targets, float64 [n, 2]."""
    return torch.stack((losses.sum(dim=1), (targets != NOT_LEARNED).sum(dim=1).double()), dim=1)
