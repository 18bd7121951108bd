"""The rules applied while a training goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nnscratch.training.diagnosis.causes import causes
from nnscratch.training.diagnosis.findings import (
    Finding,
    Row,
    Setting,
    input_findings,
    last_layer_findings,
    start_findings,
)
from nnscratch.training.diagnosis.history import history_findings


class Watch:
    """Tells each problem once, as soon as it shows; not what follows from one that was told."""

    def __init__(self, setting: Setting, tell: Callable[[Finding], None]) -> None:
        self._setting = setting
        self._tell = tell
        self._told: list[Finding] = []

    def last_layer(self) -> None:
        self._say(last_layer_findings(self._setting))

    def inputs(self, magnitude: float) -> None:
        self._say(input_findings(magnitude))

    def first_loss(self, loss: float, examples: int) -> None:
        self._say(start_findings(loss, examples, self._setting))

    def epochs(self, history: Sequence[Row]) -> None:
        self._say(history_findings(history, self._setting))

    def _say(self, findings: Iterable[Finding]) -> None:
        known = {each.problem for each in self._told}
        new = (each for each in findings if each.problem not in known)
        for finding in causes(new, self._told, self._setting.in_force):
            self._told.append(finding)
            self._tell(finding)
