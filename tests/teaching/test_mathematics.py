"""One formula, three notations, one value."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from nnscratch.teaching.mathematics import evaluate, substitute, to_mathml, to_tex, to_text

FORMULAS = [
    ("1 / (1 + exp(-x))", "1 / (1 + exp(−x))", r"\frac{1}{1 + \exp(-x)}"),
    ("a - (b - c)", "a − (b − c)", "a - (b - c)"),
    ("a * (b + c)", "a·(b + c)", r"a \cdot (b + c)"),
    ("-3 * -1.5e-07", "(−3)·(−1.5e-07)", r"(-3) \cdot (-1.5 \cdot 10^{-7})"),
    ("sum_k(x_nk * W_kj) + b_j", "Σ_k x_nk·W_kj + b_j", r"\sum_{k} x_{nk} \cdot W_{kj} + b_{j}"),
    ("m_hat / (1 - beta1**t)", "m\u0302 / (1 − β_1^t)", r"\frac{\hat{m}}{1 - {\beta_{1}}^{t}}"),
    ("dy * (y > 0)", "dy·[y > 0]", r"dy \cdot [y > 0]"),
    ("2 / (3 / x)", "2 / (3 / x)", r"\frac{2}{\frac{3}{x}}"),
]


@pytest.mark.parametrize(("formula", "text", "tex"), FORMULAS)
def test_a_formula_is_written_as_text_and_as_tex(formula: str, text: str, tex: str) -> None:
    assert to_text(formula) == text
    assert to_tex(formula) == tex


@pytest.mark.parametrize("formula", [formula for formula, _, _ in FORMULAS])
def test_mathml_is_well_formed_and_names_every_letter(formula: str) -> None:
    root = ElementTree.fromstring(f"<math>{to_mathml(formula)}</math>")
    shown = "".join(root.itertext())
    for letter in ("x", "y", "W"):
        assert (letter in shown) == (letter in formula.replace("exp", ""))


def test_values_are_those_of_arithmetic() -> None:
    assert evaluate("2 - 3 * (x > 1) + max(x, 4)**2", {"x": 2.0}) == 15
    assert evaluate("sqrt(2 / pi)") == pytest.approx(math.sqrt(2 / math.pi))


def test_numbers_take_the_place_of_names_negative_ones_included() -> None:
    text = substitute("x**2 - y", {"x": -1.5, "y": -2.0})
    assert evaluate(text) == pytest.approx(4.25)


@pytest.mark.parametrize("formula", ["__import__('os')", "x.real", "[1, 2]", "lambda: 1", "open(x)"])
def test_nothing_but_arithmetic_is_computed(formula: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        evaluate(formula, {"x": 1.0})
