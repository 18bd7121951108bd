"""The trials of a sweep, shared by all who work on it: who takes which, how far it is, and what came of it.

A trial is created, with its values and its lease, by one write; afterwards only the holder of its lease writes to it.
The lease's beat is a counter: a watcher that sees it stand still for too long by its own clock, or finds that the
process is gone, takes the trial over. Clocks of different machines are never compared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnscratch.config.node import Value
from nnscratch.errors import UserError
from nnscratch.report.formats import metric_value
from nnscratch.sweeps.definition import SweepDefinition, rated_by_another
from nnscratch.sweeps.identity import Identified, identity, recorded
from nnscratch.sweeps.lease import Lease, LeaseLostError
from nnscratch.sweeps.sampling import suggest
from nnscratch.sweeps.storage import SharedStorage

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FINISHED = ("completed", "pruned", "diverged", "failed")
STATUSES = ("running", "interrupted", *FINISHED)
REMARKS = "remarks"
MOST_DEATHS = 10  # a trial whose process dies every time must not keep a sweep from ending


@dataclass(frozen=True)
class Trial:
    """One row of a sweep."""

    number: int
    parameters: Mapping[str, Value]
    status: str
    value: float | None = None
    run: str = ""
    note: str = ""
    collapsed: bool = False
    deaths: int = 0
    epochs: int | None = None
    """How many its config asks for, once it has begun."""
    updates: int = 0
    """How far it was when a process last began to train it: what was saved by then."""
    due: int | None = None
    """The epoch at which it is to stop, when that is decided."""
    curve: Mapping[int, float] = field(default_factory=dict)
    """The metric by epoch."""
    lease: Lease | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        value = self.value if self.value is not None and math.isfinite(self.value) else None
        row: dict[str, Any] = {
            "number": self.number,
            "parameters": dict(self.parameters),
            "status": self.status,
            "value": value,
            "run": self.run or None,
            "collapsed": self.collapsed,
        }
        return row | ({"note": self.note} if self.note else {})


class Study:
    """The trials of one sweep in a storage that others may work on at the same time."""

    def __init__(
        self,
        shared: SharedStorage,
        definition: SweepDefinition,
        seed: int,
        lease_seconds: float,
        extend: bool = False,
        data: str | None = None,
        folder: Path | None = None,
    ) -> None:
        """`data` is the digest of what all trials learn from, `folder` where the sweep's results are kept."""
        from optuna.study import StudyDirection

        self.seed, self.lease_seconds = seed, lease_seconds
        self.label = shared.label
        self._storage, self._mutex = shared.storage, shared.mutex
        self._me = Lease.of_this_process()
        self._beats: dict[int, tuple[str, int, float]] = {}
        direction = StudyDirection.MAXIMIZE if definition.metric.goal == "maximize" else StudyDirection.MINIMIZE
        with self._mutex():
            try:
                self._id = self._storage.get_study_id_from_name(definition.name)
            except KeyError:
                self._id = self._storage.create_new_study([direction], definition.name)
            before = recorded(self._storage, self._id)
            if before is not None and "monitor" not in before:  # its trials were told of no value to monitor
                notes = () if definition.monitor in (None, "val_accuracy") else (rated_by_another(definition.monitor),)
                definition = replace(definition, monitor=None, notes=(*definition.notes, *notes))
            study = Identified(self._storage, self._id, self.label)
            study.become(identity(definition, seed, data), definition.name, folder, extend)
        self.definition = definition
        before_now = [frozen.user_attrs["parameters"] for frozen in self.frozen_trials()]
        self._begun, self._spare = len(before_now), definition.beside_the_grid(before_now)
        self.unlike = definition.unlike(before_now)
        """The trials from before the search was extended that have not the one value which all have now, by path."""

    @property
    def varied(self) -> list[str]:
        """The parameters that differ between the trials: all but the constants that always were."""
        constants = self.definition.constants.keys() - self.unlike.keys()
        return [each.path for each in self.definition.parameters if each.path not in constants]

    @property
    def total(self) -> int:
        """How many trials the sweep has: those that are there, however few are asked for by now."""
        cap = self.definition.run_cap
        total = self.definition.trials + self._spare
        return max(self._begun, total if cap is None else min(cap, total))

    def trials(self) -> list[Trial]:
        """Every trial so far, by number. A running one whose worker has died shows as interrupted."""
        rows = [_trial(frozen) for frozen in self._storage.get_all_trials(self._id)]
        return [replace(row, status="interrupted") if self._is_orphan(row) else row for row in rows]

    def frozen_trials(self) -> list[FrozenTrial]:
        """The trials as Optuna keeps them."""
        return self._storage.get_all_trials(self._id)

    def is_over(self, trials: list[Trial]) -> bool:
        """True when nothing is left to start, to resume, or to wait for."""
        return all(trial.status in FINISHED for trial in trials) and not self._wants_more(trials)

    def reaching(self, trials: Sequence[Trial]) -> Trial | None:
        """The first trial that is as good as the sweep's target, after which none is started."""
        metric = self.definition.metric
        done = (each for each in trials if each.status == "completed" and each.value is not None)
        return next((each for each in done if metric.is_reached(each.value or 0.0)), None)

    def remark(self, text: str) -> bool:
        """Keeps something to know of the sweep, once; whether it is new."""
        with self._mutex():
            known = self._storage.get_study_user_attrs(self._id).get(REMARKS, [])
            # What follows the colon may name the trial.
            is_new = text.partition(":")[0] not in [each.partition(":")[0] for each in known]
            if is_new:
                self._storage.set_study_user_attr(self._id, REMARKS, [*known, text])
            return is_new

    def remarks(self, trials: Sequence[Trial]) -> list[str]:
        """What there is to know of how the sweep went."""
        reaching, target = self.reaching(trials), self.definition.metric
        reached = (
            []
            if reaching is None
            else [
                f"trial {reaching.number} reached the target, {target.name} "
                f"{metric_value(target.name, target.target)}: no further trial is started"
            ]
        )
        return reached + list(self._storage.get_study_user_attrs(self._id).get(REMARKS, []))

    def claim(self) -> Trial | None:
        """A trial to work on: an abandoned one before a new one; None when there is none at the moment."""
        with self._mutex():
            frozen = self._storage.get_all_trials(self._id)
            trials = [_trial(each) for each in frozen]
            for each, trial in zip(frozen, trials, strict=True):
                if trial.status == "interrupted" or self._is_orphan(trial):
                    died = trial.status == "running"
                    if trial.deaths >= MOST_DEATHS:
                        note = f"what trained it died or had no memory {trial.deaths} times, and it got no further"
                        self._end(each._trial_id, "failed", None, {"note": note})
                        continue
                    self._set(each._trial_id, deaths=trial.deaths + died, lease=asdict(self._me), status="running")
                    return replace(trial, status="running", deaths=trial.deaths + died, lease=self._me)
            return self._create(frozen) if self._wants_more(trials) else None

    def beat(self, number: int) -> None:
        """Says that the trial is still being worked on; raises LeaseLostError when it is somebody else's by now."""
        with self._mutex():
            identifier, lease = self._own(number)
            self._set(identifier, lease=asdict(replace(lease, beat=lease.beat + 1)))

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Records the metric after an epoch; whether the trial is to be stopped there, which is recorded, too."""
        with self._mutex():
            identifier, _ = self._own(number)
            if math.isfinite(value):
                self._storage.set_trial_intermediate_value(identifier, epoch, value)
            if self.definition.early_terminate is None or not math.isfinite(value):
                return False
            rows = {frozen.number: _trial(frozen).curve for frozen in self._storage.get_all_trials(self._id)}
            own = {at: known for at, known in rows.pop(number).items() if at <= epoch}
            is_due = self.definition.early_terminate.is_due(own, list(rows.values()), self.definition.metric.goal)
            if is_due:
                self._set(identifier, due=epoch)
        return is_due

    def begin(self, number: int, run: Path, epochs: int, updates: int) -> None:
        """Records where the trial's run is, how many epochs it is to have, and how many updates it has.

        When it has got on since the last time, its deaths are forgiven.
        """
        with self._mutex():
            identifier, _ = self._own(number)
            self._set(identifier, run=str(run), epochs=epochs)
            if updates > _trial(self._storage.get_trial(identifier)).updates:
                self._set(identifier, deaths=0, updates=updates)

    def progress(self) -> int:
        """A number that grows when any trial gets on."""
        return sum((trial.status in FINISHED) + trial.updates + len(trial.curve) for trial in self.trials())

    def finish(self, number: int, status: str, value: float | None, note: str = "", collapsed: bool = False) -> None:
        """Ends the trial; `interrupted` instead sets it free for whoever comes next."""
        attributes: dict[str, Any] = {"note": note, "collapsed": collapsed}
        with self._mutex():
            identifier, _ = self._own(number)
            if status == "interrupted":
                self._set(identifier, **attributes, lease=None, status=status)
            else:
                self._end(identifier, status, value, attributes)

    def leave_open(self, number: int, note: str, is_death: bool) -> None:
        """Sets the trial free because the machine cannot train it now; whether that counts as a death."""
        with self._mutex():
            identifier, _ = self._own(number)
            deaths = _trial(self._storage.get_trial(identifier)).deaths + is_death
            self._set(identifier, note=note, deaths=deaths, lease=None, status="interrupted")

    def _create(self, history: list[FrozenTrial]) -> Trial:
        """A new trial that this worker holds, in one write."""
        from optuna.trial import TrialState, create_trial

        number = len(history)
        suggestion = suggest(self.definition, self.seed, number, history)
        attributes = {"parameters": suggestion.values, "status": "running", "lease": asdict(self._me), "deaths": 0}
        template = create_trial(
            state=TrialState.RUNNING,
            params=suggestion.raw,
            distributions=suggestion.distributions,
            user_attrs=attributes,
        )
        self._storage.create_new_trial(self._id, template)
        return Trial(number, suggestion.values, "running", lease=self._me)

    def _wants_more(self, trials: list[Trial]) -> bool:
        return len(trials) < self.total and self.reaching(trials) is None

    def _own(self, number: int) -> tuple[int, Lease]:
        """The storage's number of a trial that this worker holds, and its lease."""
        identifier = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        frozen = self._storage.get_trial(identifier)
        lease = _trial(frozen).lease
        if frozen.state.is_finished() or lease is None or lease.worker != self._me.worker:
            raise LeaseLostError(f"trial {number} was taken over by another worker")
        return identifier, lease

    def _is_orphan(self, trial: Trial) -> bool:
        """True for a running trial that nobody works on any more."""
        lease = trial.lease
        if trial.status != "running" or lease is None:
            return trial.status == "running"
        if lease.process_is_gone():
            return True
        seen = self._beats.get(trial.number)
        if seen is None or seen[:2] != (lease.worker, lease.beat):
            self._beats[trial.number] = (lease.worker, lease.beat, time.monotonic())
            return False
        return time.monotonic() - seen[2] > self.lease_seconds

    def _set(self, identifier: int, **attributes: Any) -> None:
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(identifier, key, value)

    def _end(self, identifier: int, status: str, value: float | None, attributes: Mapping[str, Any]) -> None:
        """What came of a trial, then its state: until that is written, the trial counts as running."""
        from optuna.trial import TrialState

        self._set(identifier, **attributes, value=value, status=status)
        state = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED}.get(status, TrialState.FAIL)
        values = [value] if value is not None and state is not TrialState.FAIL else None
        self._storage.set_trial_state_values(identifier, state, values)


def _trial(frozen: FrozenTrial) -> Trial:
    kept = frozen.user_attrs
    status = kept.get("status", "running")
    if status not in STATUSES:  # somebody else's word, which would be waited for without end
        raise UserError(
            f"the sweep's storage is damaged: trial {frozen.number} has the status {str(status)[:40]!r}",
            "bring it back from a copy, or start anew under another --name",
        )
    if not frozen.state.is_finished() and status in FINISHED:
        status = "running"  # killed between the last two writes: it is finished once more
    lease = kept.get("lease")
    return Trial(
        frozen.number,
        kept.get("parameters", {}),
        status,
        kept.get("value") if frozen.state.is_finished() else None,
        kept.get("run", ""),
        kept.get("note", ""),
        kept.get("collapsed", False),
        kept.get("deaths", 0),
        kept.get("epochs"),
        kept.get("updates", 0),
        kept.get("due"),
        dict(frozen.intermediate_values),
        Lease(**lease) if lease else None,
    )
