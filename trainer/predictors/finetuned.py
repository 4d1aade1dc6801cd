"""Goes on with texts, or answers prompts, by a fine-tuned Hugging Face model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trainer.finetune.hugging_face import load_tokenizer
from trainer.finetune.saved import ADAPTER
from trainer.predictors.contract import Answer
from trainer.predictors.text import DRAW_FIELDS, read_request


class FinetunedGenerator:
    """A causal language model of transformers with its tokenizer."""

    def __init__(self, model: Any, description: dict[str, Any], folder: Path) -> None:
        self.model = model
        self.chat: bool = description["about"]["chat"]
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
        tokens = self._tokens(prompt)
        drawing = request["temperature"] > 0
        chosen = {"temperature": request["temperature"], "top_k": request["top_k"] or 0} if drawing else {}
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(request["seed"])
            whole = self.model.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=request["length"],
                do_sample=drawing,
                pad_token_id=self.tokenizer.eos_token_id or 0,
                **chosen,
            )[0]
        drawn = whole[tokens.shape[1] :]
        response = self.tokenizer.decode(drawn, skip_special_tokens=True)
        return {"prompt": prompt, "response": response, "text": prompt + response, "tokens": len(drawn)}

    def _tokens(self, prompt: str) -> torch.Tensor:
        """Return the prompt's tokens [1, n], as training put it before the model."""
        if self.chat:
            asked = [{"role": "user", "content": prompt}]
            text = self.tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
            tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            tokens = [
                each for each in self.tokenizer(prompt)["input_ids"] if each != self.tokenizer.eos_token_id
            ]
        begin = self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else 0
        return torch.tensor([tokens or [begin]])
