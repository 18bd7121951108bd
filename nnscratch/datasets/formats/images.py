"""Pictures from files: any common format and mode, as uint8 arrays of the shape a network wants."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
MOST_PIXELS = 64_000_000
MOST_ON_A_SIDE = 65_535
MOST_SCANS = 100
"""Pixels a picture may have, in all and in a row or column, and times a JPEG may be gone over, which usually is done
10 times at most: one that says it has more is refused before it is decoded."""
BLOCK_PIXELS = 1 << 20


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silences Pillow's warnings: damaged metadata is no reason to refuse a picture, and `decode` bounds its size.

    Separate from `decode`, as Python's warning filters belong to the whole process and must not be swapped by threads.
    """
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


def decode(path: Path, height: int, width: int, channels: int) -> Array:
    """(height, width, channels) uint8, channels 1 (grey) or 3 (RGB), from a PNG, JPEG, GIF, BMP or WebP file.

    Turned as its EXIF orientation says, the first frame of an animation, transparency over white, 16 bits scaled
    to 8, colours to grey by luminance, and another size resized to fit exactly, without keeping the aspect ratio
    (area averaging when it shrinks, bicubic otherwise). Raises DataError, naming the file, for anything unreadable
    or of more than MOST_PIXELS pixels. For use in threads, too: inside one `quiet_pillow()` around all of them.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {channels}")
    try:
        with Image.open(path, formats=FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS or max(opened.size) > MOST_ON_A_SIDE:
                raise DataError(
                    f"{path}: {opened.width:,} x {opened.height:,} pixels; at most {MOST_PIXELS:,} are decoded, and "
                    f"{MOST_ON_A_SIDE:,} on a side",
                    "make the picture smaller",
                )
            # Inside the compressed data no such pair of bytes stands: each one begins a scan.
            if opened.info.get("progressive") and path.read_bytes().count(b"\xff\xda") > MOST_SCANS:
                raise DataError(f"{path}: more than {MOST_SCANS} scans", "save the picture again")
            # A JPEG decodes at a half, a quarter or an eighth where that is still large enough.
            side = 2 * max(width, height)
            opened.draft(None, (side, side))
            picture = ImageOps.exif_transpose(_eight_bits(opened))
        flat = _over_white(picture).convert("L" if channels == 1 else "RGB")
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: refused before decoding: {error}", "make the picture smaller") from error
    # A damaged file can fail in any of Pillow's decoders, in any way.
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "not a PNG, JPEG, GIF, BMP or WebP picture" if unknown else error
        raise DataError(
            f"{path}: unreadable: {reason or type(error).__name__}", "replace or remove the file"
        ) from error
    if flat.size != (width, height):
        shrinks = flat.width >= width and flat.height >= height
        flat = flat.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC)
    return np.array(flat, dtype=np.uint8).reshape(height, width, channels)


def _eight_bits(opened: Image) -> Image:
    """The decoded picture with 8 bits per channel; 16-bit grey is scaled, where Pillow's convert would clip it."""
    from PIL import Image

    opened.load()
    if not opened.mode.startswith("I"):
        return opened
    values = np.asarray(opened)
    scaled = np.empty(values.shape, np.uint8)
    rows = max(1, BLOCK_PIXELS // opened.width)  # some at a time: float64 takes eight times the picture
    for start in range(0, len(values), rows):
        block = values[start : start + rows] * (255 / 65535)
        scaled[start : start + rows] = np.clip(np.rint(block), 0, 255)
    grey = Image.fromarray(scaled)
    grey.getexif().update(opened.getexif())
    return grey


def _over_white(picture: Image) -> Image:
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    colours = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
