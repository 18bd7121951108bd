"""Weights from a safetensors file, anybody's: arrays by name and the text in its header, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnscratch.errors import DataError, UserError
from nnscratch.nn.compute.buffers import Array


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """The header's text by name, and the arrays as float32. Raises UserError for what is no such file.

    The file is mapped: an array takes memory when it is read, and shapes are checked against the file's length before.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise UserError(f"reading {path} needs safetensors", "pip install 'nnscratch[safetensors]'") from None
    try:
        with safe_open(path, "numpy") as file:
            arrays = {name: np.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            header = dict(file.metadata() or {})
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, SafetensorError, TypeError, ValueError) as error:  # numpy has no bfloat16: a TypeError
        raise DataError(f"{path} is damaged or not a safetensors file of numbers: {error}") from None
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise DataError(f"{path}: {name} holds {array.dtype}, or numbers that are not finite")
    return header, {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}
