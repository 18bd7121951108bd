"""The command line: thin commands, each one call and one print. Everything heavy is imported inside a command."""

from __future__ import annotations

import json as json_module
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from nnscratch.errors import UsageError, UserError
from nnscratch.version import VERSION

if TYPE_CHECKING:
    from nnscratch.experiment.display import Display
    from nnscratch.experiment.train import Options

app = typer.Typer(
    name="nnscratch",
    help="Trains neural networks from first principles, with NumPy only, driven by YAML.",
    epilog="Start with: nnscratch train configs/quickstart.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
PASS_OVERRIDES = {"ignore_unknown_options": True}

RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder that runs are written to.")]
DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="NNSCRATCH_DATA_DIR", help="Folder that datasets are in, or put into.")
]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads to use; left out: every core.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output at the end.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only results, warnings and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[a.b=VALUE]...", help="Fields of the config to change, such as optimizer.learning_rate=3e-4."),
]
DEFAULT_RUNS, DEFAULT_DATA = Path("runs"), Path("data")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"nnscratch {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(
    context_settings=PASS_OVERRIDES,
    epilog="Examples:  nnscratch train configs/quickstart.yaml  |  nnscratch train configs/cifar_best.yaml "
    "optimizer.learning_rate=3e-4 --epochs 5 --name trial  |  nnscratch train --resume runs/trial --epochs 20",
)
def train(
    config: Annotated[Path | None, typer.Argument(help="The YAML file that says what to train.")] = None,
    overrides: Overrides = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Continue this run in place.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run and its folder.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training data.")] = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: DataDir = DEFAULT_DATA,
    threads: Threads = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the network and what it costs; write nothing.")] = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw plots and the report at the end.")] = True,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train the network that CONFIG describes, or continue a run.

    Everything is written to a new folder under --runs-dir: config, metrics, checkpoints, plots and a report. Fields of
    the config can be changed after it: `optimizer.learning_rate=3e-4` or `--optimizer.learning_rate=3e-4`.
    """
    from nnscratch.experiment.config import load_config
    from nnscratch.experiment.train import resume as resume_run
    from nnscratch.experiment.train import train as train_config

    display = _display(json, quiet, verbose)
    options = _options(data_dir, runs_dir, threads, plots)
    if resume is not None:
        _refuse_with_resume(config, overrides, name, seed, dry_run)
        summary = resume_run(resume, epochs, options, display)
    elif config is None:
        raise UsageError("which config?", "nnscratch train CONFIG.yaml, or nnscratch train --resume RUN")
    else:
        flags = [("name", name), ("seed", seed), ("training.epochs", epochs)]
        changes = [*_overrides(overrides or []), *(f"{path}={value}" for path, value in flags if value is not None)]
        loaded = load_config(config, changes, display.say)
        if dry_run:
            from nnscratch.experiment.dry_run import dry_run as describe

            _emit(describe(loaded, options, display), json)
            return
        summary = train_config(loaded, options, display)
    if json:
        print(json_module.dumps(summary.to_dict()))


@app.command(epilog="Example:  nnscratch init my_network.yaml && nnscratch train my_network.yaml")
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("config.yaml"),
) -> None:
    """Write a commented config to start from."""
    from nnscratch.experiment.starter import write_starter

    write_starter(path)
    print(f"wrote {path}; train it with: nnscratch train {path}")


@app.command(epilog="Example:  nnscratch schema > nnscratch.schema.json")
def schema() -> None:
    """Print the JSON Schema of configs, which editors complete from."""
    from nnscratch.experiment.schema import json_schema

    print(json_module.dumps(json_schema(), indent=2))


@app.command(epilog="Example:  nnscratch doctor --json")
def doctor(data_dir: DataDir = DEFAULT_DATA, threads: Threads = None, json: Json = False) -> None:
    """Say what this machine gives: BLAS kernel and why, threads, measured GFLOP/s, versions, data found."""
    from nnscratch.experiment.doctor import examine

    _emit(examine(data_dir, threads), json)


data_app = typer.Typer(help="The datasets: which there are, fetching and verifying them.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command("list", epilog="Example:  nnscratch data list --data-dir /data")
def data_list(data_dir: DataDir = DEFAULT_DATA, json: Json = False) -> None:
    """List every dataset, whether it is there, and in which format."""
    from nnscratch.experiment.data_commands import list_datasets

    _emit(list_datasets(data_dir), json)


@data_app.command("fetch", epilog="Example:  nnscratch data fetch fashion_mnist")
def data_fetch(
    name: Annotated[str, typer.Argument(help="The dataset to download.")],
    data_dir: DataDir = DEFAULT_DATA,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download a dataset and verify every byte of it."""
    from nnscratch.experiment.data_commands import fetch_dataset

    _emit(fetch_dataset(name, data_dir, _display(json, quiet, False)), json)


