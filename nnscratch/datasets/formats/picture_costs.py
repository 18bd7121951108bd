"""What decoding a picture would cost, judged by its headers: one that takes more than any photograph does is refused.

Most pixels cost a few nanoseconds. Where Pillow's own decoder is Python they cost a microsecond, JPEG 2000 holds each
as numbers of 32 bits, and an icon's picture is larger than the icon says.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from nnscratch.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 64_000_000
MOST_ON_A_SIDE = 65_535
"""Pixels a picture may have, in all and in a row or column."""
MOST_PIXELS_OF = {"JPEG2000": 32_000_000, "ICO": 4_000_000}
DECODED_BY_PYTHON = {"ppm", "ppm_plain", "qoi", "bmp_rle"}
MOST_PIXELS_BY_PYTHON = 4_000_000
"""Of pictures that Pillow decodes number by number: about four seconds' work."""
MOST_BYTES_A_PIXEL = {"ppm_plain": 32, "bmp_rle": 4}
SLACK = 1 << 16
"""Bytes a file may have for each pixel, and beside them: of those decoders that read on when they have all pixels."""
MOST_COMMENTS = 1_000
"""In a PPM of digits: each one moves all that comes after it."""
MOST_SCANS = 100
MOST_SCANNED = 10 * MOST_PIXELS
"""Times a JPEG may be gone over, usually at most 10, and pixels that this may touch in all: about ten seconds' work."""
MOST_TILES = 1 << 18
"""Pieces of a TIFF; tiles have at least 16 x 16 pixels, strips are at most as many as rows."""
TILE_OFFSETS, STRIP_OFFSETS = 324, 273
DAMAGED = (struct.error, OSError, ValueError, SyntaxError, KeyError, TypeError, IndexError, EOFError)
LARGEST_FILE = 1 << 30
BYTES_A_PIXEL = {"JPEG2000": 32}
BYTES_A_PIXEL_ELSE = 20
"""What decoding holds for each pixel, at most: the picture, turned, over white, and as numbers of 32 bits."""


def decoding_bytes(opened: Image) -> int:
    """The memory that decoding it takes, at most."""
    return BYTES_A_PIXEL.get(opened.format or "", BYTES_A_PIXEL_ELSE) * opened.width * opened.height


def refuse_before_opening(path: Path, data: bytes | None) -> None:
    """A DataError for what costs too much when Pillow opens it: a huge file, a TIFF of many pieces, a large icon."""
    if _size(path, data) > LARGEST_FILE:
        raise DataError(f"{path}: a picture of more than {LARGEST_FILE:,} bytes", "make the picture smaller")
    with path.open("rb") if data is None else io.BytesIO(data) as file:
        start = file.read(8)
        with suppress(*DAMAGED):  # which is told by who opens it
            if start[:2] in (b"II", b"MM"):
                pieces = _pieces_of_tiff(start, file)
                if pieces > MOST_TILES:
                    raise DataError(
                        f"{path}: a TIFF in {pieces:,} pieces; at most {MOST_TILES:,} are put together",
                        "save it again as PNG",
                    )
            elif start.startswith(b"\0\0\1\0"):
                file.seek(0)
                _refuse_pixels(path, _largest_of_icon(file), MOST_PIXELS_OF["ICO"], "ICO")


def refuse_bomb(path: Path, opened: Image, data: bytes | None, most_pixels: int) -> None:
    """A DataError for what would take more than its share of memory or time, judged before anything is decoded."""
    pixels, bytes_of_file = opened.width * opened.height, _size(path, data)
    tiles = getattr(opened, "tile", ())
    decoder = str(tiles[0][0]) if tiles else ""
    kind, most = opened.format or "", MOST_PIXELS_OF.get(opened.format or "", MOST_PIXELS)
    if decoder in DECODED_BY_PYTHON:
        kind, most = f"this kind of {kind}", MOST_PIXELS_BY_PYTHON
    _refuse_pixels(path, opened.size, min(most, most_pixels), "" if most >= min(most_pixels, MOST_PIXELS) else kind)
    if bytes_of_file > SLACK + pixels * MOST_BYTES_A_PIXEL.get(decoder, LARGEST_FILE):
        raise DataError(f"{path}: {bytes_of_file:,} bytes for {pixels:,} pixels", "save the picture again")
    if decoder == "ppm_plain" and (comments := _count(path, data, b"#")) > MOST_COMMENTS:
        raise DataError(f"{path}: {comments:,} comments in a picture", "save the picture again")
    if opened.format == "JPEG":
        # Inside the compressed data no such pair of bytes stands: each one begins a scan, also where it is not
        # progressive, and an empty scan of 10 bytes takes as long as a full one.
        scans = _count(path, data, b"\xff\xda")
        if scans > MOST_SCANS or (scans > 10 and scans * pixels > MOST_SCANNED):
            raise DataError(
                f"{path}: {scans:,} scans of {pixels:,} pixels, more than any photograph has", "save the picture again"
            )


def _refuse_pixels(path: Path, size: tuple[int, int], most: int, kind: str) -> None:
    """`kind` says of which pictures fewer are decoded than of others."""
    if size[0] * size[1] > most or max(size) > MOST_ON_A_SIDE:
        raise DataError(
            f"{path}: {size[0]:,} x {size[1]:,} pixels; at most {most:,}{kind and f' of {kind}'} are decoded, and "
            f"{MOST_ON_A_SIDE:,} on a side",
            "make the picture smaller" + (kind and ", or save it as PNG"),
        )


def _pieces_of_tiff(start: bytes, file: IO[bytes]) -> int:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    directory = ImageFileDirectory_v2(start + (file.read(8) if 43 in start[2:4] else b""))
    file.seek(directory.next)
    directory.load(file)
    return max(len(directory.get(tag, ())) for tag in (TILE_OFFSETS, STRIP_OFFSETS))


def _largest_of_icon(file: IO[bytes]) -> tuple[int, int]:
    """The largest of the pictures inside: what the list of them says is at most 256, and need not be true."""
    sizes = [(0, 0)]
    _, _, entries = struct.unpack("<HHH", file.read(6))
    for (offset,) in struct.iter_unpack("<12xI", file.read(16 * entries)):
        file.seek(offset)
        start = file.read(24)
        if start.startswith(b"\x89PNG"):
            sizes.append(struct.unpack(">II", start[16:24]))
        else:  # of a bitmap twice its height, as its mask lies below it
            width, twice = struct.unpack("<ii", start[4:12])
            sizes.append((abs(width), abs(twice) // 2))
    return max(sizes, key=lambda size: size[0] * size[1])


def _count(path: Path, data: bytes | None, mark: bytes) -> int:
    return (path.read_bytes() if data is None else data).count(mark)


def _size(path: Path, data: bytes | None) -> int:
    return path.stat().st_size if data is None else len(data)
