"""`--to safetensors`: weights by name, and in the header all that using them needs (huggingface.co/docs/safetensors).

What is read is arrays and text: nothing in such a file can be executed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nnscratch.errors import UserError
from nnscratch.export.format import Answers, Format, description
from nnscratch.files import write_atomically
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.losses import CrossEntropy, MeanSquaredError
from nnscratch.runs.loaded import LoadedRun
from nnscratch.runs.network_record import NetworkRecord
from nnscratch.runs.records import read_record
from nnscratch.runs.weights_file import read_safetensors
from nnscratch.training.scaling import Affine
from nnscratch.training.test_time_augmentation import averaged_outputs


@dataclass(frozen=True)
class SafeTensors(Format):
    """Weights and running statistics by name; config, network, scaling and classes in the header, as JSON.

    Names and layouts are those of the layers: `1.dense.weight` (D, units) for y = x W + b, `0.conv.weight` (kernel,
    kernel, C, channels) for N,H,W,C.
    """

    name: ClassVar[str] = "safetensors"
    default: ClassVar[str] = "model.safetensors"

    def require(self, loaded: LoadedRun) -> None:
        if find_spec("safetensors") is None:
            raise UserError("exporting to safetensors needs the library", "pip install 'nnscratch[safetensors]'")

    def takes_encoded_features(self, loaded: LoadedRun) -> bool:
        if loaded.encoding is None:
            return False
        return any(each.flag or getattr(each, "centre", 1.0) != 0 for each in loaded.encoding.columns)

    def write(self, loaded: LoadedRun, path: Path) -> None:
        from safetensors.numpy import save

        parameters = loaded.network.parameters
        arrays = {**parameters.named(), **parameters.named_state()}
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        write_atomically(path, save(contiguous, header_of(loaded)))

    def answer(self, path: Path, loaded: LoadedRun, stored: Array) -> Answers:
        header, arrays = read_safetensors(path)
        record = read_record(NetworkRecord, json.loads(header["network"]))
        network = record.build(tuple(json.loads(header["input_shape"])), loaded.outputs)
        state = network.parameters.state_names
        network.load(
            {name: array for name, array in arrays.items() if name not in state},
            {name: array for name, array in arrays.items() if name in state},
        )
        x = _affine(header["scaling"]).apply(stored, np.empty(stored.shape, np.float32))
        y = averaged_outputs(network, x, record.views)
        if "classes" not in header:
            return Answers(_affine(header["target_scaling"], np.float64).undo(y))
        loss = CrossEntropy if record.includes_softmax else MeanSquaredError
        p = loss.probabilities(y, float(header["temperature"]))
        return Answers(p, np.array(json.loads(header["classes"]))[np.argmax(y, axis=1)])


def header_of(loaded: LoadedRun) -> dict[str, str]:
    """The file's metadata: text by name, where JSON holds what is more than text."""
    header = description(loaded) | {
        "config": loaded.config_text,
        "network": json.dumps(asdict(loaded.record)),
        "scaling": _json(loaded.affine),
        "temperature": repr(loaded.temperature),
        "outputs": json.dumps(loaded.outputs),
        "images": json.dumps(loaded.takes_images),
    }
    return header if loaded.classes is not None else header | {"target_scaling": _json(loaded.target_affine)}


def _json(affine: Affine) -> str:
    return json.dumps({"multiplier": affine.multiplier.tolist(), "offset": affine.offset.tolist()})


def _affine(text: str, dtype: npt.DTypeLike = np.float32) -> Affine:
    values: dict[str, Any] = json.loads(text)
    return Affine(*(np.array(values[name], dtype) for name in ("multiplier", "offset")))
