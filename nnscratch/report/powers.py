"""Powers of ten on axes, in letters: matplotlib would set each as a formula, which takes it longer than the picture."""

from __future__ import annotations

import math
import re
from typing import Any

from matplotlib.ticker import ScalarFormatter

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NEAR = 100
"""How many times as far from 0 as from each other numbers are that may be told by what they differ in."""


def power_of_ten(exponent: int) -> str:
    """10⁻³ for -3."""
    return f"10{str(exponent).translate(SUPERSCRIPTS)}"


def in_letters(number: str) -> str:
    """'1.16·10¹²' for 1.16e+12; any other number as it is."""
    digits, _, exponent = number.partition("e")
    return f"{digits}·{power_of_ten(int(exponent))}" if exponent else number


class CommonPower(ScalarFormatter):
    """Ticks like 2·10⁻³ on an axis of numbers that share a power of ten, and 0; of each less `offset`."""

    def __init__(self, limits: tuple[int, int], offset: float = 0.0) -> None:
        super().__init__(useOffset=False, useMathText=False)
        self.set_powerlimits(limits)
        self.offset = offset  # set_useOffset takes 1 for True

    def __call__(self, x: float, pos: Any = None) -> str:
        """The tick at x."""
        text: str = super().__call__(x, pos)
        exponent = re.match(r"1e(−?\d+)", super().get_offset())  # 1e−3+1.7e9
        if exponent is None:
            return text
        return f"{text}·{power_of_ten(int(exponent[1].replace('−', '-')))}" if text.strip("−0.") else "0"

    def get_offset(self) -> str:
        """Nothing at the axis' end, where it would be in the place of a title or a label."""
        return ""


def offset_of(low: float, high: float) -> float:
    """A round number near both, to be told once instead of at every tick; 0 where they are not close together."""
    if high - low > max(abs(low), abs(high)) / NEAR:
        return 0.0
    return round((low + high) / 2, -math.ceil(math.log10(high - low)))
