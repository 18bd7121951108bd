"""`nnscratch runs`: the runs there are, listed, compared and mirrored."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from nnscratch import cpu
from nnscratch.cli.help import Group, examples
from nnscratch.cli.options import (
    AllowPlugins,
    Json,
    Quiet,
    Run,
    RunDataDir,
    RunsDir,
    RunThreads,
    display_for,
    read_run,
    workplace_of,
)
from nnscratch.cli.result import finish
from nnscratch.host.workplace import DEFAULT_RUNS
from nnscratch.runs.names import find_run

family = typer.Typer(cls=Group, help="The runs there are: listed, watched, compared, mirrored.", no_args_is_help=True)


@family.command(
    "list",
    short_help="List the runs: data, best epoch, validation, test, time, status.",
    epilog=examples("nnscratch runs list --all"),
)
def list_all(
    runs_dir: RunsDir = DEFAULT_RUNS,
    everything: Annotated[bool, typer.Option("--all", help="Also runs in folders below, as of sweeps.")] = False,
    json: Json = False,
) -> None:
    """List the runs: data, parameters, best epoch, validation, test, time, status."""
    from nnscratch.runs.listing import list_runs

    finish(list_runs(runs_dir, everything=everything), json)


@family.command(
    short_help="Watch the runs: epochs, curve, best, time left, until Ctrl-C.",
    epilog=examples("nnscratch runs watch", "nnscratch runs watch --all --runs-dir runs/sweeps"),
)
def watch(
    runs_dir: RunsDir = DEFAULT_RUNS,
    everything: Annotated[bool, typer.Option("--all", help="Also runs in folders below, as of sweeps.")] = False,
    json: Json = False,
) -> None:
    """Watch the runs in the terminal, those in training first: epochs, curve, best value, time left; until Ctrl-C.

    The curve is that of validation accuracy, else of what there is. Into a pipe or a dumb terminal, and with
    --json, it is one look.
    """
    from nnscratch.host.display import is_live
    from nnscratch.runs.watching import Watch, keep_watching

    runs = Watch(runs_dir, everything=everything)
    if json or not is_live(sys.stdout):
        finish(runs.look(), json)
    else:
        keep_watching(runs)


@family.command(
    short_help="Compare runs: figures, settings that differ, curves in one picture.",
    epilog=examples(
        "nnscratch runs compare runs/quickstart runs/quickstart-2",
        "nnscratch runs compare runs/a runs/b runs/c --format markdown",
    ),
)
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Folders of runs, or names in --runs-dir.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The picture: .png, .pdf or .svg.")] = None,
    against_time: Annotated[
        bool, typer.Option("--against-time", help="Draw accuracy against training time instead of curves.")
    ] = False,
    format: Annotated[
        Literal["text", "markdown", "latex", "csv"],
        typer.Option("--format", help="Of the figures; beside text, nothing else is shown or drawn."),
    ] = "text",
    runs_dir: RunsDir = DEFAULT_RUNS,
    json: Json = False,
) -> None:
    """Compare runs: their figures, the settings in which they differ, and their curves in one picture.

    Of groups of runs (`train --seeds`, `--folds`) also by how much each differs from the first, with the 95 % interval
    of the paired difference, and how many seeds it would take when that is not clear.
    """
    from nnscratch.runs.comparison import compare_runs

    finish(compare_runs(runs, runs_dir, output, against_time=against_time, format=format), json)


@family.command(
    short_help="Write a run's model card: digests, figures, looks at each split.",
    epilog=examples("nnscratch evaluate runs/trial && nnscratch runs card runs/trial"),
)
def card(
    run: Run,
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: RunDataDir = None,
    json: Json = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Write model_card.md and model_card.json into a run: what there is to know of it for who relies on it.

    Digests of data, config, code and weights, a gradient check of the trained weights, how often each split was looked
    at, the figures of `nnscratch evaluate` with intervals and subgroups, the environment. Headings are left to fill in;
    what is written there stays when the card is made again.
    """
    path = read_run(run, runs_dir, allow_plugins)
    from nnscratch.results.model_card import write_card
    from nnscratch.teaching.gradient_report import gradcheck_run

    checked = gradcheck_run(path, workplace_of(path, data_dir, None), display_for(json, quiet=True))
    finish(write_card(path, checked.to_dict()), json)


@family.command(
    short_help="Train a run again beside it: bit-identical, or where it parts.",
    epilog=examples("nnscratch runs replay runs/trial"),
)
def replay(
    run: Run,
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: RunDataDir = None,
    threads: RunThreads = None,
    json: Json = False,
    quiet: Quiet = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Train a run again beside it, as far as it came: bit-identical, or the first step and array that differ.

    Compared are the loss of every step, the weights after every epoch, and all of the last checkpoint. The test split
    is not looked at. Exit code 1 when the run does not repeat.
    """
    cpu.use_kernel_of(find_run(run, runs_dir))  # before anything imports NumPy
    path = read_run(run, runs_dir, allow_plugins)
    from nnscratch.experiment.replay import replay as replay_run

    finish(replay_run(path, workplace_of(path, data_dir, threads), display_for(json, quiet)), json)


@family.command(
    short_help="Pass a run on to Weights & Biases as it is.",
    epilog=examples("nnscratch runs mirror runs/trial --wandb offline && wandb sync runs/trial/wandb/offline-run-*"),
)
def mirror(
    run: Run,
    wandb: Annotated[Literal["offline", "online"], typer.Option("--wandb", help="Into files for `wandb sync`, or up.")],
    runs_dir: RunsDir = DEFAULT_RUNS,
    json: Json = False,
    quiet: Quiet = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Pass a run on to Weights & Biases as it is: config, metrics, pictures, report, best checkpoint.

    One that was mirrored before goes on under its id there.
    """
    from nnscratch.experiment.mirrors.mirror import mirror_run

    finish(mirror_run(read_run(run, runs_dir, allow_plugins), wandb, display_for(json, quiet)), json)
