"""What to try against what goes wrong in a training, in the words of a config."""

from __future__ import annotations

from collections.abc import Mapping

from nnscratch.training.diagnosis.findings import Finding, Remedy

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
    "less l2": "less l2",
    "balanced classes": "loss: {name: cross_entropy, class_weights: balanced}",
    "linear outputs": "model.output: linear, or no layer after the last dense one",
    "targets that fit inputs": "checking that targets fit inputs",
    "labels that fit inputs": "checking that labels belong to their inputs: they look shuffled",
    "gradient check": "`nnscratch gradcheck` on the configuration, which names the array",
}

AGAINST_DIVERGENCE = "try a smaller optimizer.learning_rate, training.clip_norm=1, or data.scaling=standardize"
"""On the command line, as overrides."""


def advice(finding: Finding) -> str:
    """What to try: `a smaller optimizer.learning_rate, or training.clip_norm: 1`."""
    *others, last = (REMEDIES[remedy] for remedy in finding.remedies)
    return ", ".join([*others, f"or {last}" if others else last])


def sentence(finding: Finding) -> str:
    """All of the finding in one line."""
    place = f" in {finding.layer}" if finding.layer else ""
    return f"{finding.problem}{place}: {finding.evidence}; try {advice(finding)}"
