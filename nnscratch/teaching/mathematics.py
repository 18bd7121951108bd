"""Formulas in Python's arithmetic, `1 / (1 + exp(-x))`, as plain text, TeX and MathML; `nn.equations` computes them."""

from __future__ import annotations

import ast
from html import escape

from nnscratch.nn.equations import DIGITS, number, parse, reduction

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "epsilon": "ε", "theta": "θ", "lamda": "λ", "mu": "μ", "pi": "π",
    "sigma": "σ", "omega": "ω", "rho": "ρ", "delta": "δ", "inf": "∞",
}  # fmt: skip
TEX_WORDS = {"lamda": "lambda", "inf": "infty"}
SIGNS = {ast.Add: "+", ast.Sub: "−", ast.Gt: ">", ast.Lt: "<", ast.GtE: "≥", ast.Eq: "="}
TEX_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Gt: ">", ast.Lt: "<", ast.GtE: r"\ge", ast.Eq: "="}
SUM, PRODUCT, POWER, ATOM = range(4)


def to_text(formula: str) -> str:
    """For a terminal: `1 / (1 + exp(−x))`, a product as a dot."""
    return _text(parse(formula))[0]


def to_tex(formula: str) -> str:
    return _tex(parse(formula))[0]


def to_mathml(formula: str) -> str:
    """The elements inside <math>."""
    return _mathml(parse(formula))[0]


def _name(name: str) -> tuple[str, str, bool]:
    """Letter, index, and whether it wears a hat: `x_hat_nk`."""
    letter, *indices = name.split("_")
    hat = indices[:1] == ["hat"]
    stem = letter.rstrip("0123456789")
    index = " ".join(indices[hat:]) or letter[len(stem) :]
    is_gradient = stem[:1] == "d" and (len(stem) == 2 or stem[1:] in GREEK)
    prefix, rest = ("d", stem[1:]) if is_gradient else ("", stem)
    return prefix + GREEK.get(rest, rest), index, hat


def _wrapped(part: tuple[str, int], least: int, left: str = "(", right: str = ")") -> str:
    return part[0] if part[1] >= least else f"{left}{part[0]}{right}"


def _text(node: ast.expr) -> tuple[str, int]:
    match node:
        case ast.Constant(value=value):
            text = _plain_number(value)
            return text, ATOM
        case ast.Name(id=name):
            letter, index, hat = _name(name)
            return letter + ("\u0302" if hat else "") + (f"_{index}" if index else ""), ATOM
        case ast.UnaryOp(operand=operand):
            return f"−{_wrapped(_text(operand), PRODUCT)}", SUM
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as operator, right=right):
            level = SUM if isinstance(operator, ast.Add) else PRODUCT
            second = _text(right)
            shown = f"({second[0]})" if second[0].startswith("−") else _wrapped(second, level)
            return f"{_text(left)[0]} {SIGNS[type(operator)]} {shown}", SUM
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return f"{_wrapped(_text(left), PRODUCT)}·{_wrapped(_text(right), PRODUCT)}", PRODUCT
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"{_wrapped(_text(left), PRODUCT)} / {_wrapped(_text(right), POWER)}", PRODUCT
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{_wrapped(_text(left), ATOM)}^{_wrapped(_text(right), ATOM)}", POWER
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return f"[{_text(left)[0]} {SIGNS[type(operator)]} {_text(right)[0]}]", ATOM
        case ast.Call(func=ast.Name(id=name), args=arguments):
            inside = ", ".join(_text(argument)[0] for argument in arguments)
            if how := reduction(name):
                kind, over = how
                return f"{'Σ' if kind == 'sum' else kind}_{over} {_wrapped(_text(arguments[0]), PRODUCT)}", PRODUCT
            return f"{name}({inside})", ATOM
    raise ValueError(f"cannot write {ast.unparse(node)}")


