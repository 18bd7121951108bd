"""What a figure of merit is: one number from what is true and what was predicted, and which way is better."""

from __future__ import annotations

from numbers import Real
from typing import ClassVar, Literal

from nnscratch.component import Component
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.contract import broken

Task = Literal["classification", "regression"]
Goal = Literal["maximize", "minimize"]


class Metric(Component):
    """One number from truth and prediction, equal to scikit-learn's of the same purpose.

    Of a classification, t (N,) labels 0..K-1 and p (N, K) probabilities; of a regression, both (N, K) values in the
    targets' own units. NaN where it has no meaning: what is undefined is not a 0.
    """

    kind: ClassVar[str] = "metric"
    task: ClassVar[Task] = "classification"
    goal: ClassVar[Goal] = "maximize"
    title: ClassVar[str] = ""
    """What people call it."""
    is_share: ClassVar[bool] = False
    """Shown in per cent."""
    undefined: ClassVar[str] = "it is not a number"
    """When it has no meaning."""

    def __call__(self, t: Array, p: Array) -> float:
        """The figure."""
        raise NotImplementedError

    def measure(self, t: Array, p: Array) -> float:
        """The figure. Raises ContractError when it is something else than a number."""
        value: object = self(t, p)
        if not isinstance(value, Real):  # which NumPy's numbers are
            raise broken(type(self).__call__, value, "a number")
        return float(value)
