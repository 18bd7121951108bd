"""Keeps what a network makes of one or two features while it learns, for the film that is drawn when it has."""

from __future__ import annotations

from nnscratch.experiment.observer import Observer, Training
from nnscratch.host.display import Display
from nnscratch.results.space import MOST_OUTPUTS, Space, has_few_features, kept_outputs
from nnscratch.runs.frames import Frame, append_frame, keep_frames, spacing
from nnscratch.training.progress import EpochResult


class Filming(Observer):
    """A frame before training, after every epoch or every few, and after the last; none of data in more dimensions."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def begin(self, training: Training) -> None:
        self._training = training
        train, outputs = training.splits.train, training.dataset.outputs
        self._space = Space.of(train, outputs)
        if self._space is None:
            if has_few_features(train):
                self._display.say(
                    f"no picture of what it learns: {outputs} outputs, and {MOST_OUTPUTS} can be told apart"
                )
            return
        keep_frames(training.run, training.trainer.progress.epoch)
        if training.trainer.progress.updates == 0:
            self._keep(self._space, 0)

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        is_last = result.epoch == self._training.config.training.epochs or self._training.stops_early()
        if self._space is not None and (is_last or result.epoch % spacing(result.epoch) == 0):
            self._keep(self._space, result.epoch)

    def _keep(self, space: Space, epoch: int) -> None:
        trainer, dataset = self._training.trainer, self._training.dataset
        with trainer.weights_that_count():
            y = space.outputs(trainer.network, trainer.affine)
        kept = kept_outputs(trainer.recipe.loss, y, labels=dataset.classes is not None)
        append_frame(self._training.run, Frame.of(epoch, kept))
