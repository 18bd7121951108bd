"""The NPY format of NumPy's arrays, read without evaluating anything in it and failing in one way.

6 bytes of magic, 2 of version, the length of a header, the header, which is a Python dict written as text, then the
numbers. NumPy's own reader gives the header to Python's parser: a flipped bit there ends in any of a dozen errors.
Format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.errors import DataError

MAGIC = b"\x93NUMPY"
LONGEST = 10_000
"""Bytes of a header; NumPy's own bound."""
LENGTHS = {(1, 0): (2, "latin-1"), (2, 0): (4, "latin-1"), (3, 0): (4, "utf-8")}
"""How many bytes say the header's length, and its encoding, by version."""
FIELD = re.compile(
    r"\s*(?:'(?P<key>[a-z_]+)'|\"(?P<key2>[a-z_]+)\")\s*:\s*"
    r"(?:'(?P<text>[^'\\]*)'|\"(?P<text2>[^\"\\]*)\"|(?P<flag>True|False)|\((?P<shape>[\d\s,L]*)\)|(?P<list>\[.*\]))"
    r"\s*(?P<end>,\s*\}?|\})",
    re.DOTALL,
)
SHAPE = re.compile(r"\s*(\d{1,19}L?\s*,\s*)*(\d{1,19}L?)?\s*")
PLAIN = re.compile(r"[<>|=]?(?:[biuf][1248]|[biuf]16|b1|c8|c16|c32|[SU]\d{1,9})")


@dataclass(frozen=True)
class NPYHeader:
    """The shape of an array, whether its first index runs fastest, and its type."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize


def read_npy_header(stream: IO[bytes], name: str) -> NPYHeader:
    """The header at the beginning of an NPY file, whose numbers come next in the stream.

    Raises DataError, which begins with `name`, for what is no such file, and for anything but numbers and text.
    """
    if stream.read(len(MAGIC)) != MAGIC:
        raise DataError(f"{name}: not a NumPy array", "save one with numpy.save")
    version = tuple(_exactly(stream, 2, name))
    if version not in LENGTHS:
        raise DataError(f"{name}: NPY format {version} is not read", "save an array of numbers with numpy.save")
    size, encoding = LENGTHS[version]
    length = int.from_bytes(_exactly(stream, size, name), "little")
    if length > LONGEST:
        raise damaged(name, f"its header has {length:,} bytes")
    fields = _fields(_exactly(stream, length, name).decode(encoding, "replace"), name)
    sizes = [size.strip().rstrip("L") for size in fields["shape"].split(",") if size.strip()]
    if not all(size.isdecimal() for size in sizes):
        raise damaged(name, "its header has an impossible shape")
    shape = tuple(map(int, sizes))
    header = NPYHeader(shape, fields["fortran_order"] == "True", _dtype(fields["descr"], name))
    if len(shape) > 32 or header.nbytes >= 1 << 63:
        raise damaged(name, "its header has an impossible shape")
    return header


def read_npy(stream: IO[bytes], available: int, name: str) -> Array:
    """The array of an NPY file of `available` bytes, of which none may be missing or too many.

    Raises DataError as `read_npy_header` does. Memory is taken only when the numbers are there.
    """
    header = _whole_header(stream, available, name)
    array = np.empty(header.count, header.dtype)
    _read_into(stream, array, name)
    stream.read(1)  # to the end, where an archive's checksum is looked at
    return array.reshape(header.shape, order="F" if header.is_fortran else "C")


def read_npy_blocks(stream: IO[bytes], available: int, name: str) -> Iterator[Array]:
    """The rows of such a file in order, about 4 MB of them at a time, in a buffer that the next overwrites.

    Raises DataError as `read_npy` does. What is in Fortran's order has no rows in a row: it is read whole.
    """
    start = stream.tell()
    header = _whole_header(stream, available, name)
    if header.is_fortran and len(header.shape) > 1:
        stream.seek(start)
        yield read_npy(stream, available, name)
        return
    count, row = header.shape[0], math.prod(header.shape[1:])
    rows = max(1, (1 << 22) // max(1, row * header.dtype.itemsize))
    buffer = np.empty(min(rows, count) * row, header.dtype)
    for first in range(0, count, rows):
        number = min(rows, count - first)
        _read_into(stream, buffer[: number * row], name)
        yield buffer[: number * row].reshape(number, *header.shape[1:])
    stream.read(1)


def _whole_header(stream: IO[bytes], available: int, name: str) -> NPYHeader:
    header = read_npy_header(stream, name)
    left = available - stream.tell()
    if left != header.nbytes:
        raise damaged(name, f"its header says {header.nbytes:,} bytes of numbers, there are {left:,}")
    return header


def _read_into(stream: IO[bytes], array: Array, name: str) -> None:
    view = array.view(np.uint8).data if array.nbytes else memoryview(b"")
    done = 0
    while done < len(view):
        number = stream.readinto(view[done:])  # type: ignore[attr-defined]  # every binary stream has it, only IO does not say so
        if not number:
            raise damaged(name, f"it ends {len(view) - done:,} bytes of numbers too early")
        done += number


def damaged(name: str, reason: str) -> DataError:
    return DataError(f"{name}: unreadable: {reason}", "is it an array as numpy.save writes it, and complete?")


def _exactly(stream: IO[bytes], size: int, name: str) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise damaged(name, "the file ends within its header")
    return found


def _fields(text: str, name: str) -> dict[str, str]:
    """descr, fortran_order and shape as they are written, without the quotes and parentheses."""
    found: dict[str, str] = {}
    place, is_right = len(text) - len(text.lstrip()), False
    if text[place : place + 1] == "{":
        place += 1
        while match := FIELD.match(text, place):
            groups = match.groupdict()
            key, kinds = groups["key"] or groups["key2"], ("text", "text2", "flag", "shape", "list")
            found[key] = next(groups[kind] for kind in kinds if groups[kind] is not None)
            is_right = groups[{"fortran_order": "flag", "shape": "shape"}.get(key, "end")] is not None
            place = match.end()
            if not is_right or groups["end"].endswith("}"):
                break
        is_whole = is_right and not text[place:].strip(" \n\0") and found.keys() == {"descr", "fortran_order", "shape"}
        if is_whole and SHAPE.fullmatch(found["shape"]):
            return found
    raise damaged(name, "its header is damaged")


def _dtype(text: str, name: str) -> np.dtype[Any]:
    if PLAIN.fullmatch(text):
        try:
            return np.dtype(text)
        except (TypeError, ValueError):
            pass
    key = name.rpartition(": ")[2] if re.fullmatch(r".*: \w+", name) else "x"
    if re.fullmatch(r"[<>|=]?O\d?", text):
        raise DataError(
            f"{name}: refused: an array of object holds pickled Python objects, which may run code",
            f"where you trust it: load it with allow_pickle=True, and save {key} = numpy.array({key}.tolist()) instead",
        )
    kind = "records" if text.startswith("[") else text if text.isprintable() else "?"
    mend = f"numpy.lib.recfunctions.structured_to_unstructured({key})" if kind == "records" else f"{key}.astype(float)"
    raise DataError(f"{name}: an array of {kind[:40]}, not of numbers or text", f"save it again after {key} = {mend}")
