"""Held-out items of the data that a model was trained on, beside what the model says of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.configs.data import DATA_CONFIGS, DataConfig
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.errors import DatasetError
from trainer.data.find import cache_folder
from trainer.data.prepare_data import Request, prepare_data
from trainer.predictors.contract import InputError, KindPredictor
from trainer.predictors.pictures import PicturePredictor
from trainer.predictors.table import TablePredictor


def held_out_examples(kind: KindPredictor, description: dict[str, Any], count: int) -> dict[str, Any]:
    """Return `predictions` for the first `count` held-out items, and how many of the classes are right.

    Raises DatasetError where the data is not on this machine or has changed since, InputError where a model
    of this kind wants an input.
    """
    if not isinstance(kind, PicturePredictor | TablePredictor):
        raise InputError("give an input: --input JSON")
    data = _open_again(description)
    items = np.arange(min(count, data.held_out.num_items))
    batch = data.held_out.batch(items, np.zeros((len(items), data.held_out.noise_width), np.float32))
    if isinstance(kind, PicturePredictor):
        pictures = batch["pictures"].numpy()
        result = _of_classes(kind.predict(list(pictures)), batch["labels"].tolist(), kind.classes)
        return result | {"pictures": pictures.tolist(), "brightest": kind.about["brightest"]}
    answers = kind.predict_encoded(batch["numbers"], batch["categories"])
    if kind.target["kind"] == "class":
        return _of_classes(answers, batch["target"].tolist(), kind.target["classes"])
    predictions = [
        {"predicted": answer["number"], "target": target, "answer": answer}
        for answer, target in zip(answers, batch["target"].tolist(), strict=True)
    ]
    return {"predictions": predictions, "count": len(predictions)}


def _of_classes(answers: list[dict[str, Any]], labels: list[int], classes: list[str]) -> dict[str, Any]:
    predictions = [
        {
            "predicted": answer["class"],
            "label": classes[label],
            "probability": round(answer["probability"], 4),
        }
        for answer, label in zip(answers, labels, strict=True)
    ]
    correct = sum(entry["predicted"] == entry["label"] for entry in predictions)
    return {"predictions": predictions, "correct": correct, "count": len(predictions)}


def _open_again(description: dict[str, Any]) -> Dataset:
    """Return the data that the model was trained on, where it is here or can be made here."""
    training = description["training"]
    own = training.get("data")
    request = Request(data=_data_config(own)) if own else Request(training["dataset"])
    data = open_dataset(prepare_data(request, cache_folder(request)))
    if data.digest != description["data"]["digest"]:
        raise DatasetError(f"{data.name} is not what this model was trained on: its digest is another")
    return data


def _data_config(table: dict[str, Any]) -> DataConfig:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    make: Any = DATA_CONFIGS[table["kind"]]
    config: DataConfig = make(**values)
    return config
