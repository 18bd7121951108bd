"""`nnscratch diagnose RUN`: what went wrong in a run, where, how it shows, and what to try."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.config.advice import advice, of_config
from nnscratch.config.data import Splits, load_dataset, split_dataset
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import DataError, UserError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import ReLU, Sigmoid, Softmax, Tanh
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.loaded import LoadedRun, load_run
from nnscratch.runs.status import status_of
from nnscratch.training.diagnosis.causes import causes
from nnscratch.training.diagnosis.findings import (
    Finding,
    Row,
    Setting,
    UnitStatistics,
    divergence_findings,
    input_findings,
    last_layer_findings,
    output_findings,
    prediction_findings,
    start_findings,
    unit_findings,
)
from nnscratch.training.diagnosis.history import final_findings, history_findings
from nnscratch.training.diagnosis.setting import (
    BATCH,
    magnitude,
    measured_layers,
    scaled_inputs,
    setting_of,
    trainable_layers,
)
from nnscratch.training.diagnosis.start import gradient_findings
from nnscratch.training.evaluation import require_finite
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import scale_targets

SAMPLE = 1000
"""Examples looked at."""


@dataclass(frozen=True)
class Diagnosis:
    """The findings of one run, the cause first; none when it is healthy."""

    run: Path
    status: str
    epochs: int
    weights_epoch: int
    """The epoch that the weights are of: less than `epochs` when a training goes on, or ended before it saved them."""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What could not be looked at, and why."""
    units: tuple[UnitStatistics, ...] = ()
    """What the activation layers did, healthy ones included."""
    failure = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "status": self.status,
            "epochs": self.epochs,
            "weights_epoch": self.weights_epoch,
            "findings": [_described(finding) for finding in self.findings],
            "notes": list(self.notes),
            "units": [asdict(each) for each in self.units],
        }

    def to_text(self) -> str:
        head = f"{self.run}: {self.status}, {self.epochs} epochs"
        none = "no findings in what could be looked at" if self.notes else "nothing wrong found"
        lines = [head if self.findings else f"{head}, {none}"]
        for finding in self.findings:
            place = f"  in {finding.layer}" if finding.layer else ""
            lines += ["", f"{finding.problem}{place}", f"  {finding.evidence}", f"  try {advice(finding)}"]
            if finding.consequences:
                lines.append(f"  what follows from it: {', '.join(finding.consequences)}")
        return "\n".join([*lines, *(["", *(f"note: {note}" for note in self.notes)] if self.notes else [])])


def _described(finding: Finding) -> dict[str, str | list[str] | None]:
    described = {"problem": finding.problem, "layer": finding.layer, "evidence": finding.evidence}
    return {**described, "advice": advice(finding), "consequences": list(finding.consequences)}


@np.errstate(all="ignore")  # what overflows is a finding
def diagnose(path: Path, workplace: Workplace, display: Display) -> Diagnosis:
    """Reads the run's records, and sends some held-out examples through its last weights, or if lost the best."""
    run = RunDirectory.open(path)
    history, meta = run.read_history(), run.read_meta()
    kept = sorted(run.checkpoints.glob("*.npz"))
    loaded = load_run(path, "last" if run.last.is_file() or not kept else str(kept[0]))
    machine.share_threads(loaded.network, machine.choose_threads(workplace.threads))
    status, last = status_of(run, meta), max((int(row["epoch"]) for row in history), default=0)
    notes = [*_unseen(loaded, history)]
    findings: list[Finding] = []
    units: list[UnitStatistics] = []
    learning_rate = float(loaded.config.optimizer.fields.get("learning_rate", 0.0))  # type: ignore[arg-type]  # validated as a number
    if status == "diverged":
        findings += divergence_findings(meta.error or "not finite", learning_rate)
    try:
        dataset = load_dataset(
            loaded.config, workplace.data_dir, display.detail, download=False, trained_on=loaded.trained_on
        )
        dataset = loaded.fitted(dataset)
    except DataError as error:
        notes.append(f"without the data only the records were read: {error.message}")
        if loaded.classes is None or not loaded.config.loss.component.includes_softmax:
            raise
        setting = Setting(float(np.log(loaded.outputs)), True, loaded.outputs, trainable_layers(loaded.network))
        setting = of_config(replace(setting, held_out=meta.dataset.validation), loaded.config)
    else:
        splits = split_dataset(loaded.config, dataset)
        loss = loaded.config.loss.build()
        train = scale_targets(splits.train, loaded.target_affine)
        setting = of_config(setting_of(loss, loaded.network, train, splits.validation), loaded.config)
        findings += _before_training(loaded, loss, setting, train)
        if loaded.epoch >= max(last, 1):
            units, outputs, actual = _on_examples(loaded, splits)
            end = loaded.network.layers[-1].path
            findings += unit_findings([each for each in units if each.layer != end])
            try:
                require_finite(outputs)
            except UserError as error:
                findings += divergence_findings(error.message, learning_rate)
            else:
                findings += _of_predictions(outputs, actual, dataset)
            for each in units:
                findings += output_findings(each, history, setting) if each.layer == end else ()
    measured = measured_layers(loaded.network, loaded.config.optimizer.build())
    setting = replace(setting, measured=measured)
    findings += history_findings(history, setting)
    if status == "completed":
        findings += final_findings(history, setting)
    found = tuple(causes(findings, (), setting.in_force))
    return Diagnosis(path, status, last, loaded.epoch, found, tuple(notes), tuple(units))


