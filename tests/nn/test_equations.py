"""Formulas are computed, written out with numbers, and never run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnscratch.nn.equations import CANCELLED, Equation, FormulaError, entry, evaluate, in_turn, insert, largest, number


def test_values_are_those_of_arithmetic() -> None:
    assert evaluate("2 - 3 * (x > 1) + max(x, 4)**2", {"x": 2.0}) == 15
    assert evaluate("sqrt(2 / pi)") == pytest.approx(math.sqrt(2 / math.pi))


def test_what_leaves_the_range_is_infinite_as_in_numpy() -> None:
    assert evaluate("1 / (1 + exp(x))", {"x": 1e4}) == 0
    assert evaluate("1 / x", {"x": 0.0}) == math.inf
    assert evaluate("x / inf", {"x": 3.0}) == 0


def test_a_sum_runs_over_arrays_and_keeps_numbers_as_they_are() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert evaluate("sum_k(x_k * c) / 2", {"x_k": x, "c": 10.0}) == 30
    assert evaluate("max_k(x_k)", {"x_k": x}) == 3


def test_numbers_take_the_place_of_names_negative_ones_included() -> None:
    text, notes = insert("x**2 - y", {"x": -1.5, "y": -2.0})
    assert text == "(-1.5) ** 2 - -2"
    assert evaluate(text) == pytest.approx(4.25)
    assert not notes


def test_a_short_sum_is_written_out_term_by_term() -> None:
    values = {"x_k": np.array([1.0, 2.0]), "W_k": np.array([0.5, -3.0]), "b": 7.0}
    assert insert("sum_k(x_k * W_k) + b", values) == ("1 * 0.5 + 2 * -3 + 7", [])


def test_of_a_long_sum_the_largest_terms_are_shown_in_order_and_the_rest_as_one_number() -> None:
    x = np.array([1.0, -50.0, 2.0, 60.0, 3.0, 70.0, 4.0, 80.0, 5.0])
    assert insert("sum_k(x_k)", {"x_k": x}) == ("-50 + 60 + 70 + 80 + 15", ["15 is the sum of the other 5 terms"])
    assert insert("max_k(x_k)", {"x_k": x}) == ("max(60, 70, 80, 5, 4)", ["4 is the largest of the other 5"])


def test_of_a_long_sum_that_is_mostly_zero_the_other_terms_are_shown() -> None:
    x = np.zeros(20)
    x[3], x[7] = 2.0, -1.0
    assert insert("sum_k(x_k)", {"x_k": x}) == ("2 + -1", ["the other 18 terms are 0"])


def test_a_sum_of_nothing_is_zero() -> None:
    assert insert("sum_k(x_k)", {"x_k": np.array([])})[0] == "0"


def test_more_digits_are_printed_where_fewer_would_give_another_value() -> None:
    equation = Equation.of("d", "a - b", {"a": 1.0 + 1e-10, "b": 1.0})
    assert equation.computed == pytest.approx(1e-10, rel=1e-6)
    plain = Equation.of("d", "a - b", {"a": 1 / 3, "b": 1.0})
    assert plain.numbers == "0.333333333 - 1"


def test_what_is_left_of_numbers_that_cancel_is_called_rounding() -> None:
    d = np.array([1 / 3, 1 / 7, -1 / 3 - 1 / 7 + 1e-16])
    equation = Equation.of("db", "sum_n(d_n)", {"d_n": d}, float(np.sum(d)))
    assert equation.note == CANCELLED
    assert equation.numbers == "0.333333333 + 0.142857143 + -0.476190476"


def test_a_formula_that_does_not_give_what_the_code_computed_is_said_to_be_wrong() -> None:
    equation = Equation.of("y", "x + 1", {"x": -0.91}, -1.82)
    assert (equation.is_wrong, equation.sign, equation.value) == (True, "≠", -1.82)
    assert equation.note == "the formula gives 0.09, the code -1.82"
    assert Equation.of("y", "exp(x) / exp(x)", {"x": 1e9}, 1.0).note == "the formula gives nan, the code 1"
    single = Equation.of("y", "x / 3", {"x": 1.0}, float(np.float32(1 / 3)))
    assert (single.is_wrong, single.sign, single.note) == (False, "=", "")
    assert not Equation.of("y", "1 / x", {"x": 0.0}, math.inf).is_wrong


def test_what_only_the_order_of_a_sum_leaves_is_called_rounding_too() -> None:
    equation = Equation.of("db", "sum_n(d_n)", {"d_n": np.array([0.5, -0.5])}, 1.0756e-16)
    assert (equation.value, equation.note, equation.is_wrong) == (1.0756e-16, CANCELLED, False)


def test_lines_use_those_before_them_and_the_code_has_the_last_word() -> None:
    first, second = in_turn({"u": "2 * x", "y": "u + 1"}, {"x": 3.0}, {"y": 7.0 + 1e-12}, (0, 4))
    assert (first.name, first.value) == ("u_{0,4}", 6.0)
    assert (second.name, second.numbers, second.value) == ("y_{0,4}", "6 + 1", 7.0 + 1e-12)


def test_an_entry_is_named_by_its_place_and_found_by_its_size() -> None:
    assert entry("y", 0, 3) == "y_{0,3}"
    assert entry("L") == "L"
    assert largest(np.array([[1.0, -5.0], [4.0, 2.0]])) == (0, 1)


def test_a_number_has_nine_digits_and_no_negative_zero() -> None:
    assert number(1 / 3) == "0.333333333"
    assert number(-0.0) == "0"
    assert number(math.pi, 12) == "3.14159265359"


@pytest.mark.parametrize(
    "formula", ["__import__('os')", "x.real", "[1, 2]", "lambda: 1", "open(x)", "sum_k", "x[0]", "(x := 1)", "'a' * 9"]
)
def test_nothing_but_arithmetic_is_computed(formula: str) -> None:
    with pytest.raises(FormulaError):
        evaluate(formula, {"x": 1.0})


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("x + r", "a formula names r, which has no value here\n  known are x, slope"),
        ("x ^ 2", "a formula has x ^ 2, which cannot be computed\n  known are + - * / **, comparisons, exp, log"),
        ("1 +", "'1 +' is no formula\n  write it in Python's arithmetic"),
    ],
)
def test_a_wrong_formula_is_told_with_what_is_known(formula: str, said: str) -> None:
    with pytest.raises(FormulaError) as caught:
        evaluate(formula, {"x": 1.0, "slope": 2.0})
    assert str(caught.value).startswith(said)
