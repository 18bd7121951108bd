"""The config that `nnscratch init` writes: small, complete, and commented."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnscratch.datasets.report import DataReport
from nnscratch.errors import UsageError, UserError, cause
from nnscratch.files import write_atomically
from nnscratch.results.data_text import whole_report_text

STARTER = """\
# An nnscratch config. Train it:        nnscratch train FILE
# Look before you train:                nnscratch train FILE --dry-run
# Change one value for one run:         nnscratch train FILE optimizer.learning_rate=3e-4
# What may stand here, for your editor: nnscratch schema > schema.json

seed: 42                      # equal seeds give equal runs

data:
  dataset: shapes             # built in; or cifar10, mnist, fashion_mnist, or your own: csv, npz, image_folder
  # path: data/mine           # folder or file of your own data
  validation: 0.1             # share of the training data that chooses the best epoch; the test data never does
  scaling: standardize        # mean 0 and variance 1 per input, the fastest to learn from; or unit (0 to 1), none
  # limit: 1000               # only so many examples, of every class its share, to try things out in seconds

model:                        # sizes of inputs and outputs come from the data
  hidden_layers: [256, 128]   # one number per dense layer; [] is a linear model
  activation: relu            # without it any depth is a linear model; or gelu, silu, tanh, leaky_relu, sigmoid
  weight_init: he             # keeps the signal's size through relu layers; xavier suits tanh and sigmoid

  # Or every layer in order, for anything but a plain network (instead of the three lines above):
  # layers:
  #   - flatten
  #   - dense: 256
  #   - relu
  #   - dense                 # as many outputs as the data has classes

loss: cross_entropy           # for classes, softmax included; mean_squared_error predicts numbers
l2: 1e-4                      # a price on large weights, against overfitting; 0 turns it off

optimizer:
  name: adam                  # adapts the step of every weight; or sgd (with momentum), rmsprop, adamw
  learning_rate: 1e-3         # the one to tune first: 3x up, 3x down

schedule: cosine              # large steps early, small ones at the end; or constant, one_cycle, step, ...

training:
  epochs: 20                  # passes over the training data
  batch_size: 128             # examples per update: larger is faster per epoch, smaller makes more updates
  # early_stopping: 5         # stop after so many epochs without improvement
  # clip_norm: 1.0            # limits the gradient, when training diverges

wandb: off                    # mirror to Weights & Biases: offline or online
"""


def starter_config() -> str:
    """The text of a config on the built-in `shapes` data, every common field with the reason for its value."""
    return STARTER


@dataclass(frozen=True)
class Starter:
    """Where the config is, and what was found in the data that it is for."""

    path: Path
    data: DataReport | None = None
    failure = None

    def to_dict(self) -> dict[str, Any]:
        return {"path": str(self.path), **({"data": self.data.to_dict()} if self.data is not None else {})}

    def to_text(self) -> str:
        report = f"{whole_report_text(self.data)}\n\n" if self.data is not None else ""
        return f"{report}wrote {self.path}; train it with: {shlex.join(['nnscratch', 'train', str(self.path)])}"


def write_starter(path: Path) -> Starter:
    """Writes the starter config; raises UsageError rather than touch a file that exists."""
    require_new(path)
    write_config(path, starter_config())
    return Starter(path)


def require_new(path: Path) -> None:
    """Raises UsageError for a file that exists, and for one that is no YAML file."""
    if path.exists():
        raise UsageError(f"{path} exists already and is left as it is", "name another file: nnscratch init OTHER.yaml")
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{path} is not the name of a YAML file", f"try: nnscratch init {shlex.quote(f'{path}.yaml')}")


def write_config(path: Path, text: str) -> None:
    """Writes the file as a whole. Raises UserError when the disk refuses."""
    try:
        write_atomically(path, text)
    except OSError as error:
        raise UserError(f"cannot write {path}: {cause(error)}") from None
