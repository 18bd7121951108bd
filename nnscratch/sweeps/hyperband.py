"""When a trial is stopped early: Hyperband's successive halving on epochs (Li et al. 2018), with W&B's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnscratch.report.values import Goal

MOST_BANDS = 100
"""As on W&B."""

Curve = Mapping[int, float]
"""A trial's metric by epoch, counted from 1."""


@dataclass(frozen=True)
class Hyperband:
    """At every band (an epoch) only the best 1/eta of the trials that came so far go on, one at least.

    Bands are min_iter, min_iter eta, min_iter eta^2, ... or, from the other end, max_iter / eta, max_iter / eta^2, ...
    (s of them). `strict` judges the value at the band, otherwise the best up to it counts.
    """

    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float = 3.0
    strict: bool = False

    def bands(self, epochs: int) -> list[int]:
        """The bands up to that epoch at least, in rising order."""
        bands: list[int] = []
        if self.max_iter is not None:
            band = self.max_iter / self.eta
            while band >= 1 and len(bands) < min(self.s or 0, MOST_BANDS):
                bands.append(int(band))
                band /= self.eta
        else:
            band = float(self.min_iter or 1)
            while (not bands or band < epochs + 1) and len(bands) < MOST_BANDS:
                bands.append(int(band))
                band *= self.eta
        return sorted(set(bands))

    def is_due(self, own: Curve, others: Sequence[Curve], goal: Goal) -> bool:
        """Whether the trial is to stop: its last epoch is a band, and too many did better there."""
        epoch = max(own, default=0)
        if epoch not in self.bands(epoch):
            return False
        sign = -1.0 if goal == "maximize" else 1.0
        arrived = sorted(sign * self._at(curve, epoch, sign) for curve in (own, *others) if epoch in curve)
        threshold = arrived[max(int(len(arrived) / self.eta), 1) - 1]
        return sign * self._at(own, epoch, sign) > threshold

    def _at(self, curve: Curve, epoch: int, sign: float) -> float:
        if self.strict:
            return curve[epoch]
        return sign * min(sign * value for at, value in curve.items() if at <= epoch)
