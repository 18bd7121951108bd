"""A sweep file: W&B's sweep schema, read with the place of everything wrong in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from nnscratch.config.document import read_yaml
from nnscratch.config.names import EXPECTED, folder_name, is_folder_name
from nnscratch.config.node import Node, Value
from nnscratch.config.numbers import Number
from nnscratch.config.problems import in_order, shown
from nnscratch.config.yaml_core import dump_yaml
from nnscratch.errors import ConfigError, Problem, UsageError, did_you_mean
from nnscratch.report.values import Goal
from nnscratch.sweeps.base_command import parse_command
from nnscratch.sweeps.definition import Metric, SweepDefinition
from nnscratch.sweeps.distributions import Mixture
from nnscratch.sweeps.fitting import fit, with_overrides
from nnscratch.sweeps.hyperband import Hyperband
from nnscratch.sweeps.search_space import Parameter, read_parameters
from nnscratch.training.metrics.known import goal_of, monitorable

COUNT = Number(least=1, whole=True)
MOST_COMBINATIONS = 1_000_000

METHODS = ("grid", "random", "bayes")

_DIRECTIONS = {"maximize": "rise", "minimize": "fall"}

KEYS = (
    "name", "description", "project", "entity", "program", "method", "metric", "parameters", "early_terminate",
    "run_cap", "command",
)  # fmt: skip
TRAINING_KEYS = {"data", "model", "training", "optimizer", "loss"}
NO_LOCAL_MEANING = {
    "apiVersion": "leave it out",
    "kind": "leave it out",
    "controller": "leave it out: `nnscratch sweep` is the controller",
    "scheduler": "use `method: bayes`, which is Optuna's TPE here",
    "job": "name the config in `command`",
    "image_uri": "name the config in `command`",
    "metrics": "use `metric`: one figure decides",
}


def load_sweep(
    path: Path, count: int | None = None, allow_plugins: bool = False, overrides: Sequence[str] = ()
) -> SweepDefinition:
    """The sweep in a file; `count` in place of its run_cap, `overrides` for every trial's config.

    With the user's consent, the plugins that its config names are imported. Raises ConfigError with every problem.
    """
    return fit(with_overrides(_Reader(path, read_yaml(path).root, allow_plugins).definition(count), overrides))


def written_out(definition: SweepDefinition, more: Sequence[str] = (), name: str | None = None) -> Value:
    """The file as it is, with a name of its own and more words at the end of the command, where they count most."""
    sweep = read_yaml(definition.path).value
    if not isinstance(sweep, dict):
        return sweep
    if name is not None and name != sweep.get("name"):
        sweep = {"name": name, **{key: value for key, value in sweep.items() if key != "name"}}
    if more and isinstance(words := sweep["command"], list):
        sweep["command"] = [*words, *more]
    return sweep


def copy_of(definition: SweepDefinition) -> bytes | str:
    """A sweep file that goes on with this sweep by itself: the file, or what the command line made of it."""
    sweep = written_out(definition, definition.overrides, definition.name)
    if sweep == read_yaml(definition.path).value:
        return definition.path.read_bytes()
    return f"# {definition.path.name}, with what the command line changed\n{dump_yaml(sweep)}"


class _Reader:
    """Collects values and problems from the nodes of a sweep file."""

    def __init__(self, path: Path, root: Node, allow_plugins: bool) -> None:
        self.path, self.root, self.allow_plugins = path, root, allow_plugins
        self.problems: list[Problem] = []

    def definition(self, count: int | None) -> SweepDefinition:
        root = self.root
        if not isinstance(root.content, dict):
            raise ConfigError([root.place.problem("", "is not a sweep: expected `method:`, `metric:`, `parameters:`")])
        if TRAINING_KEYS & root.content.keys() and not {"method", "metric", "parameters"} & root.content.keys():
            message = f"{self.path} is a training config; a sweep has method, metric, parameters, command"
            raise UsageError(message, "see configs/sweep.yaml")
        for key, node in root.content.items():
            if key in NO_LOCAL_MEANING:
                self._wrong((node.key or node.place).problem(key, f"has no meaning here; {NO_LOCAL_MEANING[key]}"))
            elif key not in KEYS:
                message = f"unknown field{did_you_mean(key[:60], KEYS)} (allowed: {', '.join(KEYS)})"
                self._wrong((node.key or node.place).problem(key, message))
        method = self._one_of(root, "method", METHODS)
        command = parse_command(root, self.problems, self.allow_plugins)  # then plugins are known
        metric = self._metric()
        warnings: list[str] = []
        parameters = read_parameters(root, self.problems, warnings)
        early_terminate = self._hyperband()
        run_cap = count if count is not None else self._count(root, "run_cap")
        name = self._text(root, "name")
        name = folder_name(self.path.stem, "sweep") if name is None else name
        if not is_folder_name(name):
            self._wrong(root.nearest(("name",))[0].place.problem("name", EXPECTED))
        self._text(root, "description")
        self._fits(method, parameters, run_cap)
        if self.problems or command is None or method is None or metric is None:
            raise ConfigError(in_order(self.problems))
        return SweepDefinition(
            self.path, name, method, metric, parameters, command, run_cap, early_terminate,
            self._text(root, "project"), self._text(root, "entity"), (), tuple(warnings),
        )  # fmt: skip

    def _fits(self, method: str | None, parameters: tuple[Parameter, ...], run_cap: int | None) -> None:
        """What a method needs."""
        if method == "grid":
            for parameter in parameters:
                if parameter.distribution.size() is None:
                    message = "a grid needs `values`, `value`, integer `min` and `max`, or q_uniform; or use random"
                    self._wrong(parameter.place.problem(parameter.label, message))
            combinations = math.prod(parameter.distribution.size() or 1 for parameter in parameters)
            if combinations > MOST_COMBINATIONS:
                message = f"make a grid of {combinations:,} combinations; at most {MOST_COMBINATIONS:,}, or use random"
                self._wrong(self.root.nearest(("parameters",))[0].place.problem("parameters", message))
        elif method is not None and run_cap is None and self.root.child("run_cap") is None:
            message = f"is required: {method} has no end of its own; write the number of trials, or give --count"
            self._wrong(self.root.place.problem("run_cap", message))
        for parameter in parameters:
            mixture = parameter.distribution
            if method in ("grid", "bayes") and isinstance(mixture, Mixture) and mixture.probabilities is not None:
                message = f"probabilities belong to `method: random`; {method} makes its own choice"
                self._wrong(parameter.place.problem(parameter.label, message))

    def _metric(self) -> Metric | None:
        node = self.root.child("metric")
        if node is None:
            self._wrong(self.root.place.problem("metric", "is required, such as {name: val_accuracy, goal: maximize}"))
            return None
        if not self._is_mapping(node, "metric", ("name", "goal", "target"), {
            "impute": "leave it out: a failed trial is not used, a diverged one counts as the worst",
            "impute_while_running": "leave it out: running trials are taken into account",
        }):  # fmt: skip
            return None
        name = self._one_of(node, "name", ("train_loss", "train_accuracy", *monitorable()), "metric.")
        goal = self._one_of(node, "goal", ("maximize", "minimize"), "metric.") if node.child("goal") else "minimize"
        target = self._number(node, "target", Number(), "metric.")
        if name is None or goal is None:
            return None
        wanted: Goal = "maximize" if goal == "maximize" else "minimize"
        if wanted != goal_of(name):
            place = node.nearest(("goal",))[0].place
            self._wrong(place.problem("metric.goal", f"{wanted} {name}? it is to {_DIRECTIONS[goal_of(name)]}"))
        return Metric(name, wanted, target, node.nearest(("name",))[0].place)

    def _hyperband(self) -> Hyperband | None:
        node = self.root.child("early_terminate")
        if node is None or not self._is_mapping(
            node, "early_terminate", ("type", "min_iter", "max_iter", "s", "eta", "strict"), {}
        ):
            return None
        prefix = "early_terminate."
        if self._one_of(node, "type", ("hyperband",), prefix) is None:
            return None
        min_iter, max_iter, s = (self._count(node, key, prefix) for key in ("min_iter", "max_iter", "s"))
        eta = self._number(node, "eta", Number(above=1), prefix)
        strict = node.child("strict")
        if strict is not None and not isinstance(strict.content, bool):
            self._wrong(strict.place.problem(prefix + "strict", f"expected true or false, got {shown(strict.plain())}"))
        if eta is None and node.child("eta") is not None:
            return None
        if (min_iter is None) == (max_iter is None) or (max_iter is not None and s is None):
            self._wrong(node.place.problem("early_terminate", "needs min_iter, or max_iter and s"))
            return None
        is_strict = strict is not None and strict.content is True
        band = Hyperband(min_iter=min_iter, max_iter=max_iter, s=s, eta=3.0 if eta is None else eta, strict=is_strict)
        if not band.bands(1):
            self._wrong(node.place.problem("early_terminate", "has no epoch to stop at: use a larger max_iter"))
        return band

    def _is_mapping(self, node: Node, path: str, keys: tuple[str, ...], refused: dict[str, str]) -> bool:
        if not isinstance(node.content, dict):
            self._wrong(node.place.problem(path, f"expected a mapping, got {shown(node.plain())}"))
            return False
        for key, item in node.content.items():
            if key in refused:
                self._wrong((item.key or item.place).problem(f"{path}.{key}", f"has no meaning here; {refused[key]}"))
            elif key not in keys:
                message = f"unknown field{did_you_mean(key[:60], keys)} (allowed: {', '.join(keys)})"
                self._wrong((item.key or item.place).problem(f"{path}.{key}", message))
        return True

    def _one_of(self, node: Node, key: str, allowed: tuple[str, ...], prefix: str = "") -> str | None:
        item = node.child(key)
        if item is None:
            self._wrong(node.place.problem(prefix + key, f"is required (allowed: {', '.join(allowed)})"))
            return None
        if isinstance(item.content, str) and item.content in allowed:
            return item.content
        close = did_you_mean(item.content[:60], allowed) if isinstance(item.content, str) else ""
        message = f"expected {' or '.join(allowed)}, got {shown(item.plain())}{close}"
        self._wrong(item.place.problem(prefix + key, message))
        return None

    def _text(self, node: Node, key: str) -> str | None:
        item = node.child(key)
        if item is None or isinstance(item.content, str):
            return None if item is None else str(item.content)
        problem = item.place.problem(key, f"expected text, got {shown(item.plain())}")
        if problem not in self.problems:
            self._wrong(problem)
        return None

    def _number(self, node: Node, key: str, rule: Number, prefix: str = "") -> float | None:
        item = node.child(key)
        return None if item is None else rule.read(item, prefix + key, self.problems)

    def _count(self, node: Node, key: str, prefix: str = "") -> int | None:
        count = self._number(node, key, COUNT, prefix)
        return None if count is None else int(count)

    def _wrong(self, problem: Problem) -> None:
        self.problems.append(problem)
