"""The `parameters` of a sweep file: which config fields vary, and how."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from nnscratch.config.node import Node, Place, Value
from nnscratch.config.numbers import Number
from nnscratch.config.problems import shown
from nnscratch.errors import Problem, did_you_mean
from nnscratch.sweeps.distributions import (
    Choice,
    Constant,
    Distribution,
    Integers,
    Interval,
    Mixture,
    Quantiles,
    multiples,
)

ALLOWED_KEYS = {
    "constant": ("value",),
    "categorical": ("values", "probabilities"),
    "categorical_w_probabilities": ("values", "probabilities"),
    "int_uniform": ("min", "max"),
    "uniform": ("min", "max"),
    "q_uniform": ("min", "max", "q"),
    "log_uniform": ("min", "max"),
    "log_uniform_values": ("min", "max"),
    "q_log_uniform": ("min", "max", "q"),
    "q_log_uniform_values": ("min", "max", "q"),
    "inv_log_uniform": ("min", "max"),
    "inv_log_uniform_values": ("min", "max"),
    "normal": ("mu", "sigma"),
    "q_normal": ("mu", "sigma", "q"),
    "log_normal": ("mu", "sigma"),
    "q_log_normal": ("mu", "sigma", "q"),
    "beta": ("a", "b"),
    "q_beta": ("a", "b", "q"),
}
FINITE, POSITIVE, NOT_NEGATIVE = Number(), Number(above=0), Number(least=0)
COUNTED = Number(least=-(2**53), most=2**53, whole=True)
"""Whole numbers that a float64, in which Optuna computes, still tells apart."""
MOST_MULTIPLES = 2**53

FORMS = "write value, values, min and max, or a distribution"


@dataclass(frozen=True)
class Parameter:
    """A config field by its dotted path, and what it may be."""

    path: str
    distribution: Distribution
    place: Place
    label: str
    """Where it stands in the sweep file: `parameters.optimizer.learning_rate`."""
    places: tuple[Place, ...] = ()
    """Where its values are written, when it lists them."""
    is_implied: bool = False
    """Whether whole numbers as min and max alone say that it is one of the integers between."""


def read_parameters(root: Node, problems: list[Problem], warnings: list[str]) -> tuple[Parameter, ...]:
    """Every parameter in the file's order; nested `parameters` become dotted paths."""
    node = root.child("parameters")
    if node is None or not isinstance(node.content, dict) or not node.content:
        place = root.place if node is None else node.place
        problems.append(place.problem("parameters", "at least one is required: a config field and its values"))
        return ()
    found: list[Parameter] = []
    _collect(node, "", "parameters", found, problems, warnings)
    paths = [parameter.path for parameter in found]
    for parameter in found:
        above = [path for path in paths if parameter.path.startswith(path + ".") and not path.endswith(".name")]
        if paths.count(parameter.path) > 1 or above:
            other = above[0] if above else "itself"
            problems.append(parameter.place.problem(parameter.label, f"is also set by {other}; vary one of them"))
    return tuple(found)


def _collect(
    node: Node, path: str, label: str, found: list[Parameter], problems: list[Problem], warnings: list[str]
) -> None:
    assert isinstance(node.content, dict)
    for key, item in node.content.items():
        dotted, inner_label = f"{path}.{key}" if path else key, f"{label}.{key}"
        place = item.key or item.place
        if not re.fullmatch(r"[A-Za-z_0-9][A-Za-z0-9_.-]*", key):
            problems.append(place.problem(inner_label, "is not the path of a config field"))
        elif not isinstance(item.content, dict):
            message = f"expected a mapping ({FORMS}), got {shown(item.plain())}"
            problems.append(item.place.problem(inner_label, message))
        elif "parameters" in item.content:
            inner = item.content["parameters"]
            if len(item.content) > 1 or not isinstance(inner.content, dict) or not inner.content:
                problems.append(place.problem(inner_label, "nested `parameters` stand alone and hold parameters"))
            else:
                _collect(inner, dotted, f"{inner_label}.parameters", found, problems, warnings)
        else:
            distribution = _Form(item, inner_label, problems, warnings).distribution()
            if distribution is not None:
                values = item.child("values")
                listed = values.content if values is not None and isinstance(values.content, list) else []
                places = tuple(each.place for each in listed) if isinstance(distribution, Choice) else ()
                implied = isinstance(distribution, Integers) and "distribution" not in item.content
                found.append(Parameter(dotted, distribution, place, inner_label, places, implied))


