"""`--to onnx`: all the way from raw inputs to label and probability in standard operators (onnx.ai, opset 28)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nnscratch.datasets.tables.columns import Column, Number
from nnscratch.errors import UserError
from nnscratch.export.format import Answers, Format, description
from nnscratch.export.onnx_columns import encoded, is_text, raw, refused
from nnscratch.export.onnx_graph import Graph
from nnscratch.export.onnx_layers import chain, nodes
from nnscratch.files import write_atomically
from nnscratch.nn.compute.buffers import Array
from nnscratch.runs.loaded import LoadedRun
from nnscratch.training.test_time_augmentation import VIEWS, View

OPSET = 28
"""The newest that onnxruntime 1.32 reads."""
IR_VERSION = 13
BATCH = "batch"
"""What the number of examples is called, which is anybody's choice."""
LARGEST = 1 << 31
"""Bytes: what a protocol buffer holds at most."""
END = np.iinfo(np.int64)


@dataclass(frozen=True)
class ONNX(Format):
    """A graph of standard operators: bytes (N, H, W, C) or columns by name in, label and probability (or values) out.

    Inputs: `images` of bytes; of a table each column (N, 1), numbers and dates (in seconds since 1970) as float64 and
    categories as text; else `features`. Outputs: `label` (N,) text and `probability` (N, K) of a classifier, `values`
    (N, K) of a regression.
    """

    name: ClassVar[str] = "onnx"
    default: ClassVar[str] = "model.onnx"

    def require(self, loaded: LoadedRun) -> None:
        nodes.require(list(loaded.network.walk()))
        if missing := [module for module in ("onnx", "onnxruntime") if find_spec(module) is None]:
            raise UserError(f"exporting to onnx needs {' and '.join(missing)}", "pip install 'nnscratch[onnx]'")
        if loaded.network.parameters.values_size * 4 >= LARGEST:
            raise UserError("an ONNX file holds less than 2 GB; this network has more", "--to safetensors or numpy")

    def note(self, loaded: LoadedRun) -> str:
        columns = () if loaded.encoding is None else loaded.encoding.columns
        units = [f"{each.name!r} in {each.unit}" for each in columns if isinstance(each, Number) and each.unit]
        return f"its inputs are numbers without their unit: {', '.join(units)}" if units else ""

    def write(self, loaded: LoadedRun, path: Path) -> None:
        import onnx

        model = onnx_model(loaded)
        onnx.checker.check_model(model, full_check=True)
        write_atomically(path, model.SerializeToString())

    def answer(self, path: Path, loaded: LoadedRun, stored: Array) -> Answers:
        session = start(path)
        names = [each.name for each in session.get_inputs()]
        if loaded.encoding is not None:
            given = dict(zip(names, raw(loaded.encoding, stored.reshape(len(stored), -1)), strict=True))
        elif loaded.takes_images or loaded.feature_names is None:
            given = {names[0]: stored}
        else:
            given = dict(zip(names, np.hsplit(stored.reshape(len(stored), -1), len(names)), strict=True))
        if loaded.classes is None:
            return Answers(session.run(["values"], given)[0])
        labels, p = session.run(["label", "probability"], given)
        return Answers(p, labels)


def start(path: Path, threads: int = 1) -> Any:
    """onnxruntime's session of a file, on that many threads; it is given the bytes, as it takes no path but UTF-8."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def onnx_model(loaded: LoadedRun) -> Any:
    """The ModelProto."""
    from onnx import defs, helper, numpy_helper

    graph = Graph()
    inputs, x = _inputs(loaded, graph)
    y = _averaged(loaded, graph, _scaled(loaded, graph, x))
    if loaded.encoding is not None and (wrong := refused(loaded.encoding, graph, [each.name for each in inputs])):
        y = graph.add("Where", wrong, graph.numbers(float("nan")), y)
    outputs = _values(loaded, graph, y) if loaded.classes is None else _label_and_probability(loaded, graph, y)
    arrays = [numpy_helper.from_array(values, name) for name, values in graph.arrays.items()]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "nnscratch", inputs, outputs, arrays),
        opset_imports=[helper.make_opsetid("", min(OPSET, defs.onnx_opset_version()))],
        ir_version=IR_VERSION,
        producer_name="nnscratch",
    )
    helper.set_model_props(model, description(loaded))
    return model


def _inputs(loaded: LoadedRun, graph: Graph) -> tuple[list[Any], str]:
    """What the graph takes, and the name of it all as float32 (N, ...)."""
    from onnx import TensorProto, helper

    shape: list[str | int | None] = [BATCH, *loaded.input_shape]
    if loaded.takes_images:
        pictures = helper.make_tensor_value_info("images", TensorProto.UINT8, shape)
        return [pictures], graph.add("Cast", "images", to=TensorProto.FLOAT)
    encoding = loaded.encoding
    if encoding is not None:
        names = _input_names([column.name for column in encoding.columns])
        types = [TensorProto.STRING if is_text(column) else TensorProto.DOUBLE for column in encoding.columns]
        columns = [
            helper.make_tensor_value_info(name, type, [BATCH, 1], doc_string=_unit(column))
            for column, name, type in zip(encoding.columns, names, types, strict=True)
        ]
        return columns, _shaped(loaded, graph, encoded(encoding, graph, names))
    if loaded.feature_names is None:
        return [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)], "features"
    names = _input_names(loaded.feature_names)
    columns = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, 1]) for name in names]
    return columns, _shaped(loaded, graph, graph.add("Concat", *names, axis=1))


def _shaped(loaded: LoadedRun, graph: Graph, x: str) -> str:
    is_flat = len(loaded.input_shape) == 1
    return x if is_flat else graph.add("Reshape", x, graph.integers(-1, *loaded.input_shape))


def _unit(column: Column) -> str:
    return f"in {column.unit}" if isinstance(column, Number) and column.unit else ""


def _input_names(columns: Sequence[str]) -> list[str]:
    """The columns' own names, unless an output has one, or inner names begin as it does; no two are alike."""
    names: list[str] = []
    for name in columns:
        is_taken = name in ("", "label", "probability", "values") or name.startswith("/")
        name = f"feature {name}" if is_taken else name
        while is_taken and name in (*columns, *names):
            name = f"feature {name}"
        names.append(name)
    return names


