"""What is likely wrong with a gradient is told from a few of its entries, and nothing when they tell nothing."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.nn.gradient_hints import common_factor, transposed_product, transposition

RIGHT = np.array([0.5, -2.0, 3e-5, 0.0, 7.0])


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (-1, "the sign is flipped: every entry is minus the right one"),
        (1 / 8, "every entry is 1/8 of the right one, 8 being the batch size: the loss has divided already"),
        (8, "every entry is 8 times the right one, 8 being the batch size: the loss has divided by it"),
        (0, "every entry is 0: is it never written, or multiplied by something that is 0?"),
        (2, "every entry is 2 times the right one"),
        (-0.5, "every entry is -0.5 times the right one"),
        (1, ""),
    ],
)
def test_a_factor_that_all_entries_share_is_told(factor: float, said: str) -> None:
    assert common_factor([(factor * n, n) for n in RIGHT], 8) == said


def test_entries_that_share_no_factor_tell_nothing() -> None:
    assert common_factor([(1.0, 2.0), (1.0, 3.0), (5.0, 1.0)], 8) == ""
    assert common_factor([(2.0, 1.0)], 8) == ""
    assert common_factor([(np.nan, 1.0), (2.0, 1.0)], 8) == ""
    assert common_factor([], 8) == ""


def test_a_batch_of_one_is_not_blamed_on_the_batch_size() -> None:
    assert common_factor([(1.5, 1.0), (3.0, 2.0)], 1) == "every entry is 1.5 times the right one"


def test_a_transposed_square_is_told_from_a_few_entries() -> None:
    right = np.random.default_rng(0).standard_normal((5, 5))
    numeric = {index: (0.0, float(right.reshape(-1)[index])) for index in (1, 7, 13)}
    assert "it is transposed" in transposition(right.T.copy(), numeric)
    assert transposition(right, dict.fromkeys((1, 7), (0.0, -1.0))) == ""
    assert transposition(right[:3].copy(), numeric) == ""


def test_a_product_with_the_matrix_itself_is_told() -> None:
    rng = np.random.default_rng(0)
    W, dy = rng.standard_normal((5, 5)), rng.standard_normal((3, 5))
    assert "dx is dy W" in transposed_product(dy @ W, dy, {"weight": W})
    assert transposed_product(dy @ W.T, dy, {"weight": W}) == ""
    assert transposed_product(dy @ W, dy, {"bias": W[0]}) == ""


def test_gradients_of_which_some_are_off_have_no_factor_of_one_in_common() -> None:
    assert common_factor([(n + 1e-5, n) for n in (0.5, 0.7, -0.4, 0.9)], 8) == ""
