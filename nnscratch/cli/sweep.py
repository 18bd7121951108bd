"""`nnscratch sweep`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import typer

from nnscratch.cli.help import TRAIN_AND_USE, examples
from nnscratch.cli.options import (
    TAKES_OVERRIDES,
    AllowPlugins,
    DataDir,
    Json,
    Quiet,
    RunsDir,
    Threads,
    Verbose,
    Wandb,
    display_for,
    file_and_overrides,
)
from nnscratch.cli.result import finish
from nnscratch.host.workplace import DEFAULT_DATA, DEFAULT_RUNS, Workplace

family = typer.Typer()
SweepEngine = Literal["local", "wandb"]


@family.command(
    rich_help_panel=TRAIN_AND_USE,
    context_settings=TAKES_OVERRIDES,
    short_help="Train many variants of a config and find the best.",
    epilog=examples(
        "nnscratch sweep configs/sweep.yaml --workers 2",
        "nnscratch sweep configs/sweep.yaml training.epochs=5 --dry-run",
        "nnscratch sweep configs/sweep.yaml --storage postgresql://user@host/sweeps",
        "nnscratch sweep configs/sweep.yaml --engine wandb",
    ),
)
def sweep(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP [a.b=VALUE]...", help="The sweep file, in W&B's schema, and fields of its config to change."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The sweep's name; the same name goes on with it.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="Trials in all, in place of the file's run_cap.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the search; left out: the config's.")] = None,
    workers: Annotated[int, typer.Option("--workers", help="Trials at a time; they share the threads out.")] = 1,
    ranks_per_trial: Annotated[
        int, typer.Option("--ranks-per-trial", help="Processes that train one trial together, by an mpirun of its own.")
    ] = 1,
    storage: Annotated[
        str | None, typer.Option("--storage", help="postgresql://... or a journal file, shared between machines.")
    ] = None,
    lease: Annotated[
        float, typer.Option("--lease", help="Seconds of silence after which a worker's trial is taken up by another.")
    ] = 60.0,
    extend: Annotated[
        bool, typer.Option("--extend", help="Go on under the same name with other parameters; old trials are kept.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many trials and epochs, and about how long; write nothing.")
    ] = False,
    engine: Annotated[SweepEngine, typer.Option("--engine", help="Who chooses the trials.")] = "local",
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: DataDir = DEFAULT_DATA,
    threads: Threads = None,
    plots: Annotated[
        bool | None,
        typer.Option(
            "--plots/--no-plots", help="Draw every trial's plots and report, too, or none; left out: the sweep's own."
        ),
    ] = None,
    wandb: Wandb = None,
    allow_plugins: AllowPlugins = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train many variants of a config and find the best: grid, random or Bayesian search.

    Results are in RUNS_DIR/sweeps/NAME. Stopped or killed at any moment and started again, it goes on. Several
    machines work on one sweep when they are given the same --storage.
    """
    from nnscratch.sweeps.command_line import SweepOptions
    from nnscratch.sweeps.command_line import sweep as run_sweep

    file, changes = file_and_overrides(context, arguments or [])
    how = SweepOptions(
        name, count, seed, workers, storage, lease, engine, plots is True, extend, allow_plugins, wandb, dry_run
    )
    how = replace(how, ranks=ranks_per_trial)
    workplace = Workplace(data_dir, runs_dir, threads, plots is not False)
    finish(run_sweep(file, how, workplace, display_for(json, quiet, verbose), changes), json)
