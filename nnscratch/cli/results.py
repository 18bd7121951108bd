"""`nnscratch evaluate`, `predict` and `plot`: what a run's network does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nnscratch.cli.help import LOOK, TRAIN_AND_USE, examples
from nnscratch.cli.options import (
    AllowPlugins,
    Checkpoint,
    Json,
    Quiet,
    Run,
    RunDataDir,
    RunsDir,
    RunThreads,
    Verbose,
    display_for,
    read_run,
    workplace_of,
)
from nnscratch.cli.peers import communicator_of, threads_of
from nnscratch.cli.result import finish, stream_out
from nnscratch.errors import UsageError
from nnscratch.host.workplace import DEFAULT_RUNS

family = typer.Typer()


@family.command(
    rich_help_panel=TRAIN_AND_USE,
    short_help="Say how good a run's network is on a split of its data.",
    epilog=examples(
        "nnscratch evaluate runs/trial",
        "nnscratch evaluate runs/trial --split val --json",
        "nnscratch evaluate runs/trial --data ward-b.csv --threshold-for 'recall of sick=0.95'",
    ),
)
def evaluate(
    context: typer.Context,
    run: Run,
    split: Annotated[str, typer.Option("--split", help="test, val or train.")] = "test",
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="PATH", help="Other labelled data: a table, an NPZ file, a folder per class."),
    ] = None,
    threshold_for: Annotated[
        str | None,
        typer.Option(
            "--threshold-for",
            metavar="FIGURE=SHARE",
            help="Of two classes: decide by the threshold that has this recall or precision on validation.",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="COLUMN", help="Figures for each group of a column, too."),
    ] = None,
    timing: Annotated[bool, typer.Option("--timing", help="Say what a prediction costs here: time, memory.")] = False,
    checkpoint: Checkpoint = "best",
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: RunDataDir = None,
    threads: RunThreads = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw its plots too.")] = True,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Say how good a run's network is on a split, or on other labelled data.

    Every metric with its 95 % interval, every class, calibration. Figures, predictions and plots are also written to
    evaluation/<name>/ inside the run. Classes of other data are matched by name; --threshold-for recall=0.95 is of the
    second class, `recall of NAME=0.95` of any.
    """
    from nnscratch.results.evaluate import Request, evaluate_run

    path, communicator = read_run(run, runs_dir, allow_plugins), communicator_of(context)
    workplace = workplace_of(path, data_dir, threads_of(context, threads), plots=plots)
    if by and len(by) > 1:
        raise UsageError(f"--by {by[0]} --by {by[1]}: it takes one column at a time", "evaluate once for each")
    request = Request(split, checkpoint, data, threshold_for, by[0] if by else None, timing)
    finish(evaluate_run(path, request, workplace, display_for(json, quiet, verbose), communicator), json)


@family.command(
    rich_help_panel=TRAIN_AND_USE,
    epilog=examples(
        "nnscratch predict runs/trial cat.png pictures/",
        "nnscratch predict runs/trial rows.csv --csv --keep id",
        "find . -name '*.jpg' | nnscratch predict runs/trial - --json",
    ),
)
def predict(
    context: typer.Context,
    run: Run,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Pictures, folders, .npy, .npz, tables; -: paths or JSON on stdin."),
    ],
    top: Annotated[int, typer.Option("--top", help="How many of the likeliest classes to name.")] = 3,
    checkpoint: Checkpoint = "best",
    runs_dir: RunsDir = DEFAULT_RUNS,
    threads: RunThreads = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON list with an object for every input.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A CSV table with a row for every input.")] = False,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="A column of the input that goes into the output.")
    ] = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Say what a run's network makes of new inputs.

    Pictures (PNG, JPEG, GIF, BMP, WebP; any size and mode) are turned upright, put on white, converted to the colours
    and resized to the size the network knows. Arrays hold what the training data holds: pixels 0..255, or features.
    Tables (CSV, TSV, JSON, Parquet, XLSX) have the columns of the training data by name, in any order; the target and
    others may be there. An input that cannot be read is a row with its error, the others are predicted, the exit code
    is 1.
    """
    from nnscratch.results.predict import predict_run

    path = read_run(run, runs_dir, allow_plugins)
    if json and csv:
        raise UsageError("--json and --csv: one of them")
    listing = getattr(sys.stdin, "buffer", sys.stdin)
    predictions = predict_run(
        path,
        inputs,
        listing,
        checkpoint=checkpoint,
        top=top,
        threads=threads_of(context, threads),
        keep=keep or (),
        communicator=communicator_of(context),
    )
    pieces = predictions.to_json() if json else predictions.to_csv() if csv else predictions.to_text()
    stream_out(predictions, pieces, is_data=json or csv)


@family.command(
    rich_help_panel=LOOK,
    epilog=examples(
        "nnscratch plot runs/quickstart",
        "nnscratch plot runs/quickstart --format pdf --width 8.5cm",
    ),
)
def plot(
    run: Run,
    format: Annotated[str | None, typer.Option("--format", help="For a paper: pdf, svg or png; no report.")] = None,
    width: Annotated[str | None, typer.Option("--width", help="For a paper: 8.5cm, 85mm, 3.35in or 240pt.")] = None,
    checkpoint: Checkpoint = "best",
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: RunDataDir = None,
    threads: RunThreads = None,
    json: Json = False,
    quiet: Quiet = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Draw a run's plots and its report.html again."""
    from nnscratch.results.plot import paper_of, plot_run

    paper = paper_of(format, width)
    path = read_run(run, runs_dir, allow_plugins)
    workplace = workplace_of(path, data_dir, threads)
    finish(plot_run(path, checkpoint, workplace, display_for(json, quiet), paper), json)
