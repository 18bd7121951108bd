"""nnscratch from Python: `load` a trained network, or `train` one; `import nnscratch` offers both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from nnscratch.errors import UsageError
from nnscratch.host.workplace import DEFAULT_DATA, DEFAULT_RUNS, Workplace
from nnscratch.results.model import Model as Model
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.loaded import load_run
from nnscratch.runs.names import find_run

PathText = str | os.PathLike[str]
PATH = (str, os.PathLike)


def load(
    run: PathText, checkpoint: str = "best", *, runs_dir: PathText = DEFAULT_RUNS, allow_plugins: bool = False
) -> Model:
    """The trained network of a run: a folder, the name of one in `runs_dir`, or `last`.

    `checkpoint` is best, last or a file of the run. Only NumPy is imported, and nothing of the run is executed; with
    `allow_plugins` the Python files are that its config names, as they were trained with. Raises UserError when there
    is no such run, or when it is damaged.

    >>> import nnscratch
    >>> model = nnscratch.load("runs/shapes")
    >>> model.classes[:3]
    ('arrow', 'circle', 'crescent')
    >>> import numpy as np
    >>> pictures = np.zeros((2, 32, 32, 3), np.uint8)
    >>> model.predict(pictures).shape
    (2,)
    >>> p = model.probabilities(pictures)
    >>> p.shape, bool(np.allclose(p.sum(axis=1), 1))
    ((2, 10), True)
    >>> print(model.network)
    layer      output  parameters  MFLOP
    0.flatten  3072             0  0.000
    1.dense    8           24,584  0.049
    2.relu     8                0  0.000
    3.dense    10              90  0.000
    in all                 24,674  0.049
    """
    _require("run", run, PATH, "a folder, or the name of a run")
    _require("runs_dir", runs_dir, PATH, "a folder")
    path = find_run(Path(run), Path(runs_dir))
    if allow_plugins:
        from nnscratch.runs.kept_plugins import import_plugins

        import_plugins(path)
    return TrainedRun(path).load(checkpoint)


@dataclass(frozen=True)
class TrainedRun:
    """A run's folder, and what is in it."""

    path: Path

    def load(self, checkpoint: str = "best") -> Model:
        """The trained network."""
        _require("checkpoint", checkpoint, PATH, "best, last or a file of the run")
        loaded = load_run(self.path, checkpoint)
        if recorded := loaded.run.read_meta().plugins:
            from nnscratch.runs.kept_plugins import require_as_trained

            require_as_trained(loaded.run.path, recorded)
        return Model(loaded)

    @property
    def history(self) -> list[dict[str, float]]:
        """A row for each epoch: train_loss, val_accuracy, learning_rate, ..."""
        return RunDirectory.open(self.path).read_history()

    @property
    def test(self) -> dict[str, float]:
        """test_loss and test_accuracy, or test_r2 and the like, of the best weights; empty without a test split."""
        return RunDirectory.open(self.path).read_test()


def train(
    config: PathText | Mapping[str, Any],
    *,
    runs_dir: PathText = DEFAULT_RUNS,
    data_dir: PathText | None = None,
    threads: int | None = None,
    plots: bool = True,
    quiet: bool = False,
    allow_plugins: bool = False,
    **overrides: Any,
) -> TrainedRun:
    """Trains what a config describes (a YAML file, or a dict of its fields), and gives the run.

    `overrides` set fields of the config: `seed=1`, `optimizer={"learning_rate": 3e-4}`, or by their dotted paths
    `**{"optimizer.learning_rate": 3e-4}`; a component with its name, `optimizer={"sgd": {"momentum": 0.9}}`, takes the
    place of the whole. What they, the run's folder and the rest mean is as for `nnscratch train`.
    Raises ConfigError with everything that is wrong, and DivergenceError and Interrupted once what there is, is saved.

    >>> import nnscratch
    >>> run = nnscratch.train("configs/smoke.yaml", training={"epochs": 2}, plots=False, quiet=True)
    >>> len(run.history), sorted(run.test)
    (2, ['epoch', 'test_accuracy', 'test_loss'])
    >>> model = run.load()
    >>> len(model.classes)
    10
    """
    from nnscratch.config.config import Config, config_from_mapping, load_config
    from nnscratch.config.override import overrides_of
    from nnscratch.experiment.train import train as train_config
    from nnscratch.host.display import Display
    from nnscratch.host.machine import blas_threads_kept

    _require("config", config, (*PATH, Mapping), "a YAML file, or a dict of its fields")
    _require("runs_dir", runs_dir, PATH, "a folder")
    _require("data_dir", data_dir, (*PATH, type(None)), "a folder")
    _require("threads", threads, (Integral, type(None)), "a whole number")
    display = Display(json=quiet, quiet=quiet)  # results then go to standard error
    if allow_plugins and isinstance(config, Mapping):
        from nnscratch.config import plugins
        from nnscratch.config.node import node_from_value

        plugins.import_plugins(node_from_value(config, "config"), Path(), {})
    elif allow_plugins and not isinstance(config, Mapping):
        from nnscratch.runs.kept_plugins import import_plugins

        import_plugins(Path(config))
    changes = [change for path, value in overrides.items() for change in overrides_of(path, value, Config)]
    if isinstance(config, Mapping):
        parsed = config_from_mapping(config, overrides=changes, tell=display.say)
    else:
        parsed = load_config(Path(config), changes, display.say)
    data = Path(data_dir or os.environ.get("NNSCRATCH_DATA_DIR") or DEFAULT_DATA)
    workplace = Workplace(data, Path(runs_dir), None if threads is None else int(threads), plots)
    with blas_threads_kept():
        return TrainedRun(train_config(parsed, workplace, display).run.absolute())


def _require(argument: str, value: object, kinds: tuple[type, ...], expected: str) -> None:
    """Raises UsageError when the argument is of no such kind."""
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise UsageError(f"{argument}={value!r:.60}: expected {expected}")
