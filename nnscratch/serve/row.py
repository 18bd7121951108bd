"""One example of a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnscratch.nn.compute.buffers import Array


@dataclass(frozen=True)
class Row:
    """What an example is called, and its values as the data is stored, or in words why it has none.

    A dict is an object of JSON, which becomes values together with those of other requests.
    """

    name: str
    values: Array | dict[str, Any] | str
    note: str = ""
    """What in it training never saw, and what it was taken for."""
