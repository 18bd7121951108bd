"""Whether the trials of a sweep differ in nothing but what it varies, and are rated alike."""

from __future__ import annotations

from collections.abc import Iterator

from nnscratch.sweeps.definition import SweepDefinition


def unlike_losses(definition: SweepDefinition) -> Iterator[str]:
    """That trials are compared by losses which are not one, if they are."""
    metric = definition.metric.name
    varied = [each.path for each in definition.parameters if len(each.distribution.examples()) > 1]
    of_loss = [path for path in varied if path.split(".")[0] == "loss"]
    if of_loss and metric in ("train_loss", "val_loss"):
        yield (
            f"{metric} is another loss for every {of_loss[0]}: a smaller one says nothing of the network; rate trials "
            "by what is the same for all, such as val_accuracy, val_log_loss or val_root_mean_squared_error"
        )


def unlike_seeds(definition: SweepDefinition) -> Iterator[str]:
    """That every trial has another seed, where the sweep does not say which."""
    if not any(each.path == "seed" for each in definition.parameters):
        yield (
            "every trial has a seed of its own, and so its own start and validation split; with "
            "`seed: {value: 42}` among the parameters all have that one"
        )
