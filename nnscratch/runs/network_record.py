"""What a network is and what its outputs mean, in plain values: enough to use it, without the config it came from.

So a network loads with NumPy alone, in a fraction of the time that validating a config takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nnscratch.nn.layers  # noqa: F401  (importing a layer is what makes its name known)
from nnscratch.component import from_plain
from nnscratch.errors import UserError
from nnscratch.nn.layer import Layer
from nnscratch.nn.network import Network
from nnscratch.training.test_time_augmentation import Kind

if TYPE_CHECKING:
    from nnscratch.config.config import Config


@dataclass(frozen=True, kw_only=True)
class NetworkRecord:
    """The layers in order, each its name and fields, and how their outputs become answers."""

    layers: Sequence[Mapping[str, Any]]
    includes_softmax: bool
    """The loss includes softmax: the network's outputs are logits."""
    views: Kind = "none"
    """The test-time augmentation whose views outputs are averaged over."""

    @classmethod
    def of(cls, config: Config) -> NetworkRecord:
        """The record of what a config describes."""
        from nnscratch.config.specification import Specification

        return cls(
            layers=tuple(Specification.of(layer).to_dict() for layer in config.build_layers()),
            includes_softmax=config.loss.component.includes_softmax,
            views=config.evaluation.test_time_augmentation,
        )

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """The network, built but without weights. Raises UserError when there is no such network here."""
        try:
            layers = [from_plain(Layer, each) for each in self.layers]
        except ValueError as error:
            raise UserError(
                f"the network cannot be built: {error}",
                "a layer of a plugin needs --allow-plugins; one of a newer nnscratch, that version",
            ) from None
        return Network(layers, input_shape, outputs=outputs)
