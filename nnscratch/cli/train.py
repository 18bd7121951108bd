"""`nnscratch train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from nnscratch.cli.peers import refuse_several, share_of
from nnscratch.cli.result import Result, finish
from nnscratch.errors import UsageError
from nnscratch.host.workplace import DEFAULT_DATA, DEFAULT_RUNS, Workplace
from nnscratch.runs.names import find_group, find_run

if TYPE_CHECKING:
    from nnscratch.config.config import Config
    from nnscratch.host.display import Display

family = typer.Typer()

Resume = Annotated[
    Path | None,
    typer.Option("--resume", help="Continue this run, or group of runs, in place: its folder or name, or `last`."),
]
Seeds = Annotated[
    str | None, typer.Option("--seeds", help="Train once with each, as 42,43,44: their mean and its interval.")
]
Folds = Annotated[
    int | None,
    typer.Option("--folds", help="Train once for each of N parts of the data, held out and scored."),
]
Minutes = Annotated[
    float | None, typer.Option("--minutes", help="Train about so long: the epochs that fit are timed, fixed and said.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", help="Of --seeds or --folds: trainings at a time, which share the threads."),
]
TrainThreads = Annotated[
    int | None,
    typer.Option(
        "--threads", help="Threads to use; left out: every core, or the CPU quota; with --resume the run's own number."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the network and what it costs; write nothing.")]


@family.command(
    rich_help_panel=TRAIN_AND_USE,
    context_settings=TAKES_OVERRIDES,
    epilog=examples(
        "nnscratch train configs/quickstart.yaml",
        "nnscratch train configs/cifar_best.yaml optimizer.learning_rate=3e-4 --epochs 5 --name trial",
        "nnscratch train configs/quickstart.yaml --seeds 42,43,44 --workers 2",
        "nnscratch train configs/cifar_best.yaml --minutes 10",
        "nnscratch train --resume runs/trial --epochs 20",
        "nnscratch train --resume last training.early_stopping.patience=20",
    ),
)
def train(
    context: typer.Context,
    arguments: Arguments = None,
    resume: Resume = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run and its folder.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")] = None,
    seeds: Seeds = None,
    folds: Folds = None,
    workers: Workers = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training data.")] = None,
    minutes: Minutes = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: RunDataDir = None,
    threads: TrainThreads = None,
    dry_run: DryRun = False,
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

    With --seeds or --folds it is trained several times, in runs of their own in one folder: the end is their mean with
    its 95 % interval. The same command again goes on with what is left.
    """
    new = {"--name": name, "--seed": seed, "--seeds": seeds, "--folds": folds, "--minutes": minutes}
    new["--dry-run"] = dry_run or None
    workplace = Workplace(data_dir or DEFAULT_DATA, runs_dir, threads, plots)
    display = display_for(json, quiet, verbose)
    if resume is not None and (group := find_group(resume, runs_dir)) is not None:
        _refuse_with_resume({**new, "a config or an override": arguments, "--epochs": epochs}, OF_A_GROUP)
        finish(_go_on(context, group, workers or 1, workplace, data_dir, display, wandb, allow_plugins), json)
    elif resume is not None:
        _refuse_with_resume({**new, "--workers": workers})
        resume = find_run(resume, runs_dir)
        cpu.use_kernel_of(resume)  # before anything imports NumPy
        changes = _overrides_of_a_run(context, arguments)
        run = read_run(resume, runs_dir, allow_plugins)
        workplace = workplace_of(run, data_dir, threads, plots=plots)
        finish(_resume(context, run, epochs, workplace, display, changes, wandb), json)
    elif not arguments:
        raise UsageError("which config?", "nnscratch train CONFIG.yaml, or nnscratch train --resume RUN")
    else:
        fields: dict[str, str | float | None] = {"name": name, "seed": seed, "wandb.mode": wandb}
        fields |= {"training.epochs": epochs, "training.minutes": minutes}
        if epochs is not None and minutes is not None:
            raise UsageError("--epochs and --minutes: one of them")
        config = read_config(context, arguments, allow_plugins, display, fields)
        if seeds is not None or folds is not None:
            _refuse_with_repeats(dry_run, () if seeds is None else (seed, _override_of(context, arguments, "seed")))
            finish(_repeat(context, config, seeds, folds, workers or 1, workplace, display, wandb, allow_plugins), json)
        elif workers is not None:
            raise UsageError("--workers shares out what --seeds or --folds repeat", "leave it out, or add --seeds")
        else:
            finish(_train(context, config, workplace, display, wandb, dry_run), json)


