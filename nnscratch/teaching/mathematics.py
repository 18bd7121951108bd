"""Formulas in Python's arithmetic, `1 / (1 + exp(-x))`, as plain text, TeX and MathML; `nn.equations` computes them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from html import escape

from nnscratch.nn.equations import DIGITS, number, parse, reduction

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "epsilon": "ε", "theta": "θ", "lamda": "λ", "mu": "μ", "pi": "π",
    "kappa": "κ", "sigma": "σ", "omega": "ω", "rho": "ρ", "delta": "δ", "inf": "∞",
}  # fmt: skip
TEX_WORDS = {"lamda": "lambda", "inf": "infty"}
TEX_FUNCTIONS = ("exp", "log", "tanh", "cos", "sin", "max", "min")
"""What TeX has a macro for; `\\operatorname` the code host forbids."""
SIGNS = {ast.Add: "+", ast.Sub: "−", ast.Gt: ">", ast.Lt: "<", ast.GtE: "≥", ast.Eq: "="}
TEX_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Gt: r"\gt", ast.Lt: r"\lt", ast.GtE: r"\ge", ast.Eq: "="}
SUM, PRODUCT, POWER, ATOM = range(4)


def to_text(formula: str) -> str:
    """For a terminal: `1 / (1 + exp(−x))`, a product as a dot."""
    return _text(parse(formula))[0]


def to_tex(formula: str) -> str:
    return _tex(parse(formula))[0]


def to_mathml(formula: str) -> str:
    """The elements inside <math>."""
    return _mathml(parse(formula))[0]


def to_mathml_pieces(formula: str) -> list[str]:
    """The same in pieces between which a line may end: the terms of a sum, also of one in brackets or above a line."""
    return _pieces(parse(formula))


def parts_of_name(name: str) -> tuple[str, str]:
    """`y` and `0,3` of the name `y_{0,3}` of an equation; no index of what is no entry of an array."""
    letter, _, index = name.partition("_{")
    return letter, index.removesuffix("}")


def with_index(symbol: str, index: str) -> str:
    """The MathML of a symbol with an index below the line.

    How low an index stands depends on how high it is where the font has no measures for mathematics: `nk` would stand
    on the line. So a space as high as a large letter comes before it.
    """
    kind = "mn" if index[0].isdigit() else "mi"
    return f'<msub><mrow>{symbol}</mrow><mrow><mspace height=".9em"/><{kind}>{escape(index)}</{kind}></mrow></msub>'


def matrix(rows: Sequence[Sequence[float]], *, more_rows: bool = False, more_columns: bool = False) -> str:
    """Numbers as a matrix in MathML; dots where there are more."""
    cells = [[f"<mn>{_rounded(value)}</mn>" for value in row] + ["<mo>⋯</mo>"] * more_columns for row in rows]
    if more_rows:
        cells.append(["<mo>⋮</mo>"] * len(cells[0]))
    table = "".join("<mtr>" + "".join(f"<mtd>{cell}</mtd>" for cell in row) + "</mtr>" for row in cells)
    return f"<mrow><mo>[</mo><mtable>{table}</mtable><mo>]</mo></mrow>"


def _rounded(value: float) -> str:
    return f"{value + 0.0:.4g}".replace("-", "−")


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


def _in_tex_brackets(inside: str) -> str:
    return rf"\left({inside}\right)" if r"\frac" in inside else f"({inside})"


def _wrapped_tex(part: tuple[str, int], least: int) -> str:
    return part[0] if part[1] >= least else _in_tex_brackets(part[0])


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
            return f"-{_wrapped_tex(_tex(operand), PRODUCT)}", SUM
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as operator, right=right):
            level = SUM if isinstance(operator, ast.Add) else PRODUCT
            second = _tex(right)
            shown = f"({second[0]})" if second[0].startswith("-") else _wrapped_tex(second, level)
            return f"{_tex(left)[0]} {TEX_SIGNS[type(operator)]} {shown}", SUM
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return rf"{_wrapped_tex(_tex(left), PRODUCT)} \cdot {_wrapped_tex(_tex(right), PRODUCT)}", PRODUCT
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return rf"\frac{{{_tex(left)[0]}}}{{{_tex(right)[0]}}}", POWER
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{{{_wrapped_tex(_tex(left), ATOM)}}}^{{{_tex(right)[0]}}}", POWER
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return f"[{_tex(left)[0]} {TEX_SIGNS[type(operator)]} {_tex(right)[0]}]", ATOM
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument]):
            return rf"\sqrt{{{_tex(argument)[0]}}}", ATOM
        case ast.Call(func=ast.Name(id=name), args=arguments):
            if how := reduction(name):
                kind, over = how
                return rf"\{kind}_{{{over}}} {_wrapped_tex(_tex(arguments[0]), PRODUCT)}", PRODUCT
            if name == "floor":
                return rf"\lfloor {_tex(arguments[0])[0]} \rfloor", ATOM
            inside = ", ".join(_tex(argument)[0] for argument in arguments)
            if name == "abs":
                return rf"\lvert {inside} \rvert", ATOM
            word = rf"\{name}" if name in TEX_FUNCTIONS else name if len(name) == 1 else rf"\mathrm{{{name}}}"
            return word + _in_tex_brackets(inside), ATOM
    raise ValueError(f"cannot write {ast.unparse(node)}")


MINUS = '<mo form="prefix">−</mo>'
OPEN, CLOSE = '<mo stretchy="false">(</mo>', '<mo stretchy="false">)</mo>'
"""Brackets as high as a letter: of those that grow browsers make too much where a font has none of its own."""


def _in_brackets(inside: str) -> str:
    return f"<mo>(</mo>{inside}<mo>)</mo>" if "<mfrac>" in inside else f"{OPEN}{inside}{CLOSE}"


def _mathml(node: ast.expr) -> tuple[str, int]:
    def wrapped(part: tuple[str, int], least: int) -> str:
        return f"<mrow>{part[0] if part[1] >= least else _in_brackets(part[0])}</mrow>"

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
            return (with_index(symbol, index) if index else symbol), ATOM
        case ast.UnaryOp(operand=operand):
            return f"{MINUS}{wrapped(_mathml(operand), PRODUCT)}", SUM
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as operator, right=right):
            level = SUM if isinstance(operator, ast.Add) else PRODUCT
            second = _mathml(right)
            if second[0].startswith(MINUS):
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
            return f"<mi>{name}</mi>{_in_brackets(inside)}", ATOM
    raise ValueError(f"cannot write {ast.unparse(node)}")


def _pieces(node: ast.expr) -> list[str]:
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as operator, right=right):
            sign = f'<mo form="infix">{SIGNS[type(operator)]}</mo>'
            level = SUM if isinstance(operator, ast.Add) else PRODUCT
            first, *rest = _enclosed(right, level)
            return [
                *_pieces(left),
                sign + (_in_brackets(first) if first.startswith(MINUS) else first),
                *rest,
            ]
        case ast.BinOp(left=left, op=ast.Mult(), right=right) if _is_long(left) or _is_long(right):
            *before, last = _enclosed(left, PRODUCT)
            first, *rest = _enclosed(right, PRODUCT)
            return [*before, f"{last}<mo>·</mo>{first}", *rest]
        case ast.BinOp(left=left, op=ast.Div(), right=right) if _is_long(left):
            *before, last = _enclosed(left, PRODUCT)
            divisor = _wrapped(_mathml(right), POWER, OPEN, CLOSE)
            return [*before, f"{last}<mo>/</mo>{divisor}"]
        case ast.Call(func=ast.Name(id=name), args=arguments) if len(arguments) > 3 or any(map(_is_long, arguments)):
            word = f"<mi>{name}</mi>{OPEN}"
            lists = [_pieces(argument) for argument in arguments]
            for pieces in lists[:-1]:
                pieces[-1] += "<mo>,</mo>"
            first, *rest = (piece for pieces in lists for piece in pieces)
            return _closed([word + first, *rest])
    return [_mathml(node)[0]]


def _is_long(node: ast.expr) -> bool:
    return len(_pieces(node)) > 3


def _enclosed(node: ast.expr, least: int) -> list[str]:
    """The pieces, in brackets where the precedence wants them."""
    pieces = _pieces(node)
    if _mathml(node)[1] >= least:
        return pieces
    return _closed([OPEN + pieces[0], *pieces[1:]])


def _closed(pieces: list[str]) -> list[str]:
    return [*pieces[:-1], pieces[-1] + CLOSE]


def _plain_number(value: object) -> str:
    """With as many digits as it was written with."""
    if not isinstance(value, float):
        return str(value)
    return next((text for digits in DIGITS if float(text := number(value, digits)) == value), repr(value))