def _tex(node: ast.expr) -> tuple[str, int]:
    match node:
        case ast.Constant(value=value):
            mantissa, _, exponent = _plain_number(value).partition("e")
            return (mantissa + (rf" \cdot 10^{{{int(exponent)}}}" if exponent else "")), PRODUCT if exponent else ATOM
        case ast.Name(id=name):
            letter, index, hat = _name(name)
            greek = {symbol: "\\" + TEX_WORDS.get(word, word) for word, symbol in GREEK.items()}
            letter = rf"\mathit{{{letter}}}" if len(letter) > 2 else "".join(greek.get(each, each) for each in letter)
            return (rf"\hat{{{letter}}}" if hat else letter) + (f"_{{{index}}}" if index else ""), ATOM
        case ast.UnaryOp(operand=operand):
            return f"-{_wrapped(_tex(operand), PRODUCT)}", SUM
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as operator, right=right):
            level = SUM if isinstance(operator, ast.Add) else PRODUCT
            second = _tex(right)
            shown = f"({second[0]})" if second[0].startswith("-") else _wrapped(second, level)
            return f"{_tex(left)[0]} {TEX_SIGNS[type(operator)]} {shown}", SUM
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return rf"{_wrapped(_tex(left), PRODUCT)} \cdot {_wrapped(_tex(right), PRODUCT)}", PRODUCT
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return rf"\frac{{{_tex(left)[0]}}}{{{_tex(right)[0]}}}", POWER
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{{{_wrapped(_tex(left), ATOM)}}}^{{{_tex(right)[0]}}}", POWER
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return f"[{_tex(left)[0]} {TEX_SIGNS[type(operator)]} {_tex(right)[0]}]", ATOM
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument]):
            return rf"\sqrt{{{_tex(argument)[0]}}}", ATOM
        case ast.Call(func=ast.Name(id=name), args=arguments):
            if how := reduction(name):
                kind, over = how
                return rf"\{kind}_{{{over}}} {_wrapped(_tex(arguments[0]), PRODUCT)}", PRODUCT
            word = rf"\operatorname{{{name}}}" if name in ("abs", "sign") else rf"\{name}"
            return f"{word}({', '.join(_tex(argument)[0] for argument in arguments)})", ATOM
    raise ValueError(f"cannot write {ast.unparse(node)}")


def _mathml(node: ast.expr) -> tuple[str, int]:
    left_bracket, right_bracket = "<mo>(</mo>", "<mo>)</mo>"

    def wrapped(part: tuple[str, int], least: int) -> str:
        return f"<mrow>{_wrapped(part, least, left_bracket, right_bracket)}</mrow>"

    match node:
        case ast.Constant(value=value):
            mantissa, _, exponent = _plain_number(value).partition("e")
            if not exponent:
                return f"<mn>{mantissa}</mn>", ATOM
            power = f"<msup><mn>10</mn><mn>{int(exponent)}</mn></msup>"
            return f"<mn>{mantissa}</mn><mo>·</mo>{power}", PRODUCT
        case ast.Name(id=name):
            letter, index, hat = _name(name)
            symbol = f"<mi>{escape(letter)}</mi>"
            symbol = f"<mover accent='true'>{symbol}<mo>^</mo></mover>" if hat else symbol
            return (f"<msub>{symbol}<mi>{escape(index)}</mi></msub>" if index else symbol), ATOM
        case ast.UnaryOp(operand=operand):
            return f"<mo>−</mo>{wrapped(_mathml(operand), PRODUCT)}", SUM
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as operator, right=right):
            level = SUM if isinstance(operator, ast.Add) else PRODUCT
            second = _mathml(right)
            if second[0].startswith("<mo>−"):
                second = (second[0], SUM - 1)
            return f"{_mathml(left)[0]}<mo>{SIGNS[type(operator)]}</mo>{wrapped(second, level)}", SUM
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return f"{wrapped(_mathml(left), PRODUCT)}<mo>·</mo>{wrapped(_mathml(right), PRODUCT)}", PRODUCT
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"<mfrac><mrow>{_mathml(left)[0]}</mrow><mrow>{_mathml(right)[0]}</mrow></mfrac>", POWER
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"<msup>{wrapped(_mathml(left), ATOM)}<mrow>{_mathml(right)[0]}</mrow></msup>", POWER
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            sign = escape(SIGNS[type(operator)])
            return f"<mo>[</mo>{_mathml(left)[0]}<mo>{sign}</mo>{_mathml(right)[0]}<mo>]</mo>", ATOM
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument]):
            return f"<msqrt>{_mathml(argument)[0]}</msqrt>", ATOM
        case ast.Call(func=ast.Name(id=name), args=arguments):
            if how := reduction(name):
                kind, over = how
                sign = "∑" if kind == "sum" else kind
                under = f"<munder><mo>{sign}</mo><mi>{over}</mi></munder>"
                return under + wrapped(_mathml(arguments[0]), PRODUCT), PRODUCT
            inside = "<mo>,</mo>".join(_mathml(argument)[0] for argument in arguments)
            return f"<mi>{name}</mi><mo>(</mo>{inside}<mo>)</mo>", ATOM
    raise ValueError(f"cannot write {ast.unparse(node)}")


def _plain_number(value: object) -> str:
    """With as many digits as it was written with."""
    if not isinstance(value, float):
        return str(value)
    return next((text for digits in DIGITS if float(text := number(value, digits)) == value), repr(value))
