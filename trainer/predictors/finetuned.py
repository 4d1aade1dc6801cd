"""Goes on with texts, or answers prompts, by a fine-tuned Hugging Face model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trainer.finetune.examples import prompt_tokens
from trainer.finetune.hugging_face import load_tokenizer
from trainer.finetune.saved import ADAPTER
from trainer.predictors.contract import Answer, InputError
from trainer.predictors.text import DRAW_FIELDS, read_request


class FinetunedGenerator:
    """A causal language model of transformers with its tokenizer."""

    def __init__(self, model: Any, description: dict[str, Any], folder: Path) -> None:
        self.model = model
        self.chat: bool = description["about"]["chat"]
        self.ends: list[int] = description["about"]["end_tokens"]
        self.lock = threading.Lock()
        self.tokenizer = load_tokenizer(folder / ADAPTER)

    def describe(self) -> dict[str, Any]:
        """Return the form of an input and of an answer."""
        return {"kind": "text", "fields": list(DRAW_FIELDS), "answer": {"kind": "text"}}

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Return `prompt`, `response` and `text`, which is both, for each input; the same for the same input.

        An input is a text, or a dict of `prompt` and any of length (tokens), temperature, top_k and seed.
        """
        return [self._answer(read_request(each, place)) for place, each in enumerate(inputs)]

    def _answer(self, request: dict[str, Any]) -> Answer:
        prompt: str = request["prompt"]
        begin = self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else 0
        tokens = torch.tensor([prompt_tokens(prompt, self.tokenizer, chat=self.chat) or [begin]])
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if positions and tokens.shape[1] + request["length"] > positions:
            raise InputError(
                f"a prompt of {tokens.shape[1]} tokens and a length of {request['length']} are more than "
                f"this model's {positions} positions: give less of one"
            )
        drawing = request["temperature"] > 0
        chosen = {"temperature": request["temperature"], "top_k": request["top_k"] or 0} if drawing else {}
        # The numbers are drawn from torch's own generator, of which there is one a process.
        with self.lock, torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(request["seed"])
            whole = self.model.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=request["length"],
                do_sample=drawing,
                pad_token_id=self.ends[0] if self.ends else 0,
                eos_token_id=self.ends or None,
                **chosen,
            )[0]
        drawn = whole[tokens.shape[1] :]
        response = self.tokenizer.decode(drawn, skip_special_tokens=True)
        return {"prompt": prompt, "response": response, "text": prompt + response, "tokens": len(drawn)}
