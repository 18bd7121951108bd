"""Weights from a safetensors file, anybody's: arrays by name and the text in its header, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.errors import DataError, UserError
from nnscratch.nn.compute.buffers import Array
from nnscratch.runs.checkpoint import Checkpoint, load_checkpoint
from nnscratch.runs.network_record import NetworkRecord
from nnscratch.runs.records import read_record
from nnscratch.training.scaling import in_two_parts

SUFFIX = ".safetensors"


def load_weights(path: Path) -> Checkpoint:
    """The checkpoint in a file of a run, or what `nnscratch export --to safetensors` made of one."""
    return _exported(path) if path.suffix == SUFFIX else load_checkpoint(path)


def _exported(path: Path) -> Checkpoint:
    texts, arrays = read_safetensors(path)
    try:
        header: dict[str, Any] = {name: json.loads(texts[name]) for name in PLAIN if name in texts}
        header |= {name: None for name in ("classes", "target_names", "feature_names") if name not in texts}
        header |= {"kind": "best", "config": texts["config"], "best_epoch": json.loads(texts["epoch"])}
        record = read_record(NetworkRecord, header["network"])
        scaling = _scaling(texts)
        network = record.build(tuple(header["input_shape"]), header["outputs"])
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else f"cannot be read: {error}"
        raise DataError(
            f"{path} was not exported by nnscratch: its header {reason}",
            "`nnscratch export RUN --to safetensors` writes one that has all that is needed",
        ) from None
    state = network.parameters.state_names
    named = {f"{'state' if name in state else 'parameters'}/{name}": array for name, array in arrays.items()}
    return Checkpoint(header, named | scaling)


def _scaling(texts: Mapping[str, str]) -> dict[str, Array]:
    """That of inputs, and of a regression's targets, as a checkpoint has them."""
    arrays = {f"scaling/{name}": np.array(each, np.float32) for name, each in json.loads(texts["scaling"]).items()}
    for name, each in json.loads(texts.get("target_scaling", "{}")).items():
        whole, rest = in_two_parts(np.array(each, np.float64))
        arrays |= {f"target_scaling/{name}": whole, f"target_scaling/{name}_rest": rest}
    return arrays


PLAIN = (
    "input_shape", "outputs", "images", "classes", "target_names", "feature_names", "network", "encoding",
    "temperature",
)  # fmt: skip
"""What a checkpoint's header has under the same name."""


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
            arrays = {name: np.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118  it is no dict, and iterates over nothing else
            header = dict(file.metadata() or {})
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, SafetensorError, TypeError, ValueError) as error:  # numpy has no bfloat16: a TypeError
        raise DataError(f"{path} is damaged or not a safetensors file of numbers: {error}") from None
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise DataError(f"{path}: {name} holds {array.dtype}, or numbers that are not finite")
    return header, {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}
