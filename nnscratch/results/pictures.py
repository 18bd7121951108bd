"""Every picture of a run: what it is drawn from, where it is put, and what it says to a reader who cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.report.elements import Picture
from nnscratch.report.formats import count, percent
from nnscratch.results.drawers import Drawers, Job
from nnscratch.results.evaluation import Evaluation
from nnscratch.results.measured import Classified, Regressed
from nnscratch.results.seen import seen
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.loaded import LoadedRun
from nnscratch.runs.summary import best_epoch
from nnscratch.training.examples import Examples


@dataclass(frozen=True)
class Plot:
    """A picture: `draw(path=...)` puts it into a file, also as wide as `width=...` says in inches.

    One that `is_for_telephones` is put on the page in a narrow version, too.
    """

    name: str
    alt: str
    draw: Callable[..., object]
    caption: str = ""
    is_for_telephones: bool = True
    film: Callable[..., object] | None = None
    """Puts the same over the epochs into a .gif."""


def draw_run(loaded: LoadedRun, evaluation: Evaluation | None, train: Examples | None) -> dict[str, Picture]:
    """Draws every picture of the run into plots/ and gives them by name: curves, confusion_matrix, per_class, ...

    Without an evaluation, only those of the history and of the weights. Training examples are looked at when the
    initial weights were made from them.
    """
    return _draw(_plots(loaded, evaluation, train), loaded.run, layout.PLOTS, with_narrow=True)


def draw_for_paper(
    loaded: LoadedRun, evaluation: Evaluation | None, train: Examples | None, suffix: str, width: float | None
) -> tuple[Path, ...]:
    """Draws the same pictures as .png, .pdf or .svg, `width` inches wide (None: as always), and gives their paths."""
    size = {} if width is None else {"width": width}
    with Drawers() as drawers:
        plots = list(_plots(loaded, evaluation, train))
        pictures = drawers.draw([Job(partial(plot.draw, **size), suffix) for plot in plots])
    names = [f"{layout.PLOTS}/{plot.name}{suffix}" for plot in plots]
    for name, picture in zip(names, pictures, strict=True):
        loaded.run.write_bytes(name, picture)
    return tuple(loaded.run.path / name for name in names)


def _plots(loaded: LoadedRun, evaluation: Evaluation | None, train: Examples | None) -> Iterator[Plot]:
    yield from _history_plots(loaded)
    if evaluation is not None:
        yield from _evaluation_plots(evaluation, loaded.run.name)
        yield from _example_plots(evaluation)
    if train is not None and (picture := seen(loaded, train)) is not None:
        yield Plot(picture.name, picture.alt, picture.draw, picture.caption, film=picture.film)
    yield from _weight_plots(loaded, train)


def draw_evaluation(evaluation: Evaluation, run: RunDirectory) -> None:
    """Draws the pictures of one evaluation into its folder in the run."""
    plots = _evaluation_plots(evaluation, f"{run.name}, {evaluation.name}")
    _draw(plots, run, f"{layout.EVALUATION}/{evaluation.name}", with_narrow=False)


def _draw(plots: Iterable[Plot], run: RunDirectory, folder: str, *, with_narrow: bool) -> dict[str, Picture]:
    from nnscratch.report.style import NARROW

    with Drawers() as drawers:
        drawn = list(plots)
        narrow = [plot for plot in drawn if with_narrow and plot.is_for_telephones]
        moving = [(plot, plot.film) for plot in drawn if plot.film is not None]
        jobs = [
            *(Job(film, ".gif") for _, film in moving),  # first: they take longest
            *(Job(plot.draw) for plot in drawn),
            *(Job(partial(plot.draw, width=NARROW)) for plot in narrow),
        ]
        made = iter(drawers.draw(jobs))
    films = {plot.name: next(made) for plot, _ in moving}
    wide = {plot.name: next(made) for plot in drawn}
    for_telephones = {plot.name: next(made) for plot in narrow}
    pictures: dict[str, Picture] = {}
    for plot in drawn:
        run.write_bytes(f"{folder}/{plot.name}.png", wide[plot.name])
        if plot.name in films:
            run.write_bytes(f"{folder}/{plot.name}.gif", films[plot.name])
        pictures[plot.name] = Picture(
            wide[plot.name], plot.alt, plot.caption, for_telephones.get(plot.name), films.get(plot.name)
        )
    return pictures


def _history_plots(loaded: LoadedRun) -> Iterator[Plot]:
    """Curves, and gradients layer by layer, from metrics.jsonl."""
    from nnscratch.report.curves import curves
    from nnscratch.report.gradient_flow import gradient_flow

    history = loaded.run.read_history()
    if not history:
        return
    has_validation = any("val_loss" in row for row in history)
    best = best_epoch(loaded.run, loaded.run.read_meta(), history) if has_validation else None
    yield Plot(
        "curves",
        f"Loss and accuracy over {len(history)} epochs" + (f"; the best is epoch {best}" if best else ""),
        partial(curves, history, best_epoch=best, title=loaded.run.name),
    )
    yield Plot(
        "gradient_flow",
        "Gradient norm and update ratio of every layer over the epochs",
        partial(gradient_flow, history, title=f"{loaded.run.name}: layer by layer"),
        "Update ratios in the grey band, 1e-4 to 1e-2, are healthy.",
    )


def _evaluation_plots(evaluation: Evaluation, title: str) -> Iterator[Plot]:
    """Confusion matrix, scores by class and reliability of a classifier; a scatter of a regression."""
    from nnscratch.report.classification import confusion_matrix, per_class, reliability
    from nnscratch.report.regression import regression_scatter

    measured, examples = evaluation.measured, evaluation.subject.examples
    if isinstance(measured, Regressed):
        yield Plot(
            "regression",
            f"Predicted against true values of the {examples}, and their residuals",
            partial(regression_scatter, measured.t, measured.y, targets=measured.target_names, title=title),
            is_for_telephones=False,
        )
        return
    accuracy = percent(float(np.trace(measured.counts) / np.sum(measured.counts)))  # as is decided: by a threshold, too
    right = f"{accuracy} of {count(evaluation.score.examples)} {examples} right"
    yield Plot(
        "confusion_matrix",
        f"Confusion matrix of {len(measured.classes)} classes: {right}",
        partial(
            confusion_matrix,
            measured.counts,
            measured.classes,
            title=f"{title}: {accuracy} right",
        ),
        f"The {examples}, with the weights of epoch {evaluation.epoch}.",
    )
    yield Plot(
        "per_class",
        "Precision, recall and F1 of every class",
        partial(per_class, measured.class_scores, title=f"{title}: scores by class (examples)"),
    )
    yield _threshold_plot(measured, examples, title)
    bins = measured.reliability
    yield Plot(
        "reliability",
        "Accuracy against confidence; the expected calibration error is " + percent(bins.expected_calibration_error),
        partial(reliability, bins.confidence, bins.accuracy, bins.count, bins.expected_calibration_error, title=title),
        is_for_telephones=False,
    )


def _threshold_plot(measured: Classified, examples: str, title: str) -> Plot:
    from nnscratch.report.thresholds import RankedClass, roc_and_precision_recall

    areas = {each.metric.name: each.text for each in measured.figures}
    ranked = [
        RankedClass(measured.classes[k], c.recall, c.precision, c.false_positive_rate, c.roc_auc, c.average_precision)
        for k, c in measured.curves.items()
    ]
    against = (
        f"{measured.classes[1]} against {measured.classes[0]}" if len(ranked) == 1 else "each class against all others"
    )
    return Plot(
        "thresholds",
        f"ROC and precision-recall curves of the {examples}, {against}: "
        f"area {areas['roc_auc']}, average precision {areas['average_precision']}",
        partial(
            roc_and_precision_recall,
            ranked,
            title=f"{title}: AUC {areas['roc_auc']}, average precision {areas['average_precision']}",
        ),
        f"What every threshold of the probability gives, {against}.",
        is_for_telephones=False,
    )


def _example_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """A grid of right and of wrong predictions, drawn at random with a fixed seed."""
    from nnscratch.report.samples import predictions

    measured, examples = evaluation.measured, evaluation.examples
    if not isinstance(measured, Classified) or examples.inputs.ndim != 4:
        return
    rng = np.random.default_rng(0)
    is_right = measured.predicted == measured.t
    right, wrong = (rng.permutation(np.flatnonzero(where))[:16] for where in (is_right, ~is_right))
    chosen = np.concatenate([right, wrong])
    kind = evaluation.subject.title
    in_all = int(np.count_nonzero(is_right))
    shown = f"{len(right)} of the {count(in_all)} right ones, {len(wrong)} of the {count(len(is_right) - in_all)} wrong"

    yield Plot(
        "predictions",
        f"Predictions of {kind.lower()} images: {shown}",
        partial(
            predictions,
            examples.inputs[examples.rows[chosen]],
            measured.t[chosen],
            measured.predicted[chosen],
            measured.confidence[chosen],
            measured.classes,
            title=f"{kind} images: {shown}",
        ),
        f"A random choice of each; {percent(in_all / len(is_right))} of all are right.",
    )


def _weight_plots(loaded: LoadedRun, train: Examples | None) -> Iterator[Plot]:
    """Histograms of the weights before and after, and the first layer as images."""
    from nnscratch.report.weights import first_layer_weights, weight_histograms

    final = loaded.network.parameters.named()
    if not final:
        return
    started = loaded.initial_network(train)
    initial = started.parameters.named() if started is not None else {}
    yield Plot(
        "weights",
        f"Histograms of {len(final)} parameter arrays at initialisation and after training",
        partial(weight_histograms, initial, final, title=f"{loaded.run.name}: weights before and after"),
    )
    name, first = next(((name, W) for name, W in final.items() if W.ndim >= 2), ("", None))
    if first is not None and _looks_at_pixels(first, loaded.input_shape):
        yield Plot(
            "first_layer",
            f"The weights of {name} as images, one for each unit",
            partial(first_layer_weights, first, loaded.input_shape),
            "What each unit of the first layer looks for: grey is zero, bright positive, dark negative.",
            is_for_telephones=False,
        )


def _looks_at_pixels(W: Array, input_shape: tuple[int, ...]) -> bool:
    if len(input_shape) != 3 or min(input_shape[:2]) < 2:
        return False
    return W.ndim == 4 or (W.ndim == 2 and W.shape[0] == int(np.prod(input_shape)))
