"""The best weights when training is over: put back, calibrated, and written again where best.npz was lost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnscratch.errors import UserError
from nnscratch.experiment.recorder import Recorder
from nnscratch.host.display import Display
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import decimal, percent
from nnscratch.runs.checkpoint import load_checkpoint
from nnscratch.training.calibration import fit_temperature
from nnscratch.training.metrics.probabilities import ExpectedCalibrationError, LogLoss


def put_back(recorder: Recorder, display: Display) -> None:
    """Makes the best weights the network's, and fits their temperature on the validation split, if it is wanted."""
    training, examples = recorder.training, recorder.training.splits.validation
    recorder.best.put_back(training.trainer)
    if training.config.evaluation.calibrate == "none" or examples is None:
        return
    y = np.empty((len(examples), training.dataset.outputs), np.float32)
    training.trainer.score(examples, y)
    t, loss = examples.targets[examples.rows], training.trainer.recipe.loss
    temperature = fit_temperature(y, t)
    before, after = (loss.probabilities(y, each) for each in (1.0, temperature))
    log_loss, error = LogLoss(), ExpectedCalibrationError()
    display.say(
        f"calibrated on validation: temperature {decimal(temperature)}; "
        f"log loss {decimal(log_loss(t, before))} -> {decimal(log_loss(t, after))}, "
        f"calibration error {percent(error(t, before))} -> {percent(error(t, after))}"
    )
    recorder.calibrated(temperature)


def mend_best(recorder: Recorder, display: Display) -> None:
    """Writes best.npz of a run that is over again, where it does not hold the weights that last.npz says are best."""
    training = recorder.training
    # The others may have no best.npz of their own to look at, and all of them calibrate it.
    [trouble, *_] = training.trainer.communicator.texts(_trouble_of_best(recorder))
    if trouble:
        recorder.save_best()
        put_back(recorder, display)
        display.warn(f"{training.run.best} {trouble}: it was written again from {training.run.last.name}")


def _trouble_of_best(recorder: Recorder) -> str:
    """Why best.npz is not to be used; empty when it holds the best weights, or when those are not known."""
    run, best = recorder.training.run, recorder.best
    if best.theta is None or best.state is None or not run.is_written:
        return ""
    if not run.best.exists():
        return "was gone"
    parameters = recorder.training.trainer.network.parameters
    try:
        kept = load_checkpoint(run.best)
    except UserError:
        return "was damaged"
    same = _same(kept.section("parameters"), parameters.named(best.theta))
    same = same and _same(kept.section("state"), parameters.named_state(best.state))
    return "" if same else "held other weights than the run's best"


def _same(left: Mapping[str, Array], right: Mapping[str, Array]) -> bool:
    return left.keys() == right.keys() and all(left[name].tobytes() == right[name].tobytes() for name in left)
