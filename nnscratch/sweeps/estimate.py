"""`sweep --dry-run`: how many trials and epochs a sweep has, and about how long it takes; nothing is written."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nnscratch.config.assembly import assemble
from nnscratch.config.config import Config
from nnscratch.config.data import load_dataset
from nnscratch.config.node import Value
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import ConfigError, UserError
from nnscratch.experiment.dry_run import refuse_to_unpack
from nnscratch.experiment.timing import seconds_per_epoch
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.report.formats import count, duration, setting
from nnscratch.runs.starting import with_whole_path
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.fitting import require_accuracy
from nnscratch.sweeps.sampling import suggest

MOST_LOADED, MOST_TIMED, MOST_REFUSED = 200, 5, 5
SECONDS_EACH = 1.0


@dataclass(frozen=True)
class SweepEstimate:
    """What a sweep will come to. Its time is that of a few of its trials, by some steps of each."""

    name: str
    method: str
    config: str
    trials: int
    epochs: int
    timed: int
    """How many trials the time is from."""
    seconds: float | None
    workers: int
    ends_early: bool
    """Whether trials may be stopped before their last epoch."""
    refused: Sequence[tuple[dict[str, Value], str]] = ()
    """Of the trials that were tried, those that cannot be trained, by their values, and why."""
    failure = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "name": self.name,
            "method": self.method,
            "config": self.config,
            "trials": self.trials,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "workers": self.workers,
            "refused": [{"parameters": values, "reason": why} for values, why in self.refused],
        }

    def to_text(self) -> str:
        """A few lines for people."""
        most = "at most " if self.ends_early else ""
        workers = f", {self.workers} at a time" if self.workers > 1 else ""
        time_needed = (
            f"about {most}{duration(self.seconds)} on this machine{workers}, from steps of {self.timed} of the trials"
            if self.seconds is not None
            else "how long it takes is not known: none of the trials that were tried can be trained"
        )
        return "\n".join(
            [
                f"{self.name}: {self.method}, {count(self.trials)} trials of {self.config}",
                f"{most}{count(self.epochs)} epochs in all",
                time_needed,
                *self._refused_lines(),
                "nothing was written",
            ]
        )

    def _refused_lines(self) -> Iterator[str]:
        for values, why in self.refused[:MOST_REFUSED]:
            chosen = "  ".join(f"{path} {setting(value)}" for path, value in values.items())
            yield f"cannot be trained: {chosen}: {why}"
        if len(self.refused) > MOST_REFUSED:
            yield f"nor can {len(self.refused) - MOST_REFUSED} more of those that were tried"


def estimate(
    definition: SweepDefinition, seed: int, workers: int, workplace: Workplace, display: Display
) -> SweepEstimate:
    """What the sweep will come to from its very start. Raises UserError when its data is not there."""
    base = with_whole_path(definition.command.load(), workplace.runs_dir)
    refuse_to_unpack(base, workplace.data_dir)
    dataset = load_dataset(base, workplace.data_dir, display.say, display.download, download=False)
    require_accuracy(definition, dataset)
    total = definition.trials
    values = _values(definition, seed, total)
    loaded = [(each, _config(definition, each)) for each in values]
    configs = [(each, config) for each, config in loaded if isinstance(config, Config)]
    refused = [(each, why) for each, why in loaded if isinstance(why, str)]
    threads = max(1, machine.choose_threads(workplace.threads) // workers)
    timed = []
    for each, config in _evenly(configs, MOST_TIMED):
        seconds = _seconds_per_epoch(config, base, dataset, threads, workplace, display)
        if isinstance(seconds, str):
            refused.append((each, seconds))
        else:
            timed.append(seconds)
    mean = sum(timed) / len(timed) if timed else None
    epochs = round(sum(_epochs(config, mean) for _, config in configs) * total / len(values))
    return SweepEstimate(
        name=definition.name,
        method=definition.method,
        config=str(definition.command.config),
        trials=total,
        epochs=epochs,
        timed=len(timed),
        seconds=None if mean is None else mean * epochs / min(workers, total),
        workers=workers,
        ends_early=definition.early_terminate is not None,
        refused=refused,
    )


def _epochs(config: Config, seconds: float | None) -> float:
    """How many epochs a trial has, when one takes so long."""
    minutes = config.training.minutes
    return config.training.epochs if minutes is None or not seconds else max(1.0, 60 * minutes / seconds)


def _values(definition: SweepDefinition, seed: int, total: int) -> list[dict[str, Value]]:
    """What up to MOST_LOADED trials try; a Bayesian search is taken for the random one that it begins as."""
    if definition.method == "grid":
        return _evenly(list(itertools.islice(definition.grid(), total)), MOST_LOADED)
    as_random = replace(definition, method="random")
    return [suggest(as_random, seed, number, []).values for number in range(min(total, MOST_LOADED))]


def _config(definition: SweepDefinition, values: dict[str, Value]) -> Config | str:
    """The config of a trial; why it fails at once when its values do not go together."""
    try:
        return definition.command.load(definition.changes(values))
    except ConfigError as error:
        return _why(error)


def _why(error: UserError) -> str:
    problems = error.problems if isinstance(error, ConfigError) else []
    return f"{problems[0].path}: {problems[0].message}" if problems else error.message.splitlines()[0]


def _evenly(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the items, from all over them."""
    if len(items) <= most:
        return list(items)
    return [items[(2 * k + 1) * len(items) // (2 * most)] for k in range(most)]


def _seconds_per_epoch(
    config: Config, base: Config, dataset: Dataset, threads: int, workplace: Workplace, display: Display
) -> float | str:
    """From steps of about a second; why, when the trial cannot be trained."""
    try:
        if (config.data.dataset, config.data.path) != (base.data.dataset, base.data.path):
            dataset = load_dataset(config, workplace.data_dir, display.detail, display.download, download=False)
        epochs = config.training.epochs
        return seconds_per_epoch(assemble(config, dataset), threads, SECONDS_EACH) if epochs else 0.0
    except UserError as error:
        return _why(error)
    except MemoryError:
        return "its network is larger than the memory"
