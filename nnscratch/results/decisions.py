"""A decision between two classes by a threshold of the probability, chosen on validation for a recall or precision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnscratch.errors import UsageError, UserError, did_you_mean
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import decimal, percent
from nnscratch.training.metrics.ranking import ThresholdCurve

FORM = "--threshold-for recall=0.95, precision=0.9, or `recall of CLASS=0.95`; a number above 0, at most 1"


@dataclass(frozen=True)
class Wanted:
    """A recall or precision of one of two classes that a threshold has to reach."""

    kind: str
    """`recall` or `precision`."""
    value: float
    positive: int
    classes: tuple[str, str]

    @classmethod
    def parse(cls, text: str, classes: tuple[str, ...] | None) -> Wanted:
        """From `recall=0.95`, of the second class, or `recall of CLASS=0.95`. Raises UsageError for anything else."""
        if classes is None or len(classes) != 2:
            there = "is a regression" if classes is None else f"has {len(classes)} classes"
            raise UsageError(f"--threshold-for {text}: the run {there}", "a threshold decides between two classes")
        parts = re.fullmatch(r"\s*(recall|precision)(?: of (.+?))?\s*=\s*(\d*\.?\d+)\s*", text)
        if parts is None or not 0 < float(parts[3]) <= 1:
            raise UsageError(f"--threshold-for {text[:60]} is not understood", FORM)
        name = parts[2] or classes[1]
        if name not in classes:
            raise UsageError(
                f"--threshold-for: there is no class {name}{did_you_mean(name, classes)}", f"{' or '.join(classes)}"
            )
        return cls(parts[1], float(parts[3]), classes.index(name), (classes[0], classes[1]))

    def __str__(self) -> str:
        return f"{self.kind} of {self.classes[self.positive]} of at least {percent(self.value, 1)}"


@dataclass(frozen=True)
class Decision:
    """The class `wanted.positive` where its probability is at least the threshold, else the other one."""

    wanted: Wanted
    threshold: float
    recall: float
    """On validation, as is the precision."""
    precision: float

    @classmethod
    def choose(cls, wanted: Wanted, t: Array, p: Array) -> Decision:
        """The threshold on labels (N,) and probabilities (N, 2) that reaches what is wanted at the least cost.

        For a recall it is the highest one that has it, which keeps precision up; for a precision the lowest, which
        keeps recall up. Raises UserError when there is none.
        """
        curve = ThresholdCurve.of(t == wanted.positive, p[:, wanted.positive])
        figures = curve.recall if wanted.kind == "recall" else curve.precision
        reaching = np.flatnonzero(figures >= wanted.value)
        if not curve.positives or not reaching.size:
            best = percent(float(np.max(figures))) if curve.positives else "none: no example is of that class"
            raise UserError(f"no threshold has a {wanted} on validation", f"the best there is {best}")
        at = int(reaching[0] if wanted.kind == "recall" else reaching[-1])
        return cls(wanted, float(curve.thresholds[at]), float(curve.recall[at]), float(curve.precision[at]))

    def predict(self, p: Array) -> Array:
        """The classes (N,) of probabilities (N, 2)."""
        positive = self.wanted.positive
        return np.where(p[:, positive] >= self.threshold, positive, 1 - positive)

    def __str__(self) -> str:
        wanted = self.wanted
        rule = "highest" if wanted.kind == "recall" else "lowest"
        positive = wanted.classes[wanted.positive]
        return (
            f"{positive} where its probability is at least {decimal(self.threshold)}: the {rule} "
            f"threshold with a\n{wanted} on validation (recall {percent(self.recall)}, "
            f"precision {percent(self.precision)} there)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "class": self.wanted.classes[self.wanted.positive],
            "wanted": {self.wanted.kind: self.wanted.value},
            "threshold": self.threshold,
            "validation": {"recall": self.recall, "precision": self.precision},
        }
