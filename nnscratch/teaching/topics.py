"""What happens around a step that is no component: penalties, clipping, warm-up, views. The book tells it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nnscratch.nn.regularization import L2
from nnscratch.teaching.worked_formulas import penalty_formulas
from nnscratch.training.measurements import clip_by_norm, clip_by_value
from nnscratch.training.schedules import warmed_up
from nnscratch.training.test_time_augmentation import averaged_outputs
from nnscratch.training.update_equations import clipping_equations

ABOUT_TOPICS = (
    "What a step does besides layers, loss and optimizer. [Contents](README.md), [metrics](metrics.md), "
    "[averages of the weights](averaging.md)"
)


@dataclass(frozen=True)
class Topic:
    """A section: the function or class that computes it, whose words it takes, and the formulas of its equations."""

    name: str
    where: str
    """Where a config asks for it."""
    computed: Callable[..., object] | type
    formulas: Callable[[], Sequence[tuple[str, str]]] = tuple


def _clipping(norm: float | None, value: float | None) -> list[tuple[str, str]]:
    return [(each.name, each.formula) for each in clipping_equations(np.array([3.0, 4.0]), 0, norm, value)]


TOPICS = (
    Topic("L2", "l2", L2, penalty_formulas),
    Topic("clipping by norm", "training.clip_norm", clip_by_norm, lambda: _clipping(1.0, None)),
    Topic("clipping by value", "training.clip_value", clip_by_value, lambda: _clipping(None, 1.0)),
    Topic("warm-up", "schedule.warmup_epochs", warmed_up, lambda: [("factor", "(step + 1) / (warmup + 1)")]),
    Topic(
        "test-time averaging",
        "evaluation.test_time_augmentation",
        averaged_outputs,
        lambda: [("y", "sum_v(w_v * f(x_v))")],
    ),
)
