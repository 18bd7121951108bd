"""`nnscratch plot`, and the end of `train`: every picture of a run into plots/, and the page that shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnscratch.config.data import Splits
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import UsageError, UserError, did_you_mean
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.elements import Picture
from nnscratch.report.picture_files import BEGINNINGS
from nnscratch.results.evaluate import evaluate_split, evaluation_of, load_data
from nnscratch.results.evaluation import Evaluation, Subject
from nnscratch.results.live_page import is_report
from nnscratch.results.pictures import draw_for_paper, draw_run
from nnscratch.results.report_page import write_report
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.loaded import LoadedRun, load_run, use_threads_of
from nnscratch.training.evaluation import Score
from nnscratch.training.examples import Examples

NARROWEST, WIDEST = 3.149, 39.371
"""8 cm and 100 cm in inches, give or take what rounding makes of them."""
INCHES = {"cm": 1 / 2.54, "mm": 1 / 25.4, "in": 1.0, "pt": 1 / 72}


@dataclass(frozen=True)
class Drawn:
    """Which files were written; no report with pictures for a paper, nor in place of one that shows more."""

    run: Path
    plots: tuple[Path, ...]
    report: Path | None
    failure = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "run": str(self.run),
            "plots": [str(path) for path in self.plots],
            "report": None if self.report is None else str(self.report),
        }

    def to_text(self) -> str:
        """One line per file."""
        return "\n".join(str(path) for path in (*self.plots, *([] if self.report is None else [self.report])))


@dataclass(frozen=True)
class Paper:
    """How pictures for a paper are wanted: .png, .pdf or .svg, and how many inches wide, None as they always are."""

    suffix: str
    width: float | None = None


def plot_run(path: Path, checkpoint: str, workplace: Workplace, display: Display, paper: Paper | None = None) -> Drawn:
    """Draws a run again, for its report or for a paper. Without its data, what needs none is drawn, with a warning.

    A report that is there already then stays, as it shows what can no longer be shown.

    A run that is not completed shows its validation split: the test split is looked at when training is over, and
    never while `evaluation.test` is false.
    """
    loaded = load_run(path, checkpoint)
    use_threads_of(loaded, workplace.threads)
    try:
        dataset, splits = load_data(loaded, workplace, display)
        tested = loaded.run.read_meta().status == "completed" and loaded.config.evaluation.test
        evaluation = evaluate_split(loaded, dataset, splits, _shown_split(splits, tested=tested))
    except UserError as error:
        is_kept = paper is None and is_report(loaded.run.report)
        what = "only what needs no data is drawn" + (", the report stays as it is" if is_kept else "")
        display.warn(f"{error.message}; {what}" + (f"\n  {error.hint}" if error.hint else ""))
        if is_kept:
            return Drawn(loaded.run.path, _files(loaded, draw_run(loaded, None, None)), None)
        return _draw(loaded, None, None, paper)
    return _draw(loaded, evaluation, splits.train, paper)


def draw_trained(
    run: RunDirectory, dataset: Dataset, splits: Splits, score: Score | None, outputs: Array | None
) -> Drawn:
    """Draws a run that is trained, from its one look at the test split: that score and those outputs.

    Without the outputs they are computed again; without a test score, its validation split is drawn.
    """
    loaded = replace(load_run(run.path), run=run)  # which is held, so that its writes are guarded
    if score is not None and outputs is not None and splits.test is not None:
        evaluation = evaluation_of(loaded, Subject("test"), splits.test, score, outputs)
    else:
        use_threads_of(loaded, None)
        evaluation = evaluate_split(loaded, dataset, splits, _shown_split(splits, tested=score is not None))
    return _draw(loaded, evaluation, splits.train)


def _draw(
    loaded: LoadedRun, evaluation: Evaluation | None, train: Examples | None, paper: Paper | None = None
) -> Drawn:
    if paper is not None:
        return Drawn(loaded.run.path, draw_for_paper(loaded, evaluation, train, paper.suffix, paper.width), None)
    pictures = draw_run(loaded, evaluation, train)
    return Drawn(loaded.run.path, _files(loaded, pictures), write_report(loaded, evaluation, pictures))


def _files(loaded: LoadedRun, pictures: dict[str, Picture]) -> tuple[Path, ...]:
    plots = [loaded.run.plots / f"{name}.png" for name in pictures]
    films = [loaded.run.plots / f"{name}.gif" for name, picture in pictures.items() if picture.film is not None]
    return (*plots, *films)


def paper_of(format: str | None, width: str | None) -> Paper | None:
    """What `--format pdf --width 8.5cm` ask for; None for neither. Raises UsageError for what is no such thing."""
    if format is None and width is None:
        return None
    suffix = f".{format or 'png'}".lower()
    if suffix not in BEGINNINGS:
        allowed = [each[1:] for each in BEGINNINGS]
        raise UsageError(f"--format {format} is no format of pictures{did_you_mean(format or '', allowed)}",
                         f"one of: {', '.join(allowed)}")  # fmt: skip
    return Paper(suffix, None if width is None else _inches(width))


def _inches(width: str) -> float:
    """`8.5cm`, `85mm`, `3.35in` or `240pt` in inches, from a column of a paper on: less has no room for the letters."""
    parts = re.fullmatch(r"(\d{1,4}(?:\.\d{1,6})?) ?(cm|mm|in|pt)", width)
    inches = float(parts[1]) * INCHES[parts[2]] if parts else 0.0
    if not NARROWEST <= inches <= WIDEST:
        problem = f"--width {width} is no width from 8cm to 100cm"
        smaller = "draw it 8cm wide, and make it smaller where it is shown" if 0 < inches < NARROWEST else ""
        raise UsageError(problem, smaller or "with its unit: 8.5cm, 85mm, 3.35in, 240pt")
    return inches


def _shown_split(splits: Splits, *, tested: bool) -> str:
    order = ("test", "val", "train") if tested else ("val", "train")
    return next(name for name in order if splits.named(name) is not None)
