"""A network as a table."""

from __future__ import annotations

from nnscratch.nn.layer import LayerSummary
from nnscratch.nn.network import cells
from nnscratch.report.tables import Column, Table


def network_table(layers: tuple[LayerSummary, ...]) -> Table:
    """The network table: layer, output shape, parameters, MFLOP of the forward pass for one example."""
    columns = (Column("layer"), Column("output"), Column("parameters", True), Column("MFLOP", True))
    return Table(columns, tuple(map(cells, layers)))
