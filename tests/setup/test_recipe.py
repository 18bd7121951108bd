"""The recipe for somebody's own data follows its size alone."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.datasets.dataset import Dataset
from nnscratch.setup.recipe import recipe_for


def table(examples: int, features: int) -> Dataset:
    inputs = np.zeros((examples, features), np.float32)
    return Dataset("csv", inputs, np.arange(examples) % 2, None, None, ("no", "yes"), "made up")


@pytest.mark.parametrize(
    ("examples", "features", "l2", "batch_size", "updates"),
    [(12, 20, 0.05, 1, 3000), (400, 8, 0.025, 25, 3000), (400, 2, 0.0063, 25, 3000), (5000, 30, 0.002, 128, 3000)],
)
def test_the_fewer_examples_the_higher_the_penalty_and_the_smaller_the_batch(
    examples: int, features: int, l2: float, batch_size: int, updates: int
) -> None:
    recipe = recipe_for(table(examples, features))
    assert recipe.l2 == pytest.approx(l2, rel=0.01)
    assert recipe.batch_size == batch_size
    assert recipe.epochs * examples / batch_size == pytest.approx(updates, rel=0.05)


def test_few_examples_are_all_learned_from_and_of_many_a_tenth_chooses_the_epoch() -> None:
    assert recipe_for(table(999, 4)).validation == 0
    assert recipe_for(table(1000, 4)).validation == 0.1


def test_a_million_rows_are_gone_through_twenty_times() -> None:
    recipe = recipe_for(table(1_000_000, 1))
    assert (recipe.epochs, recipe.batch_size, recipe.hidden_layers) == (20, 128, [256, 128])
