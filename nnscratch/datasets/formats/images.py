"""Pictures from files: any common format and mode, as uint8 arrays of the shape a network wants.

Whatever Pillow decodes by itself is read; EPS, which starts Ghostscript, and formats that only some scanners write are
not. A picture is refused before it is decoded when that would take more memory or time than any photograph does.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.datasets.formats.picture_costs import MOST_PIXELS, decoding_bytes, refuse_before_opening, refuse_bomb
from nnscratch.datasets.formats.white import BRIGHTER, reach, white_of
from nnscratch.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES_OF = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "AVIF": (".avif",),
    "DIB": (".dib",),
    "ICO": (".ico",),
    "PCX": (".pcx",),
    "SGI": (".sgi", ".rgb", ".bw"),
    "QOI": (".qoi",),
    "TGA": (".tga",),
}
"""What is read, by Pillow's name, the likely ones first: the content decides, the suffix says which files to open."""
FORMATS = tuple(SUFFIXES_OF)
SUFFIXES = tuple(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes)
LARGEST_AT_ONCE = 1 << 30
"""Bytes that the pictures being decoded at one time may take; one alone always may."""
BLOCK_PIXELS = 1 << 20


class Room:
    """So many bytes that threads share: who asks for more than is left waits, but one alone is always let in.

    So is who asks for little, a 256th of them: a small picture does not wait for a huge one.
    """

    def __init__(self, size: int) -> None:
        self.size, self._taken, self._changed = size, 0, threading.Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Inside, so many bytes are taken."""
        with self._changed:
            if size > self.size // 256:
                self._changed.wait_for(lambda: self._taken == 0 or self._taken + size <= self.size)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()


DECODING = Room(LARGEST_AT_ONCE)
"""Of this process, whoever decodes: readers of small pictures all work at once, those of huge ones in turn."""


@dataclass(frozen=True)
class Deep:
    """What a file of more than 8 bits held, in its own numbers and its transparency aside."""

    low: float
    peak: float
    is_whole: bool
    is_float: bool
    peak_of_all: float
    """With its transparency, which once counted as brightness."""
    share_above: float
    """Of its numbers, how many are above what was taken for white."""

    @property
    def white(self) -> float:
        """What is white by what it holds alone."""
        return white_of(self.peak, self.is_whole)

    @property
    def are_fractions(self) -> bool:
        """Whether its numbers are fractions of white."""
        return self.is_float and not self.is_whole and self.white == 1


@dataclass(frozen=True)
class Picture:
    """Pixels as a network wants them, and what the file held: its size, Pillow's mode, its numbers."""

    pixels: Array
    """(height, width, channels) uint8."""
    size: tuple[int, int]
    """Width and height in the file."""
    mode: str
    deep: Deep | None
    """None for 8 bits."""

    def compared(self, path: Path, white: float | None, *, may_be_negative: bool = False) -> str:
        """What of its numbers is unlike those of the pictures it is to be like, where 0 is black and `white` white.

        Raises DataError for numbers of clearly another range; a guess of it is but as good as the pictures were.
        """
        if self.deep is None:
            return ""
        deep, held = self.deep, f"pixels from {self.deep.low:.9g} to {self.deep.peak:.9g}"
        if deep.low < 0 and not may_be_negative:
            raise DataError(f"{path}: {held}; pixels have no negative values", "save it with numbers from 0 on")
        negative = f"{held}: those below 0 are black" if deep.low < 0 else ""
        if white is None:
            return negative
        guess = f"where {white:g} is white, guessed from the pictures of the training"
        if deep.peak > BRIGHTER * white:
            raise DataError(f"{path}: {held}, {guess}", "save it with numbers of that range, or with 8 bits")
        if deep.peak > reach(white, deep.is_whole):
            return f"{held}, {guess}: {deep.share_above:.2%} of them are brighter, and are taken for white"
        return f"{held}, {guess}: it is all but black" if deep.are_fractions and white > 255 else negative


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


