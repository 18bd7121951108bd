"""Powers of ten on axes, in letters: matplotlib would set each as a formula, which takes it longer than the picture."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import ScalarFormatter

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: int) -> str:
    """10⁻³ for -3."""
    return f"10{str(exponent).translate(SUPERSCRIPTS)}"


class CommonPower(ScalarFormatter):
    """Ticks whose common power of ten stands at each of them (y axis), or once at the axis' end (x axis)."""

    def __init__(self, limits: tuple[int, int]) -> None:
        super().__init__(useOffset=False, useMathText=False)
        self.set_powerlimits(limits)

    def __call__(self, x: float, pos: Any = None) -> str:
        """The tick at x."""
        text: str = super().__call__(x, pos)
        if not (self._is_at_ticks() and self._power()):
            return text
        return f"{text}·{self._power()}" if x else "0"

    def get_offset(self) -> str:
        """What stands at the end of the axis: above a y axis it would be in the title's place."""
        return f"×{self._power()}" if self._power() and not self._is_at_ticks() else ""

    def _is_at_ticks(self) -> bool:
        return getattr(self.axis, "axis_name", "") == "y"

    def _power(self) -> str:
        exponent = super().get_offset().partition("e")[2]  # of 1e−3
        return power_of_ten(int(exponent.replace("−", "-"))) if exponent else ""
