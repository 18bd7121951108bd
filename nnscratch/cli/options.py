"""What several commands take: every such option and argument once, and how they are read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nnscratch.errors import UsageError
from nnscratch.runs.names import find_run, has_been_trained

if TYPE_CHECKING:
    from nnscratch.config.config import Config
    from nnscratch.host.display import Display
    from nnscratch.host.workplace import Workplace

WandbMode = Literal["off", "offline", "online"]

# What a command works on.
TAKES_OVERRIDES = {"ignore_unknown_options": True}
"""The context settings of a command with `Arguments`: `--a.b=VALUE` is an override, not an unknown option."""
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG [a.b=VALUE]...", help="A YAML file, and fields of it to change: optimizer.learning_rate=3e-4."
    ),
]
Run = Annotated[Path, typer.Argument(help="The run: its folder, or its name in --runs-dir.")]
Checkpoint = Annotated[str, typer.Option("--checkpoint", help="best, last or a file: whose weights to use.")]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target", metavar="NAME", help="The column of a table to predict; several times for several numbers."
    ),
]
DataFields = Annotated[
    list[str] | None,
    typer.Argument(metavar="FIELD=VALUE", help="How the data is read: data.dataset.FIELD=VALUE."),
]

# Where it works, and with what.
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder that runs are in.")]
DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="NNSCRATCH_DATA_DIR", help="Folder that datasets are in, or put into.")
]
RunDataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="NNSCRATCH_DATA_DIR",
        help="Folder that datasets are in; left out: the one the run was trained with.",
    ),
]
Threads = Annotated[
    int | None, typer.Option("--threads", help="Threads to use; left out: every core, or the CPU quota.")
]
RunThreads = Annotated[int | None, typer.Option("--threads", help="Threads to use; left out: as many as in training.")]
Wandb = Annotated[WandbMode | None, typer.Option("--wandb", help="Mirror on Weights & Biases; left out: the config's.")]
AllowPlugins = Annotated[
    bool, typer.Option("--allow-plugins", help="Run the Python files that the config names under `plugins`.")
]

# What it says.
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output at the end.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only results, warnings and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]


def display_for(json: bool, quiet: bool = False, verbose: bool = False) -> Display:
    """Where the command tells what it does."""
    from nnscratch.host.display import Display

    return Display(json=json, quiet=quiet, verbose=verbose)


def read_run(run: Path, runs_dir: Path, allow_plugins: bool) -> Path:
    """The run that is meant, after the plugins it may import. Raises UsageError when there is none."""
    path = find_run(run, runs_dir)
    _import_plugins(path, allow_plugins)
    return path


def workplace_of(run: Path, data_dir: Path | None, threads: int | None, *, plots: bool = True) -> Workplace:
    """Where a run's data is: in the folder that was named, else in the run's own, if that is still there."""
    from nnscratch.host.workplace import DEFAULT_DATA, Workplace
    from nnscratch.runs.directory import RunDirectory
    from nnscratch.runs.names import folder_of

    own = RunDirectory(folder_of(run)).read_meta().data_dir
    if data_dir is None and own is not None and Path(own).is_dir():
        # What a run says, which may be anybody's, must not choose where a download is put.
        return Workplace(Path(own), threads=threads, plots=plots, download=Path(own) == DEFAULT_DATA.absolute())
    return Workplace(data_dir or DEFAULT_DATA, threads=threads, plots=plots)


def named_run(arguments: list[str] | None, runs_dir: Path) -> Path | None:
    """The run among a command's arguments; None when they name a config. Raises UsageError for overrides of a run."""
    given = arguments or []
    run = next((each for each in given if any(map(has_been_trained, (Path(each), runs_dir / each)))), None)
    if run is not None and len(given) > 1:
        raise UsageError(f"{run} is a run, which is checked as it was trained", "overrides go with a config")
    return None if run is None else Path(run)


def read_config(
    context: typer.Context,
    arguments: list[str] | None,
    allow_plugins: bool,
    display: Display,
    fields: Mapping[str, str | float | None] | None = None,
) -> Config:
    """The config among a command's arguments with its overrides, after the plugins it may import.

    `fields` are what options of their own set: they win over overrides; None leaves the config's.
    """
    from nnscratch.config.config import load_config
    from nnscratch.config.override import override
    from nnscratch.sweeps.agent import as_overrides, started_by_agent

    path, changes = file_and_overrides(context, as_overrides(arguments or [], os.environ))
    _import_plugins(path, allow_plugins)
    for field, value in (fields or {}).items():
        if value is not None:
            changes.append(override(field, value))
    return load_config(path, changes, display.say, leave_out=started_by_agent(os.environ))


def file_and_overrides(context: typer.Context, arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """The file among a command's arguments, and the fields to change. Raises UsageError."""
    path, changes = any_file_and_overrides(context, arguments)
    if path is None:
        what = "sweep" if context.info_name == "sweep" else "config"
        raise UsageError(f"which {what}?", f"nnscratch {context.info_name} {what.upper()}.yaml")
    return path, changes


def any_file_and_overrides(context: typer.Context, arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The same for a command that may do without a file."""
    from nnscratch.config.arguments import config_and_overrides

    options = [option for parameter in context.command.params for option in parameter.opts]
    return config_and_overrides(arguments, options)


def _import_plugins(path: Path, allowed: bool) -> None:
    if allowed:
        from nnscratch.runs.kept_plugins import import_plugins

        import_plugins(path)