def _train(
    context: typer.Context, config: Config, workplace: Workplace, display: Display, wandb: str | None, dry_run: bool
) -> Result:
    from nnscratch.experiment.dry_run import dry_run as describe
    from nnscratch.experiment.train import train

    if dry_run:
        return describe(config, workplace, display)
    workplace, together = share_of(context, workplace)
    return train(config, workplace, display, wandb=wandb, **together)


def _resume(
    context: typer.Context,
    run: Path,
    epochs: int | None,
    workplace: Workplace,
    display: Display,
    changes: list[str],
    wandb: str | None,
) -> Result:
    from nnscratch.experiment.train import resume

    workplace, together = share_of(context, workplace, run)
    return resume(run, epochs, workplace, display, overrides=changes, wandb=wandb, **together)


def _repeat(
    context: typer.Context,
    config: Config,
    seeds: str | None,
    folds: int | None,
    workers: int,
    workplace: Workplace,
    display: Display,
    wandb: str | None,
    allow_plugins: bool,
) -> Result:
    from nnscratch.experiment.repeats import How, parse_seeds, repeat

    refuse_several(context, "what --seeds or --folds repeat")
    numbers = parse_seeds(seeds) if seeds is not None else ()
    return repeat(config, numbers, folds, How(workers, allow_plugins, wandb), workplace, display)


def _go_on(
    context: typer.Context,
    group: Path,
    workers: int,
    workplace: Workplace,
    data_dir: Path | None,
    display: Display,
    wandb: str | None,
    allow_plugins: bool,
) -> Result:
    refuse_several(context, "the runs of a group")
    begun = next(iter(sorted(group.glob("*/meta.json"))), None)
    if begun is not None:
        cpu.use_kernel_of(begun.parent)  # before anything imports NumPy
        read_run(begun.parent, group, allow_plugins)
        workplace = workplace_of(begun.parent, data_dir, workplace.threads, plots=workplace.plots)
    from nnscratch.experiment.repeats import How, go_on
    from nnscratch.runs.group import RunGroup

    return go_on(RunGroup.open(group), How(workers, allow_plugins, wandb), workplace, display)


def _overrides_of_a_run(context: typer.Context, arguments: list[str] | None) -> list[str]:
    """The fields of a run's config to change. Raises UsageError for those that make another run."""
    path, changes = any_file_and_overrides(context, arguments or [])
    given = {f"{field}=": _override_of(context, arguments, field) for field in ("name", "seed")}
    _refuse_with_resume({"a config": path, **given})
    return changes


def _override_of(context: typer.Context, arguments: list[str] | None, field: str) -> str | None:
    """The override of that field, where there is one."""
    _, changes = any_file_and_overrides(context, arguments or [])
    return next((each for each in changes if each.partition("=")[0] == field), None)


OF_A_GROUP = "--workers, --threads and output options can; or start a new group"


def _refuse_with_resume(given: Mapping[str, object], hint: str = "") -> None:
    refused = [what for what, value in given.items() if value is not None]
    if refused:
        raise UsageError(
            f"--resume continues a run as it was; {', '.join(refused)} cannot be given with it",
            hint
            or "--epochs, --threads, output options and overrides can; or start a new run from the run's config.yaml",
        )


def _refuse_with_repeats(dry_run: bool, seeds: Sequence[object]) -> None:
    """`seeds` are what says which one to train with, beside --seeds."""
    refused = [*(["--dry-run"] if dry_run else []), *(["a seed"] if any(each is not None for each in seeds) else [])]
    if refused:
        raise UsageError(f"{', '.join(refused)} cannot be given with --seeds or --folds, which train several runs")
