"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

EXACT_DIGITS = 15
"""Of a number, which every float64 has; two more, and no two of them look alike."""


def percent(fraction: float | None, digits: int = 2) -> str:
    """'57.10 %' for 0.571; '-' for what is not known."""
    return "-" if fraction is None or not math.isfinite(fraction) else f"{100 * fraction:.{digits}f} %"


def count(number: int | None) -> str:
    """'1,707,274'; '-' for what is not known."""
    return "-" if number is None else f"{number:,}"


def counted(number: int | None, what: str) -> str:
    """'1 example', '1,200 examples'."""
    return f"{count(number)} {what}{'s' if number != 1 else ''}"


def decimal(value: float | None, digits: int = 4) -> str:
    """'0.4312', '60,322' or '3.1e-05': `digits` significant digits and no digit of a whole part below 10^7 less.

    '-' for what is not known.
    """
    if value is None or math.isnan(value):
        return "-"
    rounded = abs(float(f"{value:.{digits}g}"))
    return f"{value:,.0f}" if 10.0**digits <= rounded < 1e7 else f"{value:.{digits}g}"


def decimals(values: Sequence[float]) -> list[str]:
    """Each as `decimal`; where that makes one of two, with as many digits as it takes to tell them apart."""
    shown = [decimal(value) for value in values]
    finite = [abs(value) for value in values if math.isfinite(value)]
    whole = len(f"{max(finite, default=0):.0f}")
    for digits in range(whole if whole <= EXACT_DIGITS else 5, EXACT_DIGITS + 3):
        if len(set(shown)) >= len(set(values)):
            break
        shown = [f"{value:.{digits}g}" for value in values]
    return shown


def duration(seconds: float | None) -> str:
    """'18 ms', '0.4 s', '42 s', '3 min 05 s' or '2 h 07 min'; '-' for what is not known."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if 0.0005 <= seconds < 0.095:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def metric_value(metric: str, value: float | None) -> str:
    """An accuracy or F1 in per cent, anything else as a decimal."""
    return percent(value) if is_share(metric) else decimal(value)


def told_apart(metric: str, values: Sequence[float]) -> list[str]:
    """The values along an axis, rising, with as many digits as it takes to tell them apart, up to nine."""
    for digits in range(1, 10):
        shown = [f"{100 * value:.{digits}f} %" if is_share(metric) else f"{value:.{digits + 2}g}" for value in values]
        if len(set(shown)) == len(set(values)):
            break
    return shown


def is_share(metric: str) -> bool:
    """Whether values of that name are told in per cent: an accuracy, or F1."""
    return metric.endswith(("accuracy", "f1"))


def with_deviation(metric: str, mean: float, deviation: float) -> str:
    """'89.9 ± 0.3 %' for an accuracy; '0.412 ± 0.021' for anything else: as many digits as the deviation supports."""
    scale, unit = (100.0, " %") if is_share(metric) else (1.0, "")
    digits = digits_of(scale * deviation)
    return f"{scale * mean:.{digits}f} ± {scale * deviation:.{digits}f}{unit}"


def labelled(metric: str, value: float | None, deviation: float | None = None) -> str:
    """'57.10 %' for an accuracy; 'loss 0.412' or 'R2 0.83 ± 0.02' for what else may stand in one column with it."""
    if value is None:
        return "-"
    shown = metric_value(metric, value) if deviation is None else with_deviation(metric, value, deviation)
    return shown if shown.endswith("%") else f"{metric} {shown}"


def digits_of(deviation: float) -> int:
    """How many decimal places a figure with that spread deserves: one of the spread's own, two when it begins with 1.

    At least one, and at most six.
    """
    if not 0 < deviation < math.inf:
        return 2
    place = -math.floor(math.log10(deviation))
    return min(max(place + (deviation * 10.0**place < 2), 1), 6)


def printable(text: str) -> str:
    """`text` on one line without control characters: a name cannot move the cursor or change colours."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines: only the ends of lines stay."""
    return "\n".join(map(printable, text.split("\n")))


def shorten(text: str, limit: int) -> str:
    """`text`, printable, cut to `limit` characters with an ellipsis."""
    text = printable(text)
    return text if len(text) <= limit else text[: max(limit - 1, 1)] + "…"


def setting(value: object) -> str:
    """A config value in YAML's own words: `[512, 256]`, `true`, `null`, `0.001`."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.6g}"
        case list() | tuple():
            return f"[{', '.join(setting(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{printable(str(key))}: {setting(item)}' for key, item in value.items())}}}"
        case _:
            return printable(str(value))
