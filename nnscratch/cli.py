"""The command line: thin commands, each one call and one print. Everything heavy is imported inside a command."""

from __future__ import annotations

import json as json_module
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG [a.b=VALUE]...", help="A YAML file, and fields of it to change: optimizer.learning_rate=3e-4."
    ),
]
DEFAULT_RUNS, DEFAULT_DATA = Path("runs"), Path("data")

# Newer versions of typer carry click under a name of their own, so its base class is reached through typer's.
CommandLineError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


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
    context: typer.Context,
    arguments: Arguments = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Continue this run in place.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run and its folder.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training data.")] = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: DataDir = DEFAULT_DATA,
    threads: Threads = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the network and what it costs; write nothing.")
    ] = False,
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

    config, changes = _arguments(context, arguments)
    display = _display(json, quiet, verbose)
    options = _options(data_dir, runs_dir, threads, plots)
    if resume is not None:
        _refuse_with_resume(arguments, name, seed, dry_run)
        summary = resume_run(resume, epochs, options, display)
    elif config is None:
        raise UsageError("which config?", "nnscratch train CONFIG.yaml, or nnscratch train --resume RUN")
    else:
        flags = [("name", name), ("seed", seed), ("training.epochs", epochs)]
        changes += [f"{path}={value}" for path, value in flags if value is not None]
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


@app.command(
    context_settings=PASS_OVERRIDES,
    epilog="Examples:  nnscratch gradcheck configs/cifar_best.yaml  |  nnscratch gradcheck my.yaml "
    "model.activation=tanh --tolerance 1e-7",
)
def gradcheck(
    context: typer.Context,
    arguments: Arguments,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Largest relative error that passes.")] = 1e-6,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Entries checked of each array, at most.")] = 50,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Examples in the batch.")] = 4,
    data_dir: DataDir = DEFAULT_DATA,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Check every gradient of CONFIG against central differences in float64; exit code 1 names a wrong layer."""
    from nnscratch.experiment.config import load_config
    from nnscratch.experiment.gradcheck import gradcheck as check

    display = _display(json, False, verbose)
    loaded = load_config(*_required_config(context, arguments), display.say)
    report = check(loaded, _options(data_dir), display, batch_size=batch_size, samples=samples, tolerance=tolerance)
    _emit(report, json)
    report.require_passed()


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

    report = verify_dataset(name, data_dir, _display(json, False, False))
    _emit(report, json)
    if not report.is_sound:
        raise typer.Exit(4)


def _display(json: bool, quiet: bool, verbose: bool) -> Display:
    from nnscratch.experiment.display import Display

    return Display(json=json, quiet=quiet, verbose=verbose)


def _options(data_dir: Path, runs_dir: Path = DEFAULT_RUNS, threads: int | None = None, plots: bool = True) -> Options:
    from nnscratch.experiment.train import Options

    return Options(data_dir=data_dir, runs_dir=runs_dir, threads=threads, plots=plots)


def _emit(result: Any, json: bool) -> None:
    """Prints a result that has a text for people and plain values for scripts."""
    print(json_module.dumps(result.to_dict()) if json else result.to_text())


def _arguments(context: typer.Context, arguments: list[str] | None) -> tuple[Path | None, list[str]]:
    """The config and the overrides among a command's arguments."""
    from nnscratch.experiment.arguments import config_and_overrides

    options = [option for parameter in context.command.params for option in parameter.opts]
    return config_and_overrides(arguments or [], options)


def _required_config(context: typer.Context, arguments: list[str] | None) -> tuple[Path, list[str]]:
    """The same, for a command that cannot do without a config."""
    config, changes = _arguments(context, arguments)
    if config is None:
        raise UsageError("which config?", f"nnscratch {context.info_name} CONFIG.yaml")
    return config, changes


def _refuse_with_resume(arguments: list[str] | None, name: str | None, seed: int | None, dry_run: bool) -> None:
    given = {"a config or overrides": arguments, "--name": name, "--seed": seed, "--dry-run": dry_run or None}
    refused = [what for what, value in given.items() if value]
    if refused:
        raise UsageError(
            f"--resume continues a run as it was; {', '.join(refused)} cannot be given with it",
            "only --epochs, --threads and output options can; or start a new run from the run's config.yaml",
        )


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; exit codes: 0 ok, 1 failed, 2 usage or config, 3 diverged, 4 data, 130 interrupted."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except CommandLineError as error:
        error.show()
        sys.exit(2)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (`nnscratch ... | head`); Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    if isinstance(code, int) and code:
        sys.exit(code)
