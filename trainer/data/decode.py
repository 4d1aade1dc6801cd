"""Decodes one picture to the bytes that training sees; prediction does the same. Pillow is an extra."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.data.errors import DatasetError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow's names of what is decoded, by a file's content and not its name. Of its other decoders one starts a
program that runs what is in the file (EPS), and most see too little use to be given a stranger's file."""

MOST_PIXELS = min(2**26, int(os.environ.get("FLEETFORM_MOST_PIXELS", 2**26)))
"""Pixels of a picture above which it is not decoded: 192 MiB in three channels, or fewer if that is said."""


class PictureError(ValueError):
    """A picture that cannot be decoded; says why."""


@dataclass(frozen=True)
class Small:
    """A picture made small to be shown, with nothing of what its file says besides: place, camera, notes."""

    png: bytes
    width: int
    """Pixels of the picture itself, as it is stored."""
    height: int


def decode_picture(
    data: bytes,
    height: int,
    width: int,
    colour: Literal["rgb", "grey"] = "rgb",
    resize: Literal["crop", "squeeze"] = "crop",
) -> NDArray[np.uint8]:
    """Return the picture as uint8 [height, width, 3], grey [height, width, 1]; raises PictureError.

    It is turned as its camera noted, laid on white where it is transparent; of several, the first.
    DatasetError where Pillow is not installed.
    """
    image_module, operations = _pillow()
    image, _ = _open(data, (width * 2, height * 2), colour)
    bicubic = image_module.Resampling.BICUBIC
    if resize == "crop":
        image = operations.fit(image, (width, height), bicubic)
    elif image.size != (width, height):
        image = image.resize((width, height), bicubic)
    pixels: NDArray[np.uint8] = np.asarray(image, np.uint8).reshape(height, width, -1)
    return pixels


def shrink_picture(data: bytes, longest: int) -> Small:
    """Return the picture with a longer side of `longest` pixels at most; raises as `decode_picture` does."""
    image, (width, height) = _open(data, (longest, longest), "rgb")
    image.thumbnail((longest, longest))
    return Small(png_of(np.asarray(image, np.uint8)), width, height)


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels [height, width, 1 or 3] as a PNG file."""
    image_module, _ = _pillow()
    file = io.BytesIO()
    image_module.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def _open(data: bytes, about: tuple[int, int], colour: str) -> tuple[Any, tuple[int, int]]:
    """Return the picture in three channels or one, and the size that it is stored in.

    A JPEG is decoded at a size not far above `about`, which saves most of the work.
    """
    image_module, operations = _pillow()
    try:
        with image_module.open(io.BytesIO(data), formats=FORMATS) as opened:
            size = opened.size
            if size[0] * size[1] > MOST_PIXELS:
                raise PictureError("has too many pixels")
            opened.draft(None, about)
            opened.load()
            return _plain(operations.exif_transpose(opened), colour, image_module), size
    except PictureError:
        raise
    except image_module.UnidentifiedImageError:
        raise PictureError("is no picture of a kind that is known") from None
    except (image_module.DecompressionBombWarning, image_module.DecompressionBombError):
        raise PictureError("has too many pixels") from None
    except Exception as error:  # Pillow's decoders raise whatever a broken file brings about
        raise PictureError(f"cannot be decoded: {str(error) or type(error).__name__}") from None


def _plain(image: Any, colour: str, image_module: Any) -> Any:
    """Return the picture in three channels or one, of 8 bits each."""
    if image.mode.startswith(("I", "F")):  # 16 bits and more, which Pillow would cut off at 255
        values = np.asarray(image, np.float64)
        brightest = 65535.0 if image.mode.startswith("I") else max(float(values.max()), 1.0)
        image = image_module.fromarray((values * (255 / brightest)).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        image = image_module.alpha_composite(image_module.new("RGBA", over.size, "white"), over)
    return image.convert("RGB" if colour == "rgb" else "L")


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise DatasetError("to decode pictures: pip install pillow") from None
    return Image, ImageOps
