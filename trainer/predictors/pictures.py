"""Tells the class of pictures: from a file, its bytes, or the pixels themselves."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainer.data.errors import DatasetError
from trainer.predictors.contract import Answer, InputError, class_answer
from trainer.tasks.pictures import PictureClassifier

BLOCK = 64
"""Pictures of one forward pass."""


class PicturePredictor:
    """A picture model with what it needs to know of pictures: their shape, scale and classes."""

    def __init__(self, model: nn.Module, description: dict[str, Any]) -> None:
        self.about: dict[str, Any] = description["about"]
        self.classes: list[str] = self.about["classes"]
        self.shape = (self.about["height"], self.about["width"], self.about["channels"])
        self.module = PictureClassifier(model, self.about["brightest"]).eval()

    def describe(self) -> dict[str, Any]:
        """Return that one picture is wanted, of which size, and the classes of the answer."""
        height, width, channels = self.shape
        picture = {
            "name": "picture",
            "type": "picture",
            "required": True,
            "height": height,
            "width": width,
            "channels": channels,
            "help": "a file's bytes as base64, fitted to this size as the training pictures were; or pixels "
            "as lists of rows",
        }
        return {"kind": "pictures", "fields": [picture], "answer": {"kind": "class", "classes": self.classes}}

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Return class and probabilities for each picture.

        A picture is a Path, bytes of a file, these as base64, rows of pixels on the training data's own
        scale, or a dict with one of these as `picture`. A text is never taken for a path. Raises InputError.
        """
        answers: list[Answer] = []
        for begin in range(0, len(inputs), BLOCK):
            pictures = [
                self.pixels(each, begin + place) for place, each in enumerate(inputs[begin : begin + BLOCK])
            ]
            with torch.no_grad():
                shares = self.module(torch.from_numpy(np.stack(pictures)))
            answers += [class_answer(each, self.classes) for each in shares.tolist()]
        return answers

    def pixels(self, given: Any, number: int) -> NDArray[np.uint8]:
        """Return one input as bytes [height, width, channels] on the training data's scale."""
        if isinstance(given, dict):
            given = given.get("picture")
        if isinstance(given, str):
            # What comes as text, from a form or a request, never names a file of this machine.
            given = _from_base64(given, number)
        if isinstance(given, list | np.ndarray):
            return self._from_rows(given, number)
        if isinstance(given, Path):
            try:
                given = given.read_bytes()
            except OSError as error:
                raise InputError(f"input {number}: {error}") from None
        if not isinstance(given, bytes):
            raise InputError(f"input {number}: is {type(given).__name__}, not a picture: {self._wanted()}")
        return self._decode(given, number)

    def _decode(self, data: bytes, number: int) -> NDArray[np.uint8]:
        from trainer.data.decode import PictureError, decode_picture

        height, width, channels = self.shape
        resize = self.about.get("resize", "crop")
        try:
            pixels = decode_picture(data, height, width, "rgb" if channels == 3 else "grey", resize)
        except (PictureError, DatasetError) as error:  # broken, or there is no Pillow
            raise InputError(f"input {number}: {error}") from None
        scale = self.about["brightest"] / 255
        rescaled: NDArray[np.uint8] = np.rint(pixels * scale).astype(np.uint8) if scale != 1 else pixels
        return rescaled.reshape(self.shape)

    def _from_rows(self, rows: Any, number: int) -> NDArray[np.uint8]:
        brightest = self.about["brightest"]
        try:
            array = np.asarray(rows, dtype=np.float64)
            # Rows of a grey picture may lack the axis of its one channel; any other order is another picture.
            array = array[:, :, None] if array.ndim == 2 else array
        except (ValueError, TypeError):
            raise InputError(f"input {number}: is no picture of equal rows of pixels") from None
        if array.shape != self.shape or not ((array >= 0) & (array <= brightest)).all():
            raise InputError(f"input {number}: {self._wanted()}")
        return np.rint(array).astype(np.uint8)

    def _wanted(self) -> str:
        height, width, channels = self.shape
        return (
            f"wanted are a file's Path, bytes or base64, or {height} rows of {width} pixels of {channels} "
            f"channels, 0 to {self.about['brightest']:g}"
        )


def _from_base64(text: str, number: int) -> bytes:
    try:
        return base64.b64decode("".join((text.partition("base64,")[2] or text).split()), validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"input {number}: is no base64 of a picture") from None
