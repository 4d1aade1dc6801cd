"""Cuts text into tokens: byte-level BPE by the `tokenizers` library, of which training nodes need nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from trainer.configs.settings import ConfigError

END = "<|end|>"
"""The token after each document."""
PADDING = "<|padding|>"
"""The token that fills short texts up; never a target."""
_LONGEST_BATCH = 256
"""Documents that are encoded at once, side by side on all cores."""


class Tokenizer:
    """A trained tokenizer, the same from the same JSON on every machine.

    Raises ConfigError, when it is first used, where the `tokenizers` package is not installed.
    """

    def __init__(self, text: str) -> None:
        """Take the text of a tokenizer.json, as the library writes and reads it."""
        self.json = text

    @property
    def vocabulary_size(self) -> int:
        """Return how many different tokens there are, special ones included."""
        size: int = self._library.get_vocab_size(with_added_tokens=True)
        return size

    @property
    def end_token(self) -> int:
        """Return the token that ends a document."""
        token: int = self._library.token_to_id(END)
        return token

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's tokens, without an end token."""
        return [encoding.ids for encoding in self._library.encode_batch_fast(list(texts))]

    def encode_documents(self, texts: Iterable[str]) -> Iterator[list[int]]:
        """Yield each document's tokens with the end token behind them, a batch of documents at a time."""
        batch: list[str] = []
        for text in texts:
            batch.append(text)
            if len(batch) == _LONGEST_BATCH:
                yield from ([*tokens, self.end_token] for tokens in self.encode(batch))
                batch.clear()
        yield from ([*tokens, self.end_token] for tokens in self.encode(batch))

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the tokens' text, special ones left out; bytes that are no whole character become U+FFFD."""
        text: str = self._library.decode(list(tokens), skip_special_tokens=True)
        return text

    @cached_property
    def _library(self) -> Any:
        try:
            return import_tokenizers().Tokenizer.from_str(self.json)
        except ConfigError:
            raise
        except Exception as error:  # the library's own are plain Exceptions
            raise ConfigError([f"tokenizer.json: cannot be read: {error}"]) from None


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Return a byte-level BPE tokenizer of at most so many tokens, learned from the texts.

    Any text can be encoded: what was not learned is spelled in bytes (Radford et al. 2019, section 2.2).
    """
    library = import_tokenizers()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END, PADDING],
        initial_alphabet=sorted(byte_characters()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return Tokenizer(tokenizer.to_str())


def import_tokenizers() -> Any:
    """Return the `tokenizers` package; raises ConfigError where it is not installed."""
    try:
        import tokenizers
    except ImportError:
        raise ConfigError(
            ["text is cut into tokens by the tokenizers package, which is missing: pip install tokenizers"]
        ) from None
    return tokenizers


def byte_characters() -> dict[str, int]:
    """Return the byte that each character of a byte-level vocabulary stands for.

    Printable bytes stand for themselves, the others for the characters from U+0100 on, in order: the table
    of GPT-2's encoder, which all byte-level BPE shares.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + at): byte for at, byte in enumerate(others)}


def token_bytes(text: str) -> list[bytes]:
    """Return the bytes of each token, by token, from a tokenizer.json alone; special ones have none.

    Raises ValueError where the tokenizer is not byte-level.
    """
    table = json.loads(text)
    special = {entry["id"] for entry in table["added_tokens"] if entry["special"]}
    vocabulary = table["model"]["vocab"] | {entry["content"]: entry["id"] for entry in table["added_tokens"]}
    values = byte_characters()
    result = [b""] * (max(vocabulary.values()) + 1)
    for token, number in vocabulary.items():
        if number in special:
            continue
        if any(character not in values for character in token):
            raise ValueError(f"the token {token!r} is not of bytes")
        result[number] = bytes(values[character] for character in token)
    return result


def special_token(text: str, name: str) -> int:
    """Return the number of a special token of a tokenizer.json."""
    return next(int(entry["id"]) for entry in json.loads(text)["added_tokens"] if entry["content"] == name)
