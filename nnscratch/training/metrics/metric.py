"""What a figure of merit is: one number from what is true and what was predicted, and which way is better."""

from __future__ import annotations

from typing import ClassVar, Literal

from nnscratch.component import Component
from nnscratch.nn.compute.buffers import Array

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
    undefined: ClassVar[str] = ""
    """When it has no meaning."""

    def __call__(self, t: Array, p: Array) -> float:
        """The figure."""
        raise NotImplementedError
