"""`nnscratch runs`: the runs there are, listed, compared and mirrored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nnscratch.cli.help import Group, examples
from nnscratch.cli.options import AllowPlugins, Json, Quiet, Run, RunsDir, display_for, read_run
from nnscratch.cli.result import finish
from nnscratch.host.workplace import DEFAULT_RUNS

family = typer.Typer(cls=Group, help="The runs there are: listing, comparing and mirroring them.", no_args_is_help=True)


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
