"""report.html of a run: what its files and its evaluation say, put into the page of `nnscratch.report.page`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nnscratch.host.workplace import Workplace
from nnscratch.report.elements import Headline, Picture
from nnscratch.report.formats import count, counted, duration, metric_value
from nnscratch.report.page import Mistake, ReportContents, render_report
from nnscratch.report.samples import image_png
from nnscratch.report.tables import most_confused, per_class_table
from nnscratch.results.data_section import data_section
from nnscratch.results.environment import environment_of
from nnscratch.results.evaluation import Evaluation
from nnscratch.results.figures import figures_table
from nnscratch.results.measured import Classified, Regressed
from nnscratch.results.network_table import network_table
from nnscratch.runs import layout
from nnscratch.runs.loaded import LoadedRun
from nnscratch.runs.meta import Meta
from nnscratch.version import VERSION

MISTAKES = 12
LEARNED = ("boundary", "surface", "fit")
INSIDE = ("gradient_flow", "weights", "first_layer")
CLASS_PLOTS = ("per_class", "thresholds", "reliability", "predictions", "regression")


def write_report(loaded: LoadedRun, evaluation: Evaluation | None, pictures: Mapping[str, Picture]) -> Path:
    """Writes report.html into the run and gives its path."""
    loaded.run.write_text(layout.REPORT, render_report(_contents(loaded, evaluation, pictures)))
    return loaded.run.report


def _contents(loaded: LoadedRun, evaluation: Evaluation | None, pictures: Mapping[str, Picture]) -> ReportContents:
    run, meta, history = loaded.run, loaded.run.read_meta(), loaded.run.read_history()
    classified = evaluation.measured if evaluation and isinstance(evaluation.measured, Classified) else None
    return ReportContents(
        name=run.name,
        subtitle=_subtitle(loaded, meta),
        status="" if meta.status == "unknown" else meta.status,
        headlines=(*_scores(loaded, evaluation, history), *_costs(loaded, history)),
        notes=(meta.error,) if meta.error is not None else (),
        command=repeating_command(loaded, meta),
        config=run.config.read_text(encoding="utf-8"),
        network=network_table(tuple(loaded.network.summaries)),
        figures=figures_table(evaluation.measured.figures) if evaluation else None,
        curves=pictures.get("curves"),
        learned=next((pictures[name] for name in LEARNED if name in pictures), None),
        confusion_matrix=pictures.get("confusion_matrix"),
        most_confused=most_confused(classified.counts, classified.classes) if classified else None,
        per_class=per_class_table(classified.class_scores) if classified else None,
        class_plots=tuple(pictures[name] for name in CLASS_PLOTS if name in pictures),
        mistakes=tuple(_mistakes(evaluation, classified)) if evaluation and classified else (),
        plots=tuple(pictures[name] for name in INSIDE if name in pictures),
        data=data_section(run),
        timings=_timings(meta, history),
        environment=environment_of(meta),
        footer=f"Written by nnscratch {VERSION}. This page loads nothing from the network.",
    )


def _subtitle(loaded: LoadedRun, meta: Meta) -> str:
    data = meta.dataset
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    sizes = [f"{count(size)} {split}" for split, size in splits.items() if size]
    kinds = [summary.path.partition(".")[2] for summary in loaded.network.summaries]
    learned = [kind for kind, summary in zip(kinds, loaded.network.summaries, strict=True) if summary.parameters]
    return (
        f"{data.name or loaded.config.data.dataset.component.name}: {', '.join(sizes)} examples; "
        f"{len(learned)} layer{'s' if len(learned) != 1 else ''} with weights, "
        f"{count(loaded.network.parameters.size)} parameters"
    )


def _scores(loaded: LoadedRun, evaluation: Evaluation | None, history: Sequence[Mapping[str, float]]) -> list[Headline]:
    lines = []
    if evaluation is not None:
        title, examples = evaluation.subject.title, counted(evaluation.score.examples, "example")
        if isinstance(evaluation.measured, Regressed):
            shown = ("r2", "mean_absolute_error")
        else:
            shown = ("accuracy", "macro_f1")
        figures = {each.metric.name: each for each in evaluation.measured.figures}
        for figure in (figures[name] for name in shown):
            parts = [f"95 %: {figure.interval_text}" if figure.interval_text else "", figure.beside]
            notes = [*([examples] if figure.metric.name == shown[0] else []), *filter(None, parts)]
            lines.append(Headline(f"{title} {figure.metric.title}", figure.text, "; ".join(notes)))
    best = history[loaded.epoch - 1] if 0 < loaded.epoch <= len(history) else {}
    for key in (loaded.config.training.monitor or "", "val_accuracy", "val_loss"):
        if key in best:
            kind = key.removeprefix("val_").replace("_", " ")
            title, note = f"Validation {kind}", f"epoch {loaded.epoch} of {len(history)}"
            if title not in {line.label for line in lines}:  # as it is where the evaluation is of that split
                lines.append(Headline(title, metric_value(key, best[key]), note))
            break
    return lines


def _costs(loaded: LoadedRun, history: Sequence[Mapping[str, float]]) -> list[Headline]:
    lines = [Headline("Parameters", count(loaded.network.parameters.size))]
    if history:
        speed = f"{count(round(_mean(history, 'samples_per_second')))} examples a second"
        lines.append(Headline("Training time", duration(_sum(history, "train_seconds")), speed))
    return lines


def repeating_command(loaded: LoadedRun, meta: Meta) -> str:
    """What repeats the run: its resolved config, with the threads and the data folder it was trained with."""
    words = ["nnscratch", "train", str(loaded.run.config)]
    words += ["--allow-plugins"] if loaded.config.plugins else []
    words += ["--threads", str(meta.machine.threads)] if meta.machine.threads else []
    words += Workplace(Path(meta.data_dir)).words_to_repeat() if meta.data_dir else []
    return shlex.join(words)


def _mistakes(evaluation: Evaluation, classified: Classified) -> list[Mistake]:
    examples, names, files = evaluation.examples, classified.classes, evaluation.examples.names
    shown = []
    for place in classified.worst(MISTAKES).tolist():
        row = int(examples.rows[place])
        shown.append(
            Mistake(
                true=names[int(classified.t[place])],
                predicted=names[int(classified.predicted[place])],
                confidence=float(classified.confidence[place]),
                png=image_png(examples.inputs[row]) if examples.inputs.ndim == 4 else None,
                source=f"{evaluation.subject.name} {row}" if files is None else files[row],
            )
        )
    return shown


def _timings(meta: Meta, history: Sequence[Mapping[str, float]]) -> dict[str, str]:
    if not history:
        return {}
    timings = {
        "Started": meta.started or "-",
        "Training": duration(_sum(history, "train_seconds")),
        "Training, per epoch": duration(_mean(history, "train_seconds")),
        "Examples per second": count(round(_mean(history, "samples_per_second"))),
    }
    if any("val_seconds" in row for row in history):
        timings["Validation"] = duration(_sum(history, "val_seconds"))
    return timings | {"Epochs": count(len(history))}


def _sum(history: Sequence[Mapping[str, float]], key: str) -> float:
    return sum(_known(history, key))


def _mean(history: Sequence[Mapping[str, float]], key: str) -> float:
    return float(np.mean(_known(history, key) or [0.0]))


def _known(history: Sequence[Mapping[str, float]], key: str) -> list[float]:
    return [row[key] for row in history if key in row and np.isfinite(row[key])]
