"""What to try against what goes wrong in a training, in the words of a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nnscratch.training.diagnosis.findings import Finding, Remedy, Setting

if TYPE_CHECKING:
    from nnscratch.config.config import Config

REMEDIES: Mapping[Remedy, str] = {
    "standardized inputs": "data.scaling: standardize",
    "standardized targets and inputs": "data.target_scaling: standardize, and data.scaling: standardize",
    "smaller starting weights": "a smaller weight_init: the first outputs are too large",
    "he initialization": "weight_init: he",
    "xavier initialization": "weight_init: xavier",
    "smaller learning rate": "a smaller optimizer.learning_rate",
    "smaller learning rate at the start": "a smaller optimizer.learning_rate: its first updates were so large that the "
    "units died",
    "learning rate 3 to 10 times smaller": "an optimizer.learning_rate 3 to 10 times smaller",
    "far smaller learning rate": "a far smaller optimizer.learning_rate",
    "larger learning rate": "a larger optimizer.learning_rate",
    "another learning rate": "another optimizer.learning_rate",
    "warm-up": "a warm-up",
    "warm-up and cosine": "schedule: {name: cosine, warmup_epochs: 1}",
    "clipping": "training.clip_norm: 1",
    "relu": "activation: relu",
    "relu instead of sigmoid": "relu instead of sigmoid",
    "relu instead of tanh": "relu instead of tanh",
    "leaky relu": "activation: leaky_relu",
    "batch norm": "batch_norm",
    "residual layers": "residual layers",
    "fewer layers": "fewer layers",
    "smaller network": "a smaller network",
    "larger network": "a larger network",
    "more epochs": "more epochs",
    "early stopping": "training.early_stopping",
    "more data": "more data",
    "augmentation": "data.augment",
    "dropout": "dropout",
    "l2": "l2",
    "less l2": "a smaller l2",
    "less dropout": "a lower rate of dropout",
    "less clipping": "a larger training.clip_norm: it shortens nearly every gradient",
    "trained layers": "leaving out `frozen` in some layer",
    "balanced classes": "loss: {name: cross_entropy, class_weights: balanced}",
    "linear outputs": "model.output: linear, or no layer after the last dense one",
    "targets that fit inputs": "checking that targets fit inputs",
    "labels that fit inputs": "checking that labels belong to their inputs (they look shuffled, or have hardly any "
    "relation to them)",
    "gradient check": "`nnscratch gradcheck` on the configuration, which names the array",
    "weights written in place": "in an optimizer of one's own `theta -= ...` or `theta[...] = ...` in place of "
    "`theta = ...`, which binds a name and changes no weight",
}

AGAINST_DIVERGENCE: Mapping[Remedy, str] = {
    "smaller learning rate": "a smaller optimizer.learning_rate",
    "clipping": "training.clip_norm=1",
    "standardized inputs": "data.scaling=standardize",
}
"""On the command line, as overrides."""


def of_config(setting: Setting, config: Config) -> Setting:
    """The setting with what the config says of it."""
    rate = config.optimizer.fields.get("learning_rate")
    return replace(
        setting,
        learning_rate=float(rate) if isinstance(rate, int | float) and rate else None,
        clip_norm=config.training.clip_norm,
        starts_trained=config.model.start_from is not None,
        taken=taken(config),
    )


def taken(config: Config) -> frozenset[Remedy]:
    """The remedies that the config has taken already."""
    training, data = config.training, config.data
    is_standardized, warmup = data.scaling.name == "standardize", config.schedule.fields.get("warmup_epochs")
    own: dict[Remedy, bool] = {
        "standardized inputs": is_standardized,
        "standardized targets and inputs": is_standardized and data.target_scaling == "standardize",
        "warm-up": bool(warmup),
        "warm-up and cosine": bool(warmup) and config.schedule.name == "cosine",
        "clipping": training.clip_norm is not None and training.clip_norm <= 1,
        "early stopping": training.early_stopping is not None,
        "augmentation": bool(data.augment),
        "l2": bool(config.l2.strength or config.optimizer.fields.get("weight_decay")),
        "balanced classes": config.loss.fields.get("class_weights") == "balanced",
    }
    return frozenset(remedy for remedy, has in own.items() if has)


def against_divergence(config: Config) -> str:
    """What to try where a training diverged, of what the config does not do already."""
    has = taken(config)
    return "try " + _alternatives([words for remedy, words in AGAINST_DIVERGENCE.items() if remedy not in has])


def advice(finding: Finding) -> str:
    """What to try: `a smaller optimizer.learning_rate, or training.clip_norm: 1`."""
    return _alternatives([REMEDIES[remedy] for remedy in finding.remedies])


def _alternatives(words: Sequence[str]) -> str:
    *others, last = words
    return ", ".join([*others, f"or {last}" if others else last])


def sentence(finding: Finding) -> str:
    """All of the finding in one line."""
    place = f" in {finding.layer}" if finding.layer else ""
    return f"{finding.problem}{place}: {finding.evidence}; try {advice(finding)}"
