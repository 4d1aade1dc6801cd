"""Turns documents, or prompts with their responses, into tokens of which some are learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from trainer.configs.lora import LoraConfig
from trainer.configs.settings import ConfigError
from trainer.finetune.packing import Example

Pair = tuple[str, str]
"""A prompt, "" where the data has none, and what is to follow it."""


def uses_chat_template(tokenizer: Any, config: LoraConfig, *, prompted: bool) -> bool:
    """Return whether prompts and responses go through the tokenizer's chat template.

    Raises ConfigError where the settings do not fit the data or the tokenizer.
    """
    problems = []
    has_template = getattr(tokenizer, "chat_template", None) is not None
    if config.template == "chat" and not has_template:
        problems.append("model.template: the tokenizer has no chat template: set it to plain")
    if not prompted:
        missing = "there are no prompts: name data.prompt_column"
        if config.template == "chat":
            problems.append(f"model.template: {missing}, or set it to plain")
        if config.learn == "responses":
            problems.append(f"model.learn: {missing}, or learn all")
    if problems:
        raise ConfigError(problems)
    return config.template == "chat" or (config.template == "auto" and prompted and has_template)


def make_examples(
    pairs: Sequence[Pair], tokenizer: Any, config: LoraConfig, *, chat: bool, prompted: bool
) -> list[Example]:
    """Return each pair's tokens and which are learned: an end token's too, a prompt's only if asked for.

    `chat` takes the tokenizer's template. Raises ConfigError where prompts can't be told apart again.
    """
    responses_only = config.learn == "responses" or (config.learn == "auto" and prompted)
    encode = _by_template if chat else _plain
    return [
        Example([*prompt, *response], [not responses_only] * len(prompt) + [True] * len(response))
        for prompt, response in encode(pairs, tokenizer)
    ]


def prompt_tokens(prompt: str, tokenizer: Any, *, chat: bool) -> list[int]:
    """Return a prompt's tokens as training put them before a response."""
    encode = _by_template if chat else _plain
    tokens, _ = next(encode([(prompt, "")], tokenizer))
    return tokens


def end_tokens(tokenizer: Any, *, chat: bool) -> list[int]:
    """Return the tokens after which training let a response end: the tokenizer's own, and the template's."""
    found = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    if chat:
        _, response = next(_by_template([("a", "a")], tokenizer))
        content = len(tokenizer("a", add_special_tokens=False)["input_ids"])
        named = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
        found += [token for token in response[content:] if token in named][:1]
    return sorted(set(found))


def _plain(pairs: Sequence[Pair], tokenizer: Any) -> Iterator[tuple[list[int], list[int]]]:
    """Yield each prompt's and response's tokens, between the tokenizer's own first and last."""
    first = [tokenizer.bos_token_id] if _begins_with_special(tokenizer) else []
    last = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    texts = [text for pair in pairs for text in pair]
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    for prompt, response in zip(encoded[::2], encoded[1::2], strict=True):
        yield [*first, *prompt], [*response, *last]


def _by_template(pairs: Sequence[Pair], tokenizer: Any) -> Iterator[tuple[list[int], list[int]]]:
    """Yield what the chat template makes of a user's prompt, and of the assistant's response behind it."""
    for prompt, response in pairs:
        asked = [{"role": "user", "content": prompt}]
        answered = [*asked, {"role": "assistant", "content": response}]
        before = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(answered, tokenize=False)
        if not whole.startswith(before):
            raise ConfigError(
                ["model.template: the tokenizer's chat template changes the prompt once it is answered, so "
                 "the response cannot be told from it: set it to plain"]
            )  # fmt: skip
        parts = tokenizer([before, whole.removeprefix(before)], add_special_tokens=False)["input_ids"]
        yield parts[0], parts[1]


def _begins_with_special(tokenizer: Any) -> bool:
    """Return whether the tokenizer itself puts its first token before a text."""
    tokens = tokenizer("a")["input_ids"]
    return tokenizer.bos_token_id is not None and tokens[:1] == [tokenizer.bos_token_id]
