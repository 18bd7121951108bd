"""`nnscratch runs`: the runs there are, listed and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnscratch.cli.help import Group, examples
from nnscratch.cli.options import Json, RunsDir
from nnscratch.cli.result import finish
from nnscratch.host.workplace import DEFAULT_RUNS

family = typer.Typer(cls=Group, help="The runs there are: listing and comparing them.", no_args_is_help=True)


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
    epilog=examples("nnscratch runs compare runs/quickstart runs/quickstart-2"),
)
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Folders of runs, or names in --runs-dir.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The picture: .png, .pdf or .svg.")] = None,
    against_time: Annotated[
        bool, typer.Option("--against-time", help="Draw accuracy against training time instead of curves.")
    ] = False,
    runs_dir: RunsDir = DEFAULT_RUNS,
    json: Json = False,
) -> None:
    """Compare runs: their figures, the settings in which they differ, and their curves in one picture."""
    from nnscratch.runs.listing import compare_runs

    finish(compare_runs(runs, runs_dir, output, against_time=against_time), json)