class _Form:
    """One distribution as it is written."""

    def __init__(self, node: Node, label: str, problems: list[Problem], warnings: list[str]) -> None:
        self.node, self.label, self.problems, self.warnings = node, label, problems, warnings
        self.sound = True

    def distribution(self) -> Distribution | None:
        """What it says; None, and problems, when that is not possible."""
        name = self._name()
        if name is None:
            return None
        assert isinstance(self.node.content, dict)
        allowed = ("distribution", *ALLOWED_KEYS[name])
        for key, item in self.node.content.items():
            if key not in allowed:
                message = f"unknown field for {name}{did_you_mean(key[:60], allowed)} (allowed: {', '.join(allowed)})"
                self._wrong(message, item.key or item.place, key)
        made = self._make(name)
        return made if self.sound else None

    def _name(self) -> str | None:
        has = self.node.child
        written = has("distribution")
        if written is not None:
            name = written.content
            if isinstance(name, str) and name in ALLOWED_KEYS:
                return name
            close = did_you_mean(name[:60], ALLOWED_KEYS) if isinstance(name, str) else ""
            message = f"unknown distribution {shown(written.plain())}{close} (allowed: {', '.join(ALLOWED_KEYS)})"
            self._wrong(message, written.place, "distribution")
            return None
        if has("value") is not None:
            return "constant"
        if has("values") is not None:
            return "categorical"
        low, high = has("min"), has("max")
        if low is not None and high is not None:
            whole = all(isinstance(node.content, int) and not isinstance(node.content, bool) for node in (low, high))
            return "int_uniform" if whole else "uniform"
        known = {key for keys in ALLOWED_KEYS.values() for key in keys}
        for key, item in self.node.content.items() if isinstance(self.node.content, dict) else ():
            if key not in known:
                self._wrong(f"unknown field{did_you_mean(key[:60], known)}; {FORMS}", item.key or item.place, key)
                return None
        self._wrong(FORMS, self.node.place)
        return None

    def _make(self, name: str) -> Distribution | None:
        base = name.removeprefix("q_")
        if name == "constant":
            value = self.node.child("value")
            return self._constant(value, "value") if value is not None else self._wrong("is required", key="value")
        if base.startswith("categorical"):
            return self._choice(name)
        q = self._number("q", 1, POSITIVE) if name.startswith("q_") else None
        if base in ("normal", "log_normal", "beta"):
            rules = {"a": POSITIVE, "b": POSITIVE} if base == "beta" else {"mu": FINITE, "sigma": NOT_NEGATIVE}
            shape = {key: float(self._number(key, 0 if key == "mu" else 1, rule)) for key, rule in rules.items()}
            return self._within_range(Quantiles(base, shape, q), name)
        return self._interval(name, base, q)

    def _interval(self, name: str, base: str, q: float | None) -> Distribution | None:
        if self.node.child("min") is None or self.node.child("max") is None:
            return self._wrong("is required", key="min" if self.node.child("min") is None else "max")
        rule = COUNTED if base == "int_uniform" else FINITE
        low, high = self._number("min", 0, rule), self._number("max", 0, rule)
        if not self.sound:
            return None
        if low > high:
            return self._wrong(f"min {low:g} is above max {high:g}", self._place("min"), "min")
        if base == "int_uniform":
            return Integers(int(low), int(high))
        if base.endswith("log_uniform"):  # bounds are exponents of e; inv_: of 1/x
            if max(abs(low), abs(high)) > 300:
                message = f"{name} takes exponents of e; for the values themselves use {name}_values"
                return self._wrong(message, self._place("min"))
            written = low, high
            low, high = (math.exp(-high), math.exp(-low)) if base.startswith("inv") else (math.exp(low), math.exp(high))
            self._warn_of_exponents(name, *written, low, high)
        is_logarithmic = base != "uniform"
        if is_logarithmic and low <= 0:
            return self._wrong("must be greater than 0 on a logarithmic scale", self._place("min"), "min")
        made = self._within_range(Interval(float(low), float(high), is_logarithmic, q), name)
        if q is not None and made is not None:
            first, last = multiples(q, low, high)
            if first > last:
                return self._wrong(f"no multiple of q = {q:g} lies between {low:g} and {high:g}", self._place("q"), "q")
        return made

    def _warn_of_exponents(self, name: str, first: float, last: float, low: float, high: float) -> None:
        """Says what the exponents stand for when they look like the values that are meant."""
        if first > 0 and (last <= 1 or last >= 10 * first):
            self.warnings.append(
                f"{self.label}: {name} takes exponents of e, here and on W&B: these give {low:.6g} to {high:.6g}; "
                f"for {first:g} to {last:g} themselves write {name}_values"
            )

    def _within_range(self, made: Interval | Quantiles, name: str) -> Distribution | None:
        """The distribution, unless its numbers are too large to be told apart by q, or for a computer at all."""
        if not self.sound:
            return None
        try:
            low, high = made.reach()
            fits = math.isfinite(high - low) and max(abs(low), abs(high)) / (made.q or math.inf) <= MOST_MULTIPLES
        except OverflowError:
            fits = False
        return made if fits else self._wrong(f"{name} gives numbers that are too large, or too many multiples of q")

    def _choice(self, name: str) -> Distribution | None:
        values, probabilities = self.node.child("values"), self.node.child("probabilities")
        if values is None:
            return self._wrong("is required", key="values")
        if not isinstance(values.content, list) or not values.content:
            return self._wrong("expected a list of values", values.place, "values")
        parts = [self._part(node, f"values.{index}") for index, node in enumerate(values.content)]
        shares = self._shares(probabilities, len(parts)) if probabilities is not None else None
        if probabilities is None and name.endswith("probabilities"):
            self._wrong("is required", key="probabilities")
        if not self.sound:
            return None
        sound = [part for part in parts if part is not None]
        constants = [part.constant for part in sound if isinstance(part, Constant)]
        return Choice(constants) if shares is None and len(constants) == len(sound) else Mixture(sound, shares)

    def _part(self, node: Node, key: str) -> Distribution | None:
        """One of `values`: a value, or a distribution of its own; `{name: he, distribution: uniform}` is a value."""
        if not isinstance(node.content, dict) or "distribution" not in node.content or "name" in node.content:
            return self._constant(node, key)
        inner = _Form(node, f"{self.label}.{key}", self.problems, self.warnings)
        made = inner.distribution()
        if isinstance(made, Constant | Choice | Mixture):
            return self._wrong("write its values into the list around it", node.place, key)
        self.sound = self.sound and made is not None
        return made

    def _constant(self, node: Node, key: str) -> Distribution | None:
        if _is_finite(node.plain()):
            return Constant(node.plain())
        return self._wrong("holds a number that is not finite", node.place, key)

    def _shares(self, probabilities: Node, count: int) -> list[float]:
        items = probabilities.content if isinstance(probabilities.content, list) else []
        label = f"{self.label}.probabilities"
        shares = [NOT_NEGATIVE.read(each, f"{label}.{index}", self.problems) for index, each in enumerate(items)]
        found = [float(share) for share in shares if share is not None]
        if len(found) != count or not 0.999 < sum(found) < 1.001:
            message = f"expected {count} probabilities, one per value, that add up to 1"
            self._wrong(message, probabilities.place, "probabilities")
        return found

    def _number(self, key: str, default: float, rule: Number) -> float:
        node = self.node.child(key)
        value = default if node is None else rule.read(node, f"{self.label}.{key}", self.problems)
        self.sound = self.sound and value is not None
        return default if value is None else value

    def _place(self, key: str) -> Place:
        return self.node.nearest((key,))[0].place

    def _wrong(self, message: str, place: Place | None = None, key: str | None = None) -> Distribution | None:
        """Notes a problem; always None, which is what an impossible form makes."""
        self.sound = False
        place = place or self.node.key or self.node.place
        self.problems.append(place.problem(f"{self.label}.{key}" if key else self.label, message))
        return None


def _is_finite(value: Value) -> bool:
    if isinstance(value, dict | list):
        return all(map(_is_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)