@data_app.command("verify", epilog="Example:  nnscratch data verify cifar10")
def data_verify(
    name: Annotated[str, typer.Argument(help="The dataset to check.")],
    data_dir: DataDir = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Read a dataset and check its structure, its counts and, where there are official ones, its digests."""
    from nnscratch.experiment.data_commands import verify_dataset

    _emit(verify_dataset(name, data_dir), json)


def _display(json: bool, quiet: bool, verbose: bool) -> Display:
    from nnscratch.experiment.display import Display

    return Display(json=json, quiet=quiet, verbose=verbose)


def _options(data_dir: Path, runs_dir: Path = DEFAULT_RUNS, threads: int | None = None, plots: bool = True) -> Options:
    from nnscratch.experiment.train import Options

    return Options(data_dir=data_dir, runs_dir=runs_dir, threads=threads, plots=plots)


def _emit(result: Any, json: bool) -> None:
    """Prints a result that has a text for people and plain values for scripts."""
    print(json_module.dumps(result.to_dict()) if json else result.to_text())


def _overrides(arguments: list[str]) -> list[str]:
    """`a.b=v`, `--a.b=v` and `--a.b v` as `a.b=v`. Raises UsageError for what is none of them."""
    changes: list[str] = []
    waiting: str | None = None
    for argument in arguments:
        if waiting is not None:
            changes.append(f"{waiting}={argument}")
            waiting = None
        elif argument.startswith("-"):
            path, equals, value = argument.lstrip("-").partition("=")
            _refuse_unknown_option(argument, path)
            if equals:
                changes.append(f"{path}={value}")
            else:
                waiting = path
        elif "=" in argument:
            changes.append(argument)
        else:
            raise UsageError(f"`{argument}` is not an override", "write overrides as a.b=value")
    if waiting is not None:
        raise UsageError(f"--{waiting} needs a value", f"write --{waiting}=VALUE")
    return changes


def _refuse_unknown_option(argument: str, path: str) -> None:
    """Only dotted paths and top-level fields of a config are overrides; anything else is a mistyped option."""
    from nnscratch.errors import did_you_mean
    from nnscratch.experiment.config import Config

    if "." in path or path in Config.model_fields:
        return
    options = [option for parameter in click.get_current_context().command.params for option in parameter.opts]
    closest = did_you_mean(f"--{path}", [option for option in options if option.startswith("--")])
    raise UsageError(f"no such option: {argument.partition('=')[0]}{closest}", "`--help` lists the options")


def _refuse_with_resume(
    config: Path | None, overrides: list[str] | None, name: str | None, seed: int | None, dry_run: bool
) -> None:
    given = {"CONFIG": config, "overrides": overrides, "--name": name, "--seed": seed, "--dry-run": dry_run or None}
    refused = [what for what, value in given.items() if value]
    if refused:
        raise UsageError(
            f"--resume continues a run as it was; {', '.join(refused)} cannot be given with it",
            "only --epochs, --threads and output options can; or start a new run from the run's config.yaml",
        )


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and exits with its code: 0 ok, 1 failed, 2 usage or config, 3 diverged, 4 data, 130 interrupted."""
    try:
        app(args=arguments, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (`nnscratch ... | head`); Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
