"""A network as a table."""

from __future__ import annotations

from nnscratch.nn.layer import LayerSummary
from nnscratch.report.formats import count
from nnscratch.report.tables import Column, Table


def network_table(layers: tuple[LayerSummary, ...]) -> Table:
    """The network table: layer, output shape, parameters, MFLOP of the forward pass for one example."""
    columns = (Column("layer"), Column("output"), Column("parameters", True), Column("MFLOP", True))
    rows = [
        (layer.path, " x ".join(map(str, layer.output_shape)), count(layer.parameters), f"{layer.flops / 1e6:.3f}")
        for layer in layers
    ]
    return Table(columns, tuple(rows))
