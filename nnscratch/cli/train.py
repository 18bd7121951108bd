"""`nnscratch train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from nnscratch import cpu
from nnscratch.cli.help import TRAIN_AND_USE, examples
from nnscratch.cli.options import (
    TAKES_OVERRIDES,
    AllowPlugins,
    Arguments,
    Json,
    Quiet,
    RunDataDir,
    RunsDir,
    Verbose,
    Wandb,
    any_file_and_overrides,
    display_for,
    read_config,
    read_run,
    workplace_of,
)
from nnscratch.cli.peers import communicator_of, observers_of, threads_of
from nnscratch.cli.result import finish
from nnscratch.errors import UsageError
from nnscratch.host.workplace import DEFAULT_DATA, DEFAULT_RUNS, Workplace
from nnscratch.runs.names import find_run

family = typer.Typer()


@family.command(
    rich_help_panel=TRAIN_AND_USE,
    context_settings=TAKES_OVERRIDES,
    epilog=examples(
        "nnscratch train configs/quickstart.yaml",
        "nnscratch train configs/cifar_best.yaml optimizer.learning_rate=3e-4 --epochs 5 --name trial",
        "nnscratch train --resume runs/trial --epochs 20",
        "nnscratch train --resume last training.early_stopping.patience=20",
    ),
)
def train(
    context: typer.Context,
    arguments: Arguments = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Continue this run in place: its folder or name, or `last`.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run and its folder.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training data.")] = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: RunDataDir = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            help="Threads to use; left out: every core, or the CPU quota; with --resume the run's own number.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the network and what it costs; write nothing.")
    ] = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw plots and the report at the end.")] = True,
    wandb: Wandb = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Train the network that CONFIG describes, or continue a run.

    Everything is written to a new folder under --runs-dir: config, metrics, checkpoints, plots and a report. Fields of
    the config can be changed after it: `optimizer.learning_rate=3e-4` or `--optimizer.learning_rate=3e-4`.
    """
    if resume is not None:
        _refuse_with_resume({"--name": name, "--seed": seed, "--dry-run": dry_run or None})
        resume = find_run(resume, runs_dir)
        cpu.use_kernel_of(resume)  # before anything imports NumPy
    elif not arguments:
        raise UsageError("which config?", "nnscratch train CONFIG.yaml, or nnscratch train --resume RUN")
    from nnscratch.experiment.dry_run import dry_run as describe
    from nnscratch.experiment.train import resume as resume_run
    from nnscratch.experiment.train import train as train_config

    display, communicator = display_for(json, quiet, verbose), communicator_of(context)
    threads, plots, observers = threads_of(context, threads), plots and not communicator.rank, observers_of(context)
    if resume is not None:
        path, changes = any_file_and_overrides(context, arguments or [])
        given = {each.partition("=")[0]: each for each in changes}
        _refuse_with_resume({"a config": path, "name=": given.get("name"), "seed=": given.get("seed")})
        run = read_run(resume, runs_dir, allow_plugins)
        workplace = workplace_of(run, data_dir, threads, plots=plots)
        finish(
            resume_run(
                run,
                epochs,
                workplace,
                display,
                overrides=changes,
                wandb=wandb,
                observers=observers,
                communicator=communicator,
            ),
            json,
        )
        return
    fields = {"name": name, "seed": seed, "training.epochs": epochs, "wandb.mode": wandb}
    config = read_config(context, arguments, allow_plugins, display, fields)
    workplace = Workplace(data_dir or DEFAULT_DATA, runs_dir, threads, plots)
    if dry_run:
        finish(describe(config, workplace, display), json)
    else:
        trained = train_config(config, workplace, display, wandb=wandb, observers=observers, communicator=communicator)
        finish(trained, json)


def _refuse_with_resume(given: Mapping[str, object]) -> None:
    refused = [what for what, value in given.items() if value is not None]
    if refused:
        raise UsageError(
            f"--resume continues a run as it was; {', '.join(refused)} cannot be given with it",
            "--epochs, --threads, output options and overrides can; or start a new run from the run's config.yaml",
        )