def _scaled(loaded: LoadedRun, graph: Graph, x: str) -> str:
    x = graph.add("Mul", x, graph.array("scaling.multiplier", loaded.affine.multiplier))
    if loaded.affine.offset.any():
        x = graph.add("Add", x, graph.array("scaling.offset", loaded.affine.offset))
    return x


def _averaged(loaded: LoadedRun, graph: Graph, x: str) -> str:
    """The network's outputs, averaged over the views of every image, which go through it as one batch."""
    views = VIEWS[loaded.record.views]
    if len(views) == 1:
        return chain(loaded.network, graph, x)
    y = chain(loaded.network, graph, graph.add("Concat", *(_view(loaded, graph, x, view) for view in views), axis=0))
    y = graph.add("Reshape", y, graph.integers(len(views), -1, loaded.outputs))
    weights = np.array([view.weight for view in views], np.float32).reshape(-1, 1, 1)
    weighted = graph.add("Mul", y, graph.array("weights of the views", weights))
    return graph.add("ReduceSum", weighted, graph.integers(0), keepdims=0)


def _view(loaded: LoadedRun, graph: Graph, x: str, view: View) -> str:
    if view.pixels:
        around = abs(view.pixels)
        before = graph.integers(0, around, around, 0, 0, around, around, 0)
        x, start = graph.add("Pad", x, before, mode="reflect"), around - view.pixels
        H, W, _ = loaded.input_shape
        ends = graph.integers(start + H, start + W)
        x = graph.add("Slice", x, graph.integers(start, start), ends, graph.integers(1, 2))
    if view.is_flipped:
        x = graph.add("Slice", x, *(graph.integers(each) for each in (-1, int(END.min), 2, -1)))
    return x


def _label_and_probability(loaded: LoadedRun, graph: Graph, y: str) -> list[Any]:
    from onnx import TensorProto, helper

    names = graph.array("classes", np.array(loaded.classes, object))
    label = graph.add("Gather", names, graph.add("ArgMax", y, axis=1, keepdims=0))
    if loaded.record.includes_softmax:
        if loaded.temperature != 1:
            y = graph.add("Div", y, graph.numbers(loaded.temperature))
        p = graph.add("Softmax", y, axis=-1)
    else:
        # p = max(y, 0) / sum; where no output is positive, y - min y in its place; of equals, all equally likely
        axis, zero, one = graph.integers(1), graph.numbers(0.0), graph.numbers(1.0)
        is_some = graph.add("Greater", graph.add("ReduceMax", y, axis, keepdims=1), zero)
        above = graph.add("Sub", y, graph.add("ReduceMin", y, axis, keepdims=1))
        p = graph.add("Where", is_some, graph.add("Relu", y), above)
        is_none = graph.add("Equal", graph.add("ReduceMax", p, axis, keepdims=1), zero)
        p = graph.add("Where", is_none, one, p)
        p = graph.add("Div", p, graph.add("ReduceSum", p, axis, keepdims=1))
    is_none = graph.add("IsNaN", graph.add("ReduceSum", p, graph.integers(1), keepdims=0))
    graph.rename(graph.add("Where", is_none, graph.array("no label", np.array([""], object)), label), "label")
    graph.rename(p, "probability")
    return [
        helper.make_tensor_value_info("label", TensorProto.STRING, [BATCH]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, [BATCH, loaded.outputs]),
    ]


def _values(loaded: LoadedRun, graph: Graph, y: str) -> list[Any]:
    from onnx import TensorProto, helper

    # (y - offset) / multiplier in float64: a mean far above the deviation leaves few digits.
    y = graph.add("Cast", y, to=TensorProto.DOUBLE)
    affine = loaded.target_affine
    y = graph.add("Sub", y, graph.array("target_scaling.offset", affine.offset.astype(np.float64)))
    y = graph.add("Div", y, graph.array("target_scaling.multiplier", affine.multiplier.astype(np.float64)))
    graph.rename(y, "values")
    return [helper.make_tensor_value_info("values", TensorProto.DOUBLE, [BATCH, loaded.outputs])]
