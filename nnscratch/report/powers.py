"""Powers of ten on axes, in letters: matplotlib would set each as a formula, which takes it longer than the picture."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import ScalarFormatter

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: int) -> str:
    """10⁻³ for -3."""
    return f"10{str(exponent).translate(SUPERSCRIPTS)}"


def in_letters(number: str) -> str:
    """'1.16·10¹²' for 1.16e+12; any other number as it is."""
    digits, _, exponent = number.partition("e")
    return f"{digits}·{power_of_ten(int(exponent))}" if exponent else number


class CommonPower(ScalarFormatter):
    """Ticks like 2·10⁻³ on an axis of numbers that share a power of ten, and 0."""

    def __init__(self, limits: tuple[int, int]) -> None:
        super().__init__(useOffset=False, useMathText=False)
        self.set_powerlimits(limits)

    def __call__(self, x: float, pos: Any = None) -> str:
        """The tick at x."""
        text: str = super().__call__(x, pos)
        exponent = super().get_offset().partition("e")[2]  # of 1e−3
        if not exponent:
            return text
        return f"{text}·{power_of_ten(int(exponent.replace('−', '-')))}" if x else "0"

    def get_offset(self) -> str:
        """Nothing at the axis' end, where it would be in the place of a title or a label."""
        return ""
