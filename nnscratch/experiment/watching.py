"""The diagnosis that goes along with a training: a warning as soon as something looks wrong."""

from __future__ import annotations

from collections.abc import Callable

from nnscratch.config.advice import of_config, sentence
from nnscratch.experiment.observer import Observer, Training
from nnscratch.training.diagnosis.setting import setting_of, watch
from nnscratch.training.diagnosis.watch import Watch
from nnscratch.training.progress import EpochResult, StepResult
from nnscratch.training.scaling import scale_targets


class DiagnosisWatch(Observer):
    """Tells, each once, the problems that inputs, the first loss and the epochs' rows show."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._training: Training | None = None
        self._watch: Watch | None = None

    def begin(self, training: Training) -> None:
        self._training = training
        trainer, splits, config = training.trainer, training.splits, training.config
        train = scale_targets(splits.train, trainer.target_affine)
        setting = setting_of(config.loss.build(), trainer.network, train, splits.validation)
        self._watch = watch(of_config(setting, config), trainer, train, lambda finding: self._tell(sentence(finding)))

    def step(self, result: StepResult) -> None:
        # Weights of another run begin where that one ended: their first loss is no guess.
        training = self._training
        is_drawn = training is not None and training.config.model.start_from is None
        if result.epoch == result.step == 1 and training is not None and self._watch is not None and is_drawn:
            batch = min(training.config.training.batch_size, len(training.splits.train))
            self._watch.first_loss(result.loss, batch)

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        if self._training is not None and self._watch is not None:
            self._watch.epochs(self._training.trainer.progress.history)
