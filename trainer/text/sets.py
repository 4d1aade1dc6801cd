"""Turns documents into the arrays that text models train on, and makes the bundled sets of text."""

from __future__ import annotations

import platform
import re
import sysconfig
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.evaluation.text_references import text_references
from trainer.files.safetensors import Array
from trainer.text.tokenizer import Tokenizer, train_tokenizer

Made = tuple[dict[str, Array], dict[str, Any]]
"""A data set's arrays by name, and what a task needs to know beside them."""

Labelled = tuple[str, str]
"""A text and the name of its class."""

SOURCE_VOCABULARY = 1024
"""Tokens for Python's source: few, so that a GPT for one core learns them all in minutes."""
PACKAGES_VOCABULARY = 4096
HELD_OUT_EVERY = 5
"""Every fifth file is held out from training."""
SNIPPET_LINES = 12
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "asyncio": ("asyncio",),
    "email": ("email",),
    "importing": ("importlib",),
    "processes": ("multiprocessing", "concurrent"),
    "testing": ("unittest",),
    "web": ("http", "urllib", "wsgiref", "xmlrpc"),
    "xml": ("xml",),
}
"""The classes of the bundled labelled text, and the standard library's packages that each is made of: those
that every installation has, with enough files for some to be held out."""


def encode_parts(train: Iterable[str], held_out: Iterable[str], tokenizer: Tokenizer) -> Made:
    """Return documents as two runs of tokens, `train` and `held_out` [n], an end token behind each."""
    arrays = {
        part: _tokens(tokenizer.encode_documents(texts), tokenizer)
        for part, texts in (("train", train), ("held_out", held_out))
    }
    return arrays, {"tokenizer": tokenizer.json}


def encode_labelled(train: Sequence[Labelled], held_out: Sequence[Labelled], tokenizer: Tokenizer) -> Made:
    """Return labelled texts: for each part its `tokens` [n], `offsets` [texts + 1] and `labels` [texts].

    The classes are those of the training part, sorted; raises ValueError where the held-out part has others.
    """
    classes = sorted({label for _, label in train})
    if strange := sorted({label for _, label in held_out} - set(classes)):
        raise ValueError(f"classes that no training text has: {', '.join(strange)}")
    arrays: dict[str, Array] = {}
    for part, texts in (("train", train), ("held_out", held_out)):
        encoded = tokenizer.encode([text for text, _ in texts])
        ends = array("q", [0])
        for tokens in encoded:
            ends.append(ends[-1] + len(tokens))
        labels = array("q", (classes.index(label) for _, label in texts))
        arrays[f"{part}_tokens"] = _tokens(encoded, tokenizer)
        arrays[f"{part}_offsets"] = Array((len(ends),), ends.tobytes(), "I64")
        arrays[f"{part}_labels"] = Array((len(labels),), labels.tobytes(), "I64")
    counts = Counter(label for _, label in train)
    return arrays, {
        "tokenizer": tokenizer.json,
        "classes": classes,
        "class_counts": [counts[each] for each in classes],
        "references": text_references(train, held_out),
    }


def make_python_source_bpe() -> Made:
    """Return the standard library's top-level modules as byte-pair tokens, every fifth file held out."""
    texts = [_text(module) for module in sorted(_library().glob("*.py"))]
    held_out = texts[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    train = [text for number, text in enumerate(texts) if number % HELD_OUT_EVERY != HELD_OUT_EVERY - 1]
    arrays, about = encode_parts(train, held_out, train_tokenizer(train, SOURCE_VOCABULARY))
    return arrays, about | _origin()


def make_python_packages() -> Made:
    """Return snippets of the standard library's packages labelled by family; no file is in both parts."""
    train: list[Labelled] = []
    held_out: list[Labelled] = []
    for family, packages in FAMILIES.items():
        # Some versions ship a package's tests with it, others do not.
        files = [
            file
            for name in packages
            for file in sorted((_library() / name).rglob("*.py"))
            if "test" not in file.relative_to(_library()).parts
        ]
        for number, file in enumerate(files):
            part = held_out if number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else train
            part += [(snippet, family) for snippet in snippets(_text(file))]
    tokenizer = train_tokenizer([text for text, _ in train], PACKAGES_VOCABULARY)
    arrays, about = encode_labelled(train, held_out, tokenizer)
    return arrays, about | _origin() | {"grouped_by": "file"}


def snippets(text: str) -> Iterator[str]:
    """Yield a module's text in pieces of some lines each, without what would give its package away at once.

    Lines that import are left out, and the families' and packages' names are blotted out wherever they stand.
    """
    names = sorted({*FAMILIES, *(name for packages in FAMILIES.values() for name in packages)})
    blot = re.compile(rf"{'|'.join(names)}", re.IGNORECASE)
    lines = [
        blot.sub("_", line)
        for line in text.splitlines()
        if line.strip() and not re.match(r"\s*(from\s+\S+\s+import|import)\s", line)
    ]
    for at in range(0, len(lines) - SNIPPET_LINES + 1, SNIPPET_LINES):
        yield "\n".join(lines[at : at + SNIPPET_LINES])


def _tokens(documents: Iterable[Sequence[int]], tokenizer: Tokenizer) -> Array:
    """Return the documents' tokens one behind the other, of two bytes each where all of them fit."""
    wide = tokenizer.vocabulary_size > 2**16
    tokens = array("I" if wide else "H")
    for document in documents:
        tokens.extend(document)
    return Array((len(tokens),), tokens.tobytes(), "U32" if wide else "U16")


def _origin() -> dict[str, Any]:
    return {
        "source": f"the standard library of Python {platform.python_version()}",
        "licence": "Python Software Foundation License",
    }


def _library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")
