"""Every picture of a run, drawn from its files and its network into plots/."""

from __future__ import annotations

import numpy as np

from nnscratch.datasets.dataset import Dataset
from nnscratch.experiment.assembly import Splits
from nnscratch.experiment.config import Config
from nnscratch.experiment.display import Display
from nnscratch.experiment.run_directory import RunDirectory
from nnscratch.nn.network import Network
from nnscratch.training.scaling import Affine


def draw_run(
    run: RunDirectory,
    network: Network,
    affine: Affine,
    splits: Splits,
    dataset: Dataset,
    config: Config,
    display: Display,
) -> None:
    """Curves, and what the network at its best makes of some test images."""
    from nnscratch.report.curves import curves
    from nnscratch.report.samples import predictions

    history = run.read_history()
    curves(history, run.plots / "curves.png", title=run.name)
    examples = splits.test or splits.validation or splits.train
    if dataset.classes is not None and len(dataset.input_shape) == 3:
        rows = examples.rows[:32]
        x = affine.apply(examples.inputs[rows], np.empty((len(rows), *dataset.input_shape), np.float32))
        y = network.forward(x)
        p = np.exp(y - y.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        predictions(
            examples.inputs[rows],
            examples.targets[rows],
            p.argmax(1),
            p.max(1),
            dataset.classes,
            run.plots / "predictions.png",
            title=f"{run.name}: test images",
        )
    display.say(f"plots in {run.plots}")
