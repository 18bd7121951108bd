"""`nnscratch plot`, and the end of `train`: every picture of a run into plots/, and the page that shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnscratch.config.assembly import Splits
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import DataError
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.results.evaluate import evaluate_split, evaluation_of, load_data
from nnscratch.results.evaluation import Evaluation
from nnscratch.results.pictures import draw_run
from nnscratch.results.report_page import write_report
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.loaded import LoadedRun, load_run, use_threads_of
from nnscratch.training.evaluation import Score
from nnscratch.training.examples import Examples


@dataclass(frozen=True)
class Drawn:
    """Which files were written."""

    run: Path
    plots: tuple[Path, ...]
    report: Path
    failure = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {"run": str(self.run), "plots": [str(path) for path in self.plots], "report": str(self.report)}

    def to_text(self) -> str:
        """One line per file."""
        return "\n".join(str(path) for path in (*self.plots, self.report))


def plot_run(path: Path, checkpoint: str, workplace: Workplace, display: Display) -> Drawn:
    """Draws a run again. Without its data, what needs none is drawn, with a warning.

    A run that is not completed shows its validation split: the test split is looked at when training is over, and
    never while `evaluation.test` is false.
    """
    loaded = load_run(path, checkpoint)
    use_threads_of(loaded, workplace.threads)
    try:
        dataset, splits = load_data(loaded, workplace, display)
    except DataError as error:
        display.warn(f"{error}; only what needs no data is drawn")
        return _draw(loaded, None, None)
    tested = loaded.run.read_meta().status == "completed" and loaded.config.evaluation.test
    evaluation = evaluate_split(loaded, dataset, splits, _shown_split(splits, tested=tested))
    return _draw(loaded, evaluation, splits.train)


def draw_trained(
    run: RunDirectory, dataset: Dataset, splits: Splits, score: Score | None, outputs: Array | None
) -> Drawn:
    """Draws a run that is trained, from its one look at the test split: that score and those outputs.

    Without the outputs they are computed again; without a test score, its validation split is drawn.
    """
    loaded = replace(load_run(run.path), run=run)  # which is held, so that its writes are guarded
    if score is not None and outputs is not None and splits.test is not None:
        evaluation = evaluation_of(loaded, "test", splits.test, score, outputs)
    else:
        use_threads_of(loaded, None)
        evaluation = evaluate_split(loaded, dataset, splits, _shown_split(splits, tested=score is not None))
    return _draw(loaded, evaluation, splits.train)


def _draw(loaded: LoadedRun, evaluation: Evaluation | None, train: Examples | None) -> Drawn:
    pictures = draw_run(loaded, evaluation, train)
    report = write_report(loaded, evaluation, pictures)
    return Drawn(loaded.run.path, tuple(loaded.run.plots / f"{name}.png" for name in pictures), report)


def _shown_split(splits: Splits, *, tested: bool) -> str:
    order = ("test", "val", "train") if tested else ("val", "train")
    return next(name for name in order if splits.named(name) is not None)
