"""One formula, three notations."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from nnscratch.teaching.mathematics import matrix, to_mathml, to_mathml_pieces, to_tex, to_text

FORMULAS = [
    ("1 / (1 + exp(-x))", "1 / (1 + exp(−x))", r"\frac{1}{1 + \exp(-x)}"),
    ("a - (b - c)", "a − (b − c)", "a - (b - c)"),
    ("a * (b + c)", "a·(b + c)", r"a \cdot (b + c)"),
    ("-3 * -1.5e-07", "(−3)·(−1.5e-07)", r"(-3) \cdot (-1.5 \cdot 10^{-7})"),
    ("sum_k(x_nk * W_kj) + b_j", "Σ_k x_nk·W_kj + b_j", r"\sum_{k} x_{nk} \cdot W_{kj} + b_{j}"),
    ("m_hat / (1 - beta1**t)", "m\u0302 / (1 − β_1^t)", r"\frac{\hat{m}}{1 - {\beta_{1}}^{t}}"),
    ("dy * (y > 0)", "dy·[y > 0]", r"dy \cdot [y \gt 0]"),
    ("max_w(x_w) - dgamma", "max_w x_w − dγ", r"\max_{w} x_{w} - d\gamma"),
    ("x_hat_nk * dbeta", "x\u0302_nk·dβ", r"\hat{x}_{nk} \cdot d\beta"),
    ("x * (1 / y + 1)", "x·(1 / y + 1)", r"x \cdot \left(\frac{1}{y} + 1\right)"),
    ("x / inf", "x / ∞", r"\frac{x}{\infty}"),
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


@pytest.mark.parametrize("formula", ["x_nk", "theta_new * W_kj", "x_hat_nk", "beta1"])
def test_an_index_hangs_from_a_space_that_is_as_high_for_every_font_and_letter(formula: str) -> None:
    # Seen in Chromium without a font for mathematics: `nk` alone would stand on the line.
    indices = ElementTree.fromstring(f"<math>{to_mathml(formula)}</math>").iter("msub")
    heights = [below[0].get("height") for _, below in indices]
    assert heights == [".9em"] * max(formula.count("_") - formula.count("hat"), 1)


def test_numbers_keep_the_digits_they_were_written_with() -> None:
    assert to_text("1.000000001234 - 1") == "1.000000001234 − 1"
    assert to_text("0.1 * 1e-07") == "0.1·1e-07"


def letters(mathml: str) -> str:
    return "".join(ElementTree.fromstring(f"<math>{mathml}</math>").itertext())


@pytest.mark.parametrize(
    ("formula", "pieces"),
    [
        ("a * b + c * d - 1.5", ["a·b", "+c·d", "−1.5"]),
        ("(1 + 2 + 3 + 4 + 5.5) / 6", ["(1", "+2", "+3", "+4", "+5.5)/6"]),
        ("max(1, -2, 3, 4.5)", ["max(1,", "−2,", "3,", "4.5)"]),
        ("y * (q - (a + b + c + d + -2))", ["y·(q", "−(a", "+b", "+c", "+d", "+(−2)))"]),
        ("a - (b + c + d + e)", ["a", "−(b", "+c", "+d", "+e)"]),
        ("-3 + -4", ["−3", "+(−4)"]),
        ("exp(a + b + c + d) * 2", ["exp(a", "+b", "+c", "+d)·2"]),
        ("tanh(x)", ["tanh(x)"]),
    ],
)
def test_a_long_sum_is_in_pieces_that_say_the_same_as_the_whole(formula: str, pieces: list[str]) -> None:
    shown = [letters(f"<mrow>{piece}</mrow>") for piece in to_mathml_pieces(formula)]
    assert shown == pieces
    assert "".join(shown) == to_text(formula).replace(" ", "")


def test_a_matrix_has_a_row_for_each_row_and_dots_for_what_is_left_out() -> None:
    root = ElementTree.fromstring(matrix([[1, -0.5], [1e-9, 0]]))
    assert [[cell.findtext("mn") for cell in row] for row in root.iter("mtr")] == [["1", "−0.5"], ["1e−09", "0"]]
    cut = letters(matrix([[1.0, 2.0]], more_rows=True, more_columns=True))
    assert cut == "[12⋯⋮⋮⋮]"
