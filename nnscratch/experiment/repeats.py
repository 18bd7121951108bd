"""`nnscratch train --seeds` and `--folds`: the trainings of a group, in this process or in several, to the end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nnscratch.config.assembly import Assembly, assemble
from nnscratch.config.config import Config, Tell
from nnscratch.config.data import load_dataset
from nnscratch.config.node import LARGEST_INTEGER
from nnscratch.config.numbers import Number
from nnscratch.config.sections import FoldConfig
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import DivergenceError, Interrupted, UsageError, UserError
from nnscratch.experiment import crew
from nnscratch.experiment.timing import fit_epochs
from nnscratch.experiment.train import resume, train
from nnscratch.files import write_atomically
from nnscratch.host import machine
from nnscratch.host.display import Display, LogDisplay
from nnscratch.host.interruption import StopRequest
from nnscratch.host.json_text import json_text
from nnscratch.host.repeating import repeated
from nnscratch.host.workplace import Workplace
from nnscratch.report.formats import count, duration, labelled, shorten
from nnscratch.report.style import own_looks
from nnscratch.results.drawing import pictures_may_fail
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.group import Member, Repetitions, RunGroup
from nnscratch.runs.group_summary import GroupSummary, summarize_group
from nnscratch.runs.kept_plugins import import_plugins
from nnscratch.runs.starting import with_whole_path
from nnscratch.runs.summary import summarize

FEWEST, MOST = 2, 1000


@dataclass(frozen=True)
class How:
    """How a group is trained: nothing of what comes out."""

    workers: int = 1
    allow_plugins: bool = False
    wandb: str | None = None
    """The mode of the runs' mirrors on W&B, in place of their config's."""

    def check(self) -> None:
        """Raises UsageError."""
        Number(least=1, most=MOST, whole=True).require("--workers", self.workers)


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds of `42,43,44`. Raises UsageError for anything else."""
    words = [word.strip() for word in text.split(",")]
    wrong = [word for word in words if not (word.isascii() and word.isdecimal() and _is_seed(word))]
    seeds = dict.fromkeys(map(int, words)) if not wrong else {}
    if not FEWEST <= len(seeds) <= MOST:
        said = (
            f"`{shorten(wrong[0], 60)}` is not a seed"
            if wrong
            else f"from {FEWEST} to {MOST} different seeds are needed"
        )
        raise UsageError(
            f"--seeds {shorten(text, 60)}: {said}",
            f"separate whole numbers up to {LARGEST_INTEGER} by commas: --seeds 42,43,44",
        )
    return tuple(seeds)


def _is_seed(digits: str) -> bool:
    """Whether a config's `seed` takes the number; one of thousands of digits Python does not even read."""
    return len(digits) < 100 and Number(least=0, whole=True).takes(int(digits))


