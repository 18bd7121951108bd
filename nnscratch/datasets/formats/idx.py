"""The IDX format of MNIST and its kin: a big-endian header, then bytes.

Magic 0x0000 08 dd (08: unsigned bytes, dd: number of dimensions), one uint32 per dimension, then the values, the last
dimension varying fastest. Labels are 2049 = 0x801, images 2051 = 0x803. Source: LeCun, Cortes, Burges,
"The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.errors import DataError

LARGEST = 1 << 31
"""Bytes that one file may hold once decompressed."""


def read_idx(path: Path, dimensions: int) -> Array:
    """The uint8 array in an IDX file, raw or gzip, which must have that many dimensions.

    Raises DataError for a wrong magic number, a file cut short, bytes to spare, and damaged compression.
    """
    with _opened(path) as stream:
        try:
            header = stream.read(4 + 4 * dimensions)
            if len(header) < 4:
                raise DataError(f"{path}: cut short: {len(header)} bytes are no IDX file")
            magic = int.from_bytes(header[:4], "big")
            if magic != 0x800 + dimensions:
                raise DataError(
                    f"{path}: wrong magic number {magic}, expected {0x800 + dimensions} "
                    f"(unsigned bytes in {dimensions} dimensions)"
                )
            if len(header) < 4 + 4 * dimensions:
                raise DataError(f"{path}: cut short in its header")
            shape = struct.unpack(f">{dimensions}I", header[4:])
            size = math.prod(shape)
            if size > LARGEST:
                raise DataError(f"{path}: its header promises {size:,} bytes; at most {LARGEST:,} are read")
            # One byte too many is asked for: a file that holds more than it promises is not what it claims to be.
            # Read in steps, so that a header that lies costs no more memory than the file has bytes.
            content = bytearray()
            while block := stream.read(min(1 << 24, size + 1 - len(content))):
                content += block
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{path}: damaged or cut short: {error}") from error
    if len(content) != size:
        relation = f"only {len(content):,}" if len(content) < size else "more"
        raise DataError(f"{path}: its header promises {size:,} values of shape {shape}, the file has {relation}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def idx_bytes(array: Array) -> bytes:
    """The IDX file, uncompressed, of a uint8 array."""
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    """The decompressed stream; told by the first bytes, as both forms travel under both names."""
    with path.open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    return gzip.GzipFile(path) if compressed else path.open("rb")
