"""What `nnscratch explain` shows of an update: one number of theta, from the gradient to its new value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.equations import Equation, in_turn
from nnscratch.nn.parameters import Group, Parameters
from nnscratch.training.measurements import global_norm


@dataclass(frozen=True, eq=False)
class Before:
    """What an update starts from: copies of theta, of the gradient that clipping left, and of the optimizer's state."""

    theta: Array
    gradient: Array
    state: Mapping[str, Array]
    g: str = "g"
    """What a number of the gradient is called by then: g, or g_clipped."""

    @classmethod
    def of(cls, parameters: Parameters, state: Mapping[str, Array]) -> Before:
        copies = {name: vector.copy() for name, vector in state.items()}
        return cls(parameters.theta.copy(), parameters.gradient.copy(), copies)


@dataclass(frozen=True, eq=False)
class Entry:
    """One number of theta in a step: `values` for the formula, the state before and after, and the new theta."""

    values: dict[str, Any]
    before: Sequence[float]
    after: Sequence[float]
    theta: float
    group: Group
    names: dict[str, str] = field(default_factory=dict)
    """What took the place of g and of theta: in formulas every name has one value."""

    def in_turn(
        self, lines: Mapping[str, str], values: dict[str, Any] | None = None, known: Mapping[str, float] | None = None
    ) -> Iterator[Equation]:
        """The equations of these formulas, in which g and theta are called as they are by now."""
        named = {
            name: re.sub(r"\b(g|theta)\b", lambda found: self.names.get(found[0], found[0]), formula)
            for name, formula in lines.items()
        }
        yield from in_turn(named, self.values if values is None else values, known)

    def replaced(self, name: str, by: str, formula: str) -> Iterator[Equation]:
        """The equation of what takes the place of g or theta from now on."""
        yield from self.in_turn({by: formula})
        self.names[name] = by

    def gradient(self, l2: float) -> Iterator[Equation]:
        """g with the penalty's share, which then takes g's place."""
        if l2 and self.group.decay:
            self.values["lamda"] = l2
            yield from self.replaced("g", "g_penalised", "g + lamda * theta")

    def rate(self, rate: float, factor: float) -> Iterator[Equation]:
        """alpha, from the optimizer's rate, the schedule's factor and the layer's scale."""
        scale = self.group.learning_rate_scale
        self.values.update({"alpha": rate, "f": factor, "c": scale})
        if factor * scale != 1:
            self.values["alpha_0"] = rate
            yield from in_turn({"alpha": "alpha_0 * f" + (" * c" if scale != 1 else "")}, self.values)

    def decay(self, weight_decay: float) -> Iterator[Equation]:
        """theta less its weight decay, which then takes theta's place."""
        if weight_decay and self.group.decay:
            self.values["omega"] = weight_decay
            yield from self.replaced("theta", "theta_decayed", "theta * (1 - alpha * omega)")


def clipping_equations(
    gradient: Array, at: int, clip_norm: float | None, clip_value: float | None
) -> Iterator[Equation]:
    """Entry `at` of a gradient that is to be clipped by its norm, and then by value."""
    values: dict[str, Any] = {"g": gradient[at], "c": clip_norm, "b": clip_value}
    if clip_norm is not None and global_norm(gradient) > clip_norm:
        values["g_i"] = gradient
        yield from in_turn({"G": "sqrt(sum_i(g_i**2))", "g_clipped": "g * c / G"}, values)
    g = "g_clipped" if "g_clipped" in values else "g"
    if clip_value is not None and abs(values[g]) > clip_value:
        yield from in_turn({"g_bounded": f"max(-b, min(b, {g}))"}, values)