def repeat(
    config: Config, seeds: Sequence[int], folds: int | None, how: How, workplace: Workplace, display: Display
) -> GroupSummary:
    """Trains the config with each seed, or with each fold held out, or goes on with that: what came of all.

    The same command again goes on. Raises UserError when it cannot be trained; a group that was made for that is gone.
    """
    how.check()
    if bool(seeds) == (folds is not None):
        raise UsageError(
            "--seeds and --folds: one of them", "--seeds repeats training, --folds changes what is held out"
        )
    if folds is not None:
        Number(least=FEWEST, most=MOST, whole=True).require("--folds", folds)
        if config.data.fold is not None:
            raise UsageError("data.fold is set already: --folds sets it for every run", "leave it out of the config")
    config = with_whole_path(config, workplace.runs_dir)
    prepared = _prepared(config, folds, workplace, display)
    if folds is not None:
        _tell_of_unused_rows(prepared.dataset, display)
    wanted = Repetitions(seeds=tuple(seeds), folds=folds, minutes=config.training.minutes)
    group = RunGroup.find(workplace.runs_dir, prepared.config, wanted)
    is_new = group is None
    if group is None:
        threads = max(1, machine.choose_threads(workplace.threads) // how.workers)
        group = RunGroup.create(workplace.runs_dir, fit_epochs(prepared, threads, display.say), wanted)
    return go_on(group, how, workplace, display, is_new=is_new)


def _prepared(config: Config, folds: int | None, workplace: Workplace, display: Display) -> Assembly:
    """The config on its data, which is fetched once and missed once.

    What its runs would meet is met here, where the error names the config that somebody wrote. Raises UserError.
    """
    dataset = load_dataset(config, workplace.data_dir, display.say, display.download, workplace.download)
    prepared = assemble(config, dataset, display.say)
    first = prepared
    if folds is not None:
        data = config.data.model_copy(update={"fold": FoldConfig(number=1, of=folds)})
        first = assemble(config.model_copy(update={"data": data}), dataset)
    first.recipe()
    return prepared


def _tell_of_unused_rows(dataset: Dataset, display: Display) -> None:
    """Says when folds leave rows of a table unused that were held out of the same file."""
    test = dataset.origins.get("test")
    if test is not None and test.path == dataset.origins["train"].path:
        rows = count(len(test.rows))
        display.say(
            f"{rows} rows are held out as a test split that folds do not use: data.dataset.test=0 folds them, too"
        )


def go_on(group: RunGroup, how: How, workplace: Workplace, display: Display, *, is_new: bool = False) -> GroupSummary:
    """Trains what is left of a group; no run is repeated, and none is lost.

    Raises UserError when the group is new and no run can begin: then its folder is removed.
    """
    how.check()
    threads = machine.choose_threads(workplace.threads)
    own = replace(workplace, threads=max(1, threads // how.workers), download=False)
    share = Share(group.path, own, how, threads_are_asked_for=workplace.threads is not None)
    trouble: UserError | None = None
    with RunDirectory(group.path).locked(), StopRequest() as stop:
        group.keep()
        _announce(group, display)
        try:
            if how.workers == 1:
                share.work(stop, display.warn, display)
            else:
                with _watched(group, display):
                    crew.work_in_processes(share, how.workers, stop, display.warn, lambda: _epochs(group.members))
        except KeyboardInterrupt:  # the second one
            stop.ask("interrupted")
        except UserError as error:
            if is_new and group.is_untouched:
                RunDirectory(group.path).discard()
                raise
            trouble = error
        if stop.wanted:
            words = ["nnscratch", "train", "--resume", str(group.path), *workplace.words_to_repeat()]
            words += ["--workers", str(how.workers)] if how.workers > 1 else []
            words += ["--threads", str(workplace.threads)] if workplace.threads is not None else []
            words += [] if workplace.plots else ["--no-plots"]
            words += ["--allow-plugins"] if how.allow_plugins else []
            words += ["--wandb", how.wandb] if how.wandb is not None else []
            trouble = Interrupted(
                f"interrupted; every run is saved in {group.path}", f"go on with: {shlex.join(words)}"
            )
        return conclude(group, trouble, display, workplace.plots)


def _announce(group: RunGroup, display: Display) -> None:
    members = group.members
    done = sum(member.is_over for member in members)
    display.say(f"{group.name}: {len(members)} {group.repetitions.kind}, runs in {group.path}")
    if group.repetitions.folds is not None:
        display.say("each fold of the training data is held out and scored once; the data's own test split is unused")
    if done:
        display.say(f"going on: {done} of {len(members)} runs are done")


@dataclass(frozen=True)
class Share:
    """The work of each process: one run of the group after the other that nobody else is training."""

    folder: Path
    workplace: Workplace
    how: How
    threads_are_asked_for: bool = False
    """Else a run that has begun goes on with its own number, by which it repeats to the last bit."""
    again = "give the same command again"

    def __call__(self, stop: StopRequest, tell: Tell) -> None:
        if self.how.allow_plugins:
            import_plugins(self.folder / "config.yaml")
        self.work(stop, tell, LogDisplay())

    def work(self, stop: StopRequest, tell: Tell, display: Display) -> None:
        """Trains until no run of the group is left, or a stop is wanted. What others train is waited for.

        A run that cannot go on keeps no other from being trained: its UserError comes at the end.
        """
        group, errors = RunGroup.open(self.folder), dict[str, UserError]()

        def left() -> list[Member]:
            return [member for member in group.members if not member.is_over and member.label not in errors]

        while not stop.wanted and (waiting := left()):
            is_idle = True
            for member in waiting:
                with group.claimed(member) as is_ours:
                    if is_ours and not member.is_over and not stop.wanted:
                        is_idle = False
                        display.say(f"{member.label} of {group.name}")
                        try:
                            self._train(group, member, stop, tell, display)
                        except UserError as error:
                            errors[member.label] = error
            if is_idle:
                time.sleep(crew.PAUSE)
        if errors:
            raise next(iter(errors.values()))

    def _train(self, group: RunGroup, member: Member, stop: StopRequest, tell: Tell, display: Display) -> None:
        run, wandb = member.run, self.how.wandb
        config = group.member_config(member)
        if wandb is None and config.wandb.mode != "off":  # which a resume does not take from the run's own config
            wandb = config.wandb.mode
        if run.path.is_dir() and not run.config.exists():
            run.discard()  # killed before there was anything in it
        try:
            if run.path.is_dir():
                is_free = not self.threads_are_asked_for and run.read_meta().machine.threads is not None
                own = replace(self.workplace, threads=None) if is_free else self.workplace
                resume(run.path, None, own, display, wandb=wandb, stop=stop)
            else:
                own = replace(self.workplace, runs_dir=group.path)
                train(config, own, display, wandb=wandb, stop=stop, beside=group.begun)
        except DivergenceError as error:
            tell(f"{member.label}: {error.message}")
        except Interrupted:
            stop.ask("interrupted")


@contextmanager
def _watched(group: RunGroup, display: Display) -> Iterator[None]:
    """Inside, a thread looks at the runs, and shows how far they are and what they came to."""
    members = group.members
    told = {member.label for member in members if member.is_over}

    def text() -> str:
        return f"{len(told)} of {len(members)} runs"

    def look() -> None:
        for member in members:
            if member.label not in told and member.is_over:
                told.add(member.label)
                run = summarize(member.run)
                test = f"  test {labelled(*run.told_test)}" if run.test is not None else ""
                display.say(f"{member.label}  {run.status}{test}  trained {duration(run.seconds)}")
        display.show_progress(text(), _epochs(members))

    display.start_progress(text(), len(members) * group.config.training.epochs, _epochs(members))
    try:
        with repeated(look, 1.0, "watch"):
            yield
    finally:
        look()
        display.end_progress()


def _epochs(members: Sequence[Member]) -> int:
    """How many epochs are trained in all."""
    return sum(len(member.run.read_history()) for member in members)


def conclude(group: RunGroup, trouble: UserError | None, display: Display, plots: bool) -> GroupSummary:
    """Writes what depends on all runs: summary.json, and the curves with their bands."""
    summary = summarize_group(group, trouble)
    if trouble is None and not summary.scores:
        failure = UserError(f"no run of {group.path} has a figure to take the mean of", "see the lines above")
        summary = replace(summary, failure=failure)
    write_atomically(group.path / "summary.json", json_text(summary.to_dict(), indent=2) + "\n")
    histories = [history for member in group.members if (history := member.run.read_history())]
    if plots and histories and trouble is None:
        with pictures_may_fail(display, f"the figures are in {group.path}"), own_looks():
            from nnscratch.report.curves import band_curves

            (group.path / "plots").mkdir(exist_ok=True)
            band_curves({group.name: histories}, group.path / "plots" / "curves.png", title=summary.headline())
            display.say(f"curves in {group.path / 'plots' / 'curves.png'}")
    return summary
