"""How each class of layers is written in a format: one table for each format, which a plugin may add its own to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from nnscratch.errors import UserError
from nnscratch.nn.layer import Layer

Way = TypeVar("Way", bound=Callable[..., object])


class LayerTable(Generic[Way]):
    """For a class of layers, the function that writes one of them.

    A class counts for itself alone: one derived from `tanh` may compute something else.
    """

    def __init__(self, format: str) -> None:
        self.format = format
        self._ways: dict[type[Layer], Way] = {}

    def of(self, *layers: type[Layer]) -> Callable[[Way], Way]:
        """Decorates the function that writes these layers: `@nodes.of(Dense)`."""

        def take(way: Way) -> Way:
            self._ways.update(dict.fromkeys(layers, way))
            return way

        return take

    def __getitem__(self, layer: Layer) -> Way:
        """Raises UserError, which names the layer, when there is none."""
        try:
            return self._ways[type(layer)]
        except KeyError:
            raise self._missing([layer]) from None

    def require(self, layers: Sequence[Layer]) -> None:
        """Raises UserError with every layer that cannot be written, before anything is."""
        missing = [layer for layer in layers if type(layer) not in self._ways]
        if missing:
            raise self._missing(missing)

    def _missing(self, layers: Sequence[Layer]) -> UserError:
        named = ", ".join(layer.path or layer.name for layer in layers)
        return UserError(
            f"there is no export to {self.format} for {named}",
            "a plugin brings its layers' own: docs/export.md shows how",
        )
