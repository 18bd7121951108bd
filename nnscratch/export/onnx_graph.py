"""The nodes of an ONNX graph as they are put together; the library `onnx` is imported when the first one is."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnscratch.nn.compute.buffers import Array


class Graph:
    """Nodes in order, and the arrays they refer to. Names are `/<operator>_<number>`, or a weight's own after a `/`."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.arrays: dict[str, Array] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output, whose name it gives; inputs are names of others' outputs and of arrays."""
        from onnx import helper

        output = f"/{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def rename(self, output: str, name: str) -> None:
        """Gives what is called `output` another name, for those outside."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [output], [name], f"/{name}"))

    def array(self, name: str, values: Array) -> str:
        """An array under a name of its own, which it has once however often it is asked for."""
        self.arrays[f"/{name}"] = np.ascontiguousarray(values)
        return f"/{name}"

    def numbers(self, *values: float) -> str:
        """A float32 array of these numbers; one alone is a scalar."""
        return self._constant(np.array(values if len(values) > 1 else values[0], np.float32))

    def integers(self, *values: int) -> str:
        """An int64 array of these numbers, as operators take shapes, axes and places."""
        return self._constant(np.array(values, np.int64))

    def _constant(self, values: Array) -> str:
        said = ",".join(map(str, values.ravel().tolist()))
        return self.array(f"{values.dtype}[{said}]" if values.ndim else f"{values.dtype}:{said}", values)
