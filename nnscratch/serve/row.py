"""One example of a request."""

from __future__ import annotations

from dataclasses import dataclass

from nnscratch.nn.compute.buffers import Array


@dataclass(frozen=True)
class Row:
    """What an example is called, and its values as the data is stored, or in words why it has none."""

    name: str
    stored: Array | str