def _unseen(loaded: LoadedRun, history: Sequence[Row]) -> Iterator[str]:
    """Epochs that should be among the records, and weights that the run has left behind, or not begun to train."""
    epochs = {int(row["epoch"]) for row in history}
    last = max(epochs, default=0)
    count = max(last, loaded.epoch)
    if len(epochs) < count:
        yield f"{loaded.run.metrics.name} is damaged: it lacks {count - len(epochs)} of {count} epochs"
    if loaded.epoch < max(last, 1):
        of = f"of epoch {loaded.epoch}, and {last} have been trained" if last else "those before the first epoch's end"
        yield f"the weights in {loaded.checkpoint.name} are {of}: what units and predictions do was not looked at"


@dataclass
class _Recorder:
    """Counts, while examples pass, which units of an activation ever answer and how many outputs are saturated."""

    layer: Layer
    answered: Array | None = None
    saturated: int = 0
    outputs: int = 0
    kind: str = field(init=False)

    def __post_init__(self) -> None:
        self.kind = self.layer.name

    def see(self, y: Array) -> None:
        self.outputs += y.size
        if isinstance(self.layer, ReLU):
            positive: Array = np.any(y > 0, axis=tuple(range(y.ndim - 1)))
            self.answered = positive if self.answered is None else self.answered | positive
        elif isinstance(self.layer, Sigmoid | Softmax):
            self.saturated += int(np.count_nonzero(y * (1 - y) < 0.01 * 0.25))
        else:
            self.saturated += int(np.count_nonzero(1 - np.square(y) < 0.01))

    def statistics(self) -> UnitStatistics:
        dead = 0.0 if self.answered is None else 1.0 - float(self.answered.mean())
        return UnitStatistics(self.layer.path, self.kind, dead, self.saturated / max(self.outputs, 1))


def unit_statistics(network: Network, batches: Iterator[Array]) -> tuple[list[UnitStatistics], list[Array]]:
    """What every ReLU, sigmoid and tanh, and a softmax at the end, does on the batches, and their outputs."""
    end = network.layers[-1]
    looked_at = [
        layer
        for layer in network.walk()
        if isinstance(layer, ReLU | Sigmoid | Tanh) or (isinstance(layer, Softmax) and layer is end)
    ]
    recorders = [_Recorder(layer) for layer in looked_at]
    for recorder in recorders:
        _listen(recorder)
    try:
        outputs = [network.forward(x).copy() for x in batches]
    finally:
        for recorder in recorders:
            del recorder.layer.forward  # the class's own again
    return [recorder.statistics() for recorder in recorders], outputs


def _listen(recorder: _Recorder) -> None:
    forward = recorder.layer.forward

    def listening(x: Array, training: bool) -> Array:
        y = forward(x, training)
        recorder.see(y)  # now: the next layer may write over it
        return y

    recorder.layer.forward = listening  # type: ignore[method-assign]  # of this one layer, of a network that only diagnose has


def _before_training(loaded: LoadedRun, loss: Loss, setting: Setting, train: Examples) -> Iterator[Finding]:
    """From the inputs and the loss of the starting weights, which the seed gives again."""
    x = scaled_inputs(train, loaded.affine, train.rows[:BATCH])
    yield from last_layer_findings(setting)
    yield from input_findings(magnitude(x))
    network = loaded.initial_network(train)
    if network is None:  # it started from other trained weights
        return
    value, _ = loss(network.forward(x, training=True), train.targets[train.rows[:BATCH]])
    yield from start_findings(value, len(x), setting)
    yield from gradient_findings(network, loss, x, train.targets[train.rows[:BATCH]])


def _on_examples(loaded: LoadedRun, splits: Splits) -> tuple[list[UnitStatistics], Array, Array]:
    """What the last weights do with held-out examples: their units, their outputs, and what these should be."""
    examples = splits.validation if splits.validation is not None else splits.train
    rows = examples.rows[:: max(1, len(examples) // SAMPLE)][:SAMPLE]
    pieces = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    batches = (scaled_inputs(examples, loaded.affine, piece) for piece in pieces)
    statistics, outputs = unit_statistics(loaded.network, batches)
    return statistics, np.concatenate(outputs), examples.targets[rows]


def _of_predictions(y: Array, t: Array, dataset: Dataset) -> Iterator[Finding]:
    if dataset.classes is not None:
        K = len(dataset.classes)
        predicted, actual = (np.bincount(each, minlength=K).tolist() for each in (y.argmax(axis=1), t))
        yield from prediction_findings(predicted, actual, dataset.classes)
