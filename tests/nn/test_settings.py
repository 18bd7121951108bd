from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from nnscratch.component import setting
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import Dense, Dropout
from nnscratch.training.optimizers import SGD


@dataclass(eq=False)
class Halved(Layer):
    """y = x, with a setting that is another number once it is made."""

    name: ClassVar[str] = ""

    size: int = setting(4, "an even number", ge=2)

    def __post_init__(self) -> None:
        self.size //= 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Dropout(1.5), "dropout: rate must be less than 1, got 1.5"),
        (lambda: Dropout(rate=-1), "dropout: rate must be at least 0, got -1"),
        (lambda: Dropout(float("nan")), "dropout: rate must be at least 0, got nan"),
        (lambda: SGD(0), "sgd: learning_rate must be greater than 0, got 0"),
        (lambda: Dense("4"), "dense: units must be a number, got '4'"),  # type: ignore[arg-type]
        (lambda: Dense(4.5), "dense: units must be a whole number, got 4.5"),  # type: ignore[arg-type]
        (lambda: Halved(1), "Halved: size must be at least 2, got 1"),
    ],
)
def test_a_number_that_a_config_would_refuse_is_refused_in_python(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        make()


def test_numbers_of_numpy_and_what_a_class_derives_from_its_settings_are_taken() -> None:
    units: Any = np.int64(3)
    rate: Any = np.float32(0.5)
    assert (Dense(units).units, Dropout(rate).rate, Dense().units, Halved(2).size) == (3, 0.5, None, 1)
