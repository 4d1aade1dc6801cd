"""A few items of the bundled data sets, in the form in which `trainer/data/look.py` shows one's own."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from trainer.configs.data import BUNDLED_SHAPES
from trainer.data.bundled_sets import HELD_OUT_EVERY, scikit_learn_data
from trainer.data.bundled_tables import TABLES, read_bundled
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.decode import png_of
from trainer.data.find import cache_folder
from trainer.data.look import EXCERPT, look_at_rows, spread
from trainer.data.prepare_data import Request, prepare_data
from trainer.text.tokenizer import Tokenizer


def look_at_bundled(name: str, count: int) -> dict[str, Any]:
    """Return what a bundled data set holds and `count` of its items; raises DatasetError.

    But for tables it is prepared into this machine's cache first, as it is for a training.
    """
    if name in TABLES:
        told = look_at_rows(read_bundled(name, scikit_learn_data()), count)
        train = told["rows"] - told["rows"] // HELD_OUT_EVERY
        about = {"train": train, "target": TABLES[name].target, "source": TABLES[name].source}
        return {"kind": "table", **told, **about}
    request = Request(name)
    data = open_dataset(prepare_data(request, cache_folder(request)))
    shape = BUNDLED_SHAPES[name]
    told = _pictures(data, count) if shape == "pictures" else _texts(data, count)
    return {"kind": "pictures" if shape == "pictures" else "text", **told, "source": data.about["source"]}


def _pictures(data: Dataset, count: int) -> dict[str, Any]:
    arrays, names = data.arrays("train"), data.about["classes"]
    labels = arrays["labels"]
    each = -(-count // len(names))
    picked = [int(at) for label in range(len(names)) for at in np.flatnonzero(labels == label)[:each]]
    scale = 255 / data.about["brightest"]
    height, width = data.about["height"], data.about["width"]
    items = []
    for at in picked[:count]:
        pixels = np.rint(arrays["pictures"][at] * scale).astype(np.uint8)
        png = base64.b64encode(png_of(pixels)).decode()
        items.append({"class": names[labels[at]], "width": width, "height": height, "png": png})
    return {"classes": _counts(data), "train": len(labels), "items": items}


def _texts(data: Dataset, count: int) -> dict[str, Any]:
    if data.kind == "labelled_text":
        labelled = _labelled(data, count)
        return {"classes": _counts(data), "train": len(data.arrays("train")["labels"]), "items": labelled}
    shards = data.tokens("train")
    tokens = np.concatenate([shard[: count * EXCERPT] for shard in shards])
    text = _decoded(data, tokens[: count * EXCERPT].tolist())
    pieces = [text[start : start + EXCERPT] for start in range(0, len(text), EXCERPT)]
    shown = [{"text": piece, "more": True} for piece in pieces[:count]]
    return {"train": sum(len(shard) for shard in shards), "items": shown}


def _labelled(data: Dataset, count: int) -> list[dict[str, Any]]:
    arrays = data.arrays("train")
    items = []
    for at in spread(range(len(arrays["labels"])), count):
        begin, end = arrays["offsets"][at : at + 2].tolist()
        text = _decoded(data, arrays["tokens"][begin:end].tolist())
        name = data.about["classes"][arrays["labels"][at]]
        items.append({"class": name, "text": text[:EXCERPT], "more": len(text) > EXCERPT})
    return items


def _decoded(data: Dataset, tokens: list[int]) -> str:
    if characters := data.about.get("characters"):
        return "".join(characters[token] if token else "\ufffd" for token in tokens)
    return Tokenizer(data.about["tokenizer"]).decode(tokens)


def _counts(data: Dataset) -> dict[str, int]:
    """Return how many items each class has, both parts together."""
    return {name: sum(parts.values()) for name, parts in data.report["classes"].items()}