def read_picture(
    path: Path,
    height: int,
    width: int,
    channels: int,
    white: float | None = None,
    *,
    data: bytes | None = None,
    most_pixels: int = MOST_PIXELS,
) -> Picture:
    """A picture from a file of one of FORMATS, with channels 1 (grey) or 3 (RGB), as uint8.

    Turned as its EXIF orientation says, the first frame of an animation, transparency over white (but not the one grey
    of a 16-bit PNG that stands for it, which counts as the grey it is), colours to grey by luminance, and another size
    resized to fit exactly, without keeping the aspect ratio (area averaging when it shrinks, bicubic otherwise).
    Numbers of more than 8 bits are scaled so that `white` becomes 255, left out: what `white_of` says of this picture
    alone. With `data`, a file's contents that came from elsewhere, `path` is a name and no file is opened. Raises
    DataError, naming the file, for anything unreadable or of more than `most_pixels`. For use in threads, too: inside
    one `quiet_pillow()` around all of them.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {channels}")
    try:
        # TGA has no mark by which it is known: only a file that is called so is tried as one.
        formats = FORMATS if path.suffix.lower() == ".tga" else FORMATS[:-1]
        refuse_before_opening(path, data)
        with Image.open(path if data is None else io.BytesIO(data), formats=formats) as opened:
            size, mode = opened.size, opened.mode
            refuse_bomb(path, opened, data, most_pixels)
            # A JPEG decodes at a half, a quarter or an eighth where that is still large enough.
            side = 2 * max(width, height)
            opened.draft(None, (side, side))
            with DECODING.take(decoding_bytes(opened)):
                eight, deep = _eight_bits(opened, white)
                ImageOps.exif_transpose(eight, in_place=True)
                flat, colours = _over_white(eight), "L" if channels == 1 else "RGB"
                if flat.mode != colours:  # a copy otherwise
                    flat = flat.convert(colours)
                if flat.size != (width, height):
                    shrinks = flat.width >= width and flat.height >= height
                    flat = flat.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC)
                pixels = np.array(flat, dtype=np.uint8).reshape(height, width, channels)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except Image.DecompressionBombError as error:
        # Pillow's limit is another one, and its words name that.
        most = f"at most {min(MOST_PIXELS, most_pixels):,} are decoded"
        raise DataError(f"{path}: too many pixels; {most}", "make the picture smaller") from error
    # A damaged file can fail in any of Pillow's decoders, in any way.
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "not a picture of a format that is read here" if unknown else error
        hint = f"replace or remove the file; read are {', '.join(FORMATS)}" if unknown else "replace or remove the file"
        raise DataError(f"{path}: unreadable: {reason or type(error).__name__}", hint) from error
    return Picture(pixels, size, mode, deep)


def _eight_bits(opened: Image, white: float | None) -> tuple[Image, Deep | None]:
    """The decoded picture with 8 bits per channel, and what it held where it had more of them.

    Pillow's own conversion would clip 16-bit grey. Of 16-bit colour it reads the upper 8 bits alone.
    """
    from PIL import Image

    is_deep_colour = any(";16" in str(tile[3]) for tile in getattr(opened, "tile", ())) and not opened.mode.startswith(
        "I"
    )
    opened.load()
    if not is_deep_colour and not opened.mode.startswith(("I", "F")):
        return opened, None
    values, unit = np.asarray(opened), 257 if is_deep_colour else 1
    deep = _deep(values, unit, opened.mode, white)
    if not np.isfinite(deep.peak_of_all):
        raise ValueError("it holds NaN or infinity")
    factor = unit * 255 / (white or deep.white)
    has_alpha = opened.mode.endswith("A")  # which has a range of its own
    of_alpha = unit * 255 / white_of(float(values[..., -1].max()) * unit) if has_alpha else 1.0
    scaled = np.empty(values.shape, np.uint8)
    rows = max(1, BLOCK_PIXELS // opened.width)  # some at a time: float64 takes eight times the picture
    for start in range(0, len(values), rows):
        block = values[start : start + rows] * factor
        if has_alpha:
            block[..., -1] = values[start : start + rows, ..., -1] * of_alpha
        scaled[start : start + rows] = np.clip(np.rint(block), 0, 255)
    eight = Image.frombytes("L" if scaled.ndim == 2 else opened.mode, opened.size, scaled)
    eight.getexif().update(opened.getexif())
    return eight, deep


def _deep(values: Array, unit: int, mode: str, white: float | None) -> Deep:
    of_all = float(values.max()) * unit
    colours = values[..., :-1] if mode.endswith("A") else values
    low, peak = (float(extreme) * unit for extreme in (colours.min(), colours.max()))
    is_float = values.dtype.kind == "f"
    is_whole = not is_float or bool((values == np.rint(values)).all())
    above = float(np.mean(colours > white / unit)) if white is not None and peak > white else 0.0
    return Deep(low, peak, is_whole, is_float, of_all, above)


def _over_white(picture: Image) -> Image:
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    colours = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
