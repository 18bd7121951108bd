"""What a sweep is: the method, the metric, the parameters, the config that they change."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path

from nnscratch.config.node import Place, Value
from nnscratch.config.override import override
from nnscratch.errors import ConfigError, Problem
from nnscratch.report.values import Goal
from nnscratch.sweeps.base_command import BaseCommand
from nnscratch.sweeps.distributions import Choice, Constant
from nnscratch.sweeps.hyperband import Hyperband
from nnscratch.sweeps.search_space import Parameter


@dataclass(frozen=True)
class Metric:
    """The logged value that is optimised; `target` is good enough to start no further trial."""

    name: str
    goal: Goal
    target: float | None = None
    place: Place | None = field(default=None, compare=False)

    def problem(self, message: str) -> Problem:
        """What is wrong with it, where the sweep file names it."""
        return Problem("metric.name", message) if self.place is None else self.place.problem("metric.name", message)

    def is_better(self, value: float, than: float) -> bool:
        return value > than if self.goal == "maximize" else value < than

    def best(self, values: Iterable[float]) -> float | None:
        """The best of the finite values."""
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            return None
        return max(finite) if self.goal == "maximize" else min(finite)

    def is_reached(self, value: float) -> bool:
        return self.target is not None and (value == self.target or self.is_better(value, self.target))


@dataclass(frozen=True)
class SweepDefinition:
    """What a sweep file says, and what its config makes of that."""

    path: Path
    name: str
    method: str
    metric: Metric
    parameters: tuple[Parameter, ...]
    command: BaseCommand
    run_cap: int | None = None
    early_terminate: Hyperband | None = None
    project: str | None = None
    entity: str | None = None
    overrides: tuple[str, ...] = ()
    """Those of the command's overrides that were given beside the file."""
    warnings: tuple[str, ...] = ()
    """What may not be meant."""
    monitor: str | None = None
    """What a trial keeps its best weights by, where neither its config nor its values say: the metric."""
    notes: tuple[str, ...] = ()
    """What the choice of a component keeps, drops or leaves out in a trial."""
    _left_out: dict[str, set[str]] = field(default_factory=dict, init=False, compare=False, repr=False)
    _texts: dict[tuple[str, str], str] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def constants(self) -> dict[str, Value]:
        """The parameters that have one value for every trial, by path."""
        return {
            each.path: each.distribution.constant for each in self.parameters if isinstance(each.distribution, Constant)
        }

    def unlike(self, trials: Sequence[Mapping[str, Value]]) -> dict[str, list[int]]:
        """Which trials, made before the search was extended, have not the constant that all have now, by its path."""
        found: dict[str, list[int]] = {}
        for path, constant in self.constants.items():
            is_new: dict[str, bool] = {}
            """By the components of a trial: whether the constant differs from what the config had there."""
            for number, values in enumerate(trials):
                names = self._names(values)
                if path not in values and names not in is_new:
                    is_new[names] = not self._is_same({**values, path: constant}, values)
                if values[path] != constant if path in values else is_new[names]:
                    found.setdefault(path, []).append(number)
        return found

    def beside_the_grid(self, trials: Sequence[Mapping[str, Value]]) -> int:
        """How many trials, made before a grid was extended, are no combination of it as it is now, or one once more."""
        if self.method != "grid" or not trials:
            return 0
        tried = [self.point(values) for values in trials]
        return len(tried) - len({self.point(values) for values in self.grid()}.intersection(tried))

    def changes(self, values: Mapping[str, Value]) -> tuple[str, ...]:
        """The overrides that make the base config that of a trial with these values, but for its seed."""
        changes = tuple(starmap(override, values.items()))
        if self.monitor is not None and self.command.load(changes).training.monitor is None:
            return (*changes, override("training.monitor", self.monitor))
        return changes

    def point(self, values: Mapping[str, Value]) -> str:
        """A combination as text: one text for values that are one to the config, as 0 and 0.0, or relu and its name."""
        return json.dumps({path: self._text(path, values) for path in sorted(values)})

    def _text(self, path: str, values: Mapping[str, Value]) -> str:
        value, key = values[path], (path, _text(values[path]))
        if key not in self._texts:
            choices = [each.distribution for each in self.parameters if each.path == path]
            written = choices[0].values if choices and isinstance(choices[0], Choice) else ()
            same = (
                each
                for each in written
                if not (_is_number(each) and _is_number(value)) and self._is_same({**values, path: each}, values)
            )
            self._texts[key] = key[1] if key[1] in map(_text, written) else _text(next(same, value))
        return self._texts[key]

    def _is_same(self, left: Mapping[str, Value], right: Mapping[str, Value]) -> bool:
        """Whether two combinations are one to the config."""
        try:
            first, second = (self.command.load(tuple(starmap(override, each.items()))) for each in (left, right))
        except ConfigError:
            return False
        return first == second

    @property
    def trials(self) -> int:
        """How many trials it has from its very start to its end."""
        size = self.grid_size() if self.method == "grid" else None
        return min(each for each in (size, self.run_cap) if each is not None)

    def fitting(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Those of a trial's values that the components it chooses have a field for."""
        names = self._names(values)
        if names not in self._left_out:
            paths = {override(path, value): path for path, value in values.items()}
            out = self.command.left_out(tuple(paths)) if names != "{}" else []
            self._left_out[names] = {paths[text] for text in out}
        return {path: value for path, value in values.items() if path not in self._left_out[names]}

    @staticmethod
    def _names(values: Mapping[str, Value]) -> str:
        """The components that a trial's values choose, as text."""
        return json.dumps({path: value for path, value in values.items() if path.endswith(".name")})

    def grid(self) -> Iterator[dict[str, Value]]:
        """Every combination once, in the file's order: the last parameter changes fastest."""
        paths = [parameter.path for parameter in self.parameters]
        axes = [parameter.distribution.grid() for parameter in self.parameters]
        for positions in itertools.product(*(range(len(axis)) for axis in axes)):
            values = {path: axis[at] for path, axis, at in zip(paths, axes, positions, strict=True)}
            fitting = self.fitting(values)
            # What a component has no field for makes no difference: only its first value is gone through.
            if all(at == 0 for path, at in zip(paths, positions, strict=True) if path not in fitting):
                yield fitting

    def grid_size(self) -> int:
        """How many combinations a grid has."""
        names = [parameter for parameter in self.parameters if parameter.path.endswith(".name")]
        others = [parameter for parameter in self.parameters if parameter not in names]
        values = {parameter.path: parameter.distribution.examples()[0] for parameter in self.parameters}
        size = 0
        for positions in itertools.product(*(range(parameter.distribution.size() or 0) for parameter in names)):
            chosen = list(zip(names, positions, strict=True))
            fitting = self.fitting(values | {each.path: each.distribution.grid()[at] for each, at in chosen})
            if all(at == 0 for each, at in chosen if each.path not in fitting):
                size += math.prod(each.distribution.size() or 0 for each in others if each.path in fitting)
        return size


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def rated_by_another(metric: str) -> str:
    """What to know where the weights that a trial keeps are not those that it is rated by."""
    return f"trials are rated by their best {metric}; the weights they keep are those that training.monitor calls best"


def _text(value: Value) -> str:
    """A value as text, with whole numbers written as such."""
    match value:
        case float() if value.is_integer():
            return str(int(value))
        case list():
            return f"[{', '.join(map(_text, value))}]"
        case dict():
            return f"{{{', '.join(f'{json.dumps(key)}: {_text(value[key])}' for key in sorted(value))}}}"
        case _:
            return json.dumps(value)
