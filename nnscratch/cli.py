"""The command line: thin commands, each one call and one print. Everything heavy is imported inside a command."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nnscratch import cpu
from nnscratch.errors import UsageError, UserError
from nnscratch.host.workplace import DEFAULT_DATA, DEFAULT_RUNS
from nnscratch.runs.names import find_run
from nnscratch.version import VERSION

if TYPE_CHECKING:
    from nnscratch.config.config import Config
    from nnscratch.host.display import Display
    from nnscratch.host.workplace import Workplace

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

WandbMode = Literal["off", "offline", "online"]
SweepEngine = Literal["local", "wandb"]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder that runs are in.")]
Run = Annotated[Path, typer.Argument(help="The run: its folder, or its name in --runs-dir.")]
DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="NNSCRATCH_DATA_DIR", help="Folder that datasets are in, or put into.")
]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads to use; left out: every core.")]
TrainThreads = Annotated[
    int | None,
    typer.Option("--threads", help="Threads to use; left out: every core, with --resume the run's own number."),
]
RunThreads = Annotated[int | None, typer.Option("--threads", help="Threads to use; left out: as many as in training.")]
Checkpoint = Annotated[str, typer.Option("--checkpoint", help="best, last or a file: whose weights to use.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output at the end.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only results, warnings and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Wandb = Annotated[WandbMode | None, typer.Option("--wandb", help="Mirror on Weights & Biases; left out: the config's.")]
AllowPlugins = Annotated[
    bool, typer.Option("--allow-plugins", help="Run the Python files that the config names under `plugins`.")
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG [a.b=VALUE]...", help="A YAML file, and fields of it to change: optimizer.learning_rate=3e-4."
    ),
]

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
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Continue this run, given by folder or name, in place.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run and its folder.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training data.")] = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: DataDir = DEFAULT_DATA,
    threads: TrainThreads = None,
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
        _refuse_with_resume(arguments, name, seed, dry_run)
        resume = find_run(resume, runs_dir)
        cpu.use_kernel_of(resume)  # before anything imports NumPy
    from nnscratch.config.config import load_config
    from nnscratch.config.overrides import override
    from nnscratch.experiment.train import resume as resume_run
    from nnscratch.experiment.train import train as train_config
    from nnscratch.sweeps.agent import started_by_agent

    config, changes = _arguments(context, arguments)
    _import_plugins(allow_plugins, resume or config)
    display = _display(json, quiet, verbose)
    options = _options(data_dir, runs_dir, threads, plots)
    if resume is not None:
        summary = resume_run(resume, epochs, options, display, wandb=wandb)
    elif config is None:
        raise UsageError("which config?", "nnscratch train CONFIG.yaml, or nnscratch train --resume RUN")
    else:
        flags = {"name": name, "seed": seed, "training.epochs": epochs, "wandb.mode": wandb}
        for path, value in flags.items():
            if value is not None:
                changes.append(override(path, value))
        loaded = load_config(config, changes, display.say, leave_out=started_by_agent(os.environ))
        if dry_run:
            from nnscratch.experiment.dry_run import dry_run as describe

            _emit(describe(loaded, options, display), json)
            return
        summary = train_config(loaded, options, display, wandb=wandb)
    if json:
        _emit(summary, json=True)


@app.command(epilog="Examples:  nnscratch evaluate runs/trial  |  nnscratch evaluate runs/trial --split val --json")
def evaluate(
    run: Run,
    split: Annotated[str, typer.Option("--split", help="test, val or train.")] = "test",
    checkpoint: Checkpoint = "best",
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: DataDir = DEFAULT_DATA,
    threads: RunThreads = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw its plots too.")] = True,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Say how good a run's network is on a split: loss, accuracy, every class, calibration.

    Figures, predictions and plots are also written to evaluation/<split>/ inside the run.
    """
    from nnscratch.results.evaluate import evaluate_run

    run = find_run(run, runs_dir)
    _import_plugins(allow_plugins, run)
    display, options = _display(json, quiet, verbose), _options(data_dir, threads=threads, plots=plots)
    _emit(evaluate_run(run, split, checkpoint, options, display), json)


@app.command(
    epilog="Examples:  nnscratch predict runs/trial cat.png pictures/  |  nnscratch predict runs/trial rows.csv --csv"
    "  |  find . -name '*.jpg' | nnscratch predict runs/trial - --json"
)
def predict(
    run: Run,
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Pictures, folders, .npy, .npz, .csv; -: paths on stdin.")
    ],
    top: Annotated[int, typer.Option("--top", help="How many of the likeliest classes to name.")] = 3,
    checkpoint: Checkpoint = "best",
    runs_dir: RunsDir = DEFAULT_RUNS,
    threads: RunThreads = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON list with an object for every input.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A CSV table with a row for every input.")] = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Say what a run's network makes of new inputs.

    Pictures (PNG, JPEG, GIF, BMP, WebP; any size and mode) are turned upright, put on white, converted to the colours
    and resized to the size the network knows. Arrays and CSV rows hold what the training data holds: pixels 0..255, or
    the features. An input that cannot be read is a row with its error, the others are predicted, the exit code is 1.
    """
    from nnscratch.results.predict import predict_run, write_predictions

    run = find_run(run, runs_dir)
    _import_plugins(allow_plugins, run)
    if json and csv:
        raise UsageError("--json and --csv: one of them")
    listing = getattr(sys.stdin, "buffer", sys.stdin)
    predictions = predict_run(run, inputs, listing, checkpoint=checkpoint, top=top, threads=threads)
    write_predictions(predictions, "json" if json else "csv" if csv else "text", sys.stdout)


@app.command(epilog="Example:  nnscratch plot runs/quickstart")
def plot(
    run: Run,
    checkpoint: Checkpoint = "best",
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: DataDir = DEFAULT_DATA,
    threads: RunThreads = None,
    json: Json = False,
    quiet: Quiet = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Draw a run's plots and its report.html again."""
    from nnscratch.results.plot import plot_run

    run = find_run(run, runs_dir)
    _import_plugins(allow_plugins, run)
    _emit(plot_run(run, checkpoint, _options(data_dir, threads=threads), _display(json, quiet, False)), json)


@app.command(
    epilog="Examples:  nnscratch sweep configs/sweep.yaml --workers 2  |  nnscratch sweep configs/sweep.yaml "
    "--storage postgresql://user@host/sweeps (on every machine)  |  nnscratch sweep configs/sweep.yaml --engine wandb"
)
def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP", help="The sweep file, in W&B's schema.")],
    name: Annotated[str | None, typer.Option("--name", help="The sweep's name; the same name goes on with it.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="Trials in all, in place of the file's run_cap.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the search; left out: the config's.")] = None,
    workers: Annotated[int, typer.Option("--workers", help="Trials at a time; they share the threads out.")] = 1,
    storage: Annotated[
        str | None, typer.Option("--storage", help="postgresql://... or a journal file, shared between machines.")
    ] = None,
    lease: Annotated[
        float, typer.Option("--lease", help="Seconds of silence after which a worker's trial is taken up by another.")
    ] = 60.0,
    extend: Annotated[
        bool, typer.Option("--extend", help="Go on under the same name with other parameters; old trials are kept.")
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

    how = SweepOptions(name, count, seed, workers, storage, lease, engine, plots is True, extend, allow_plugins, wandb)
    options = _options(data_dir, runs_dir, threads, plots is not False)
    result = run_sweep(file, how, options, _display(json, quiet, verbose))
    _emit(result, json)
    result.check()


@app.command(epilog="Example:  nnscratch init my_network.yaml && nnscratch train my_network.yaml")
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("config.yaml"),
) -> None:
    """Write a commented config to start from."""
    from nnscratch.setup.starter import write_starter

    write_starter(path)
    print(f"wrote {path}; train it with: nnscratch train {path}")


@app.command(epilog="Example:  nnscratch schema > nnscratch.schema.json")
def schema() -> None:
    """Print the JSON Schema of configs, which editors complete from."""
    from nnscratch.config.schema import json_schema
    from nnscratch.host.json_text import json_text

    print(json_text(json_schema(), indent=2))


@app.command(epilog="Example:  nnscratch doctor --json")
def doctor(data_dir: DataDir = DEFAULT_DATA, threads: Threads = None, json: Json = False) -> None:
    """Say what this machine gives: BLAS kernel and why, threads, measured GFLOP/s, versions, data found."""
    from nnscratch.setup.doctor import examine

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
    threads: Threads = None,
    json: Json = False,
    verbose: Verbose = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Check every gradient of CONFIG against central differences in float64; exit code 1 names a wrong layer."""
    from nnscratch.teaching.gradient_report import gradcheck as check

    display = _display(json, False, verbose)
    loaded = _load(context, arguments, allow_plugins, display)
    options = _options(data_dir, threads=threads)
    report = check(loaded, options, display, batch_size=batch_size, samples=samples, tolerance=tolerance)
    _emit(report, json)
    report.require_passed()


@app.command(
    context_settings=PASS_OVERRIDES,
    epilog="Example:  nnscratch explain configs/smoke.yaml --html step.html",
)
def explain(
    context: typer.Context,
    arguments: Arguments,
    sample: Annotated[int, typer.Option("--sample", min=1, help="How many examples the step is told with.")] = 2,
    step: Annotated[int, typer.Option("--step", min=1, help="Which training step; those before are done.")] = 1,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with real formulas here.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write Markdown with TeX formulas here.")] = None,
    data_dir: DataDir = DEFAULT_DATA,
    threads: Threads = None,
    json: Json = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Tell one training step of CONFIG in formulas, shapes and numbers that can be computed again by hand."""
    from nnscratch.teaching.explain import explain as tell
    from nnscratch.teaching.explain import write_explanation

    display = _display(json, html is None and markdown is None, False)
    loaded = _load(context, arguments, allow_plugins, display)
    told = tell(loaded, _options(data_dir, threads=threads), display, sample=sample, step=step)
    if html is not None:
        write_explanation(html, told.to_html())
    if markdown is not None:
        write_explanation(markdown, told.to_markdown())
    if json or (html is None and markdown is None):
        _emit(told, json)


@app.command(epilog="Example:  nnscratch diagnose runs/quickstart")
def diagnose(
    run: Run,
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: DataDir = DEFAULT_DATA,
    threads: Threads = None,
    json: Json = False,
    verbose: Verbose = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Say what went wrong in a run: the problem, the layer, the evidence, what to try. A healthy run hears nothing."""
    from nnscratch.teaching.run_diagnosis import diagnose as examine_run

    run = find_run(run, runs_dir)
    _import_plugins(allow_plugins, run)
    _emit(examine_run(run, _options(data_dir, threads=threads), _display(json, False, verbose)), json)


@app.command(
    context_settings=PASS_OVERRIDES,
    epilog="Example:  nnscratch preflight configs/cifar_best.yaml && nnscratch train configs/cifar_best.yaml",
)
def preflight(
    context: typer.Context,
    arguments: Arguments,
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: DataDir = DEFAULT_DATA,
    threads: Threads = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the learning-rate range test.")] = True,
    json: Json = False,
    verbose: Verbose = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Check CONFIG and its data before a long training: one batch, first loss, splits, balance, learning rate."""
    from nnscratch.teaching.preflight import preflight as check

    display = _display(json, False, verbose)
    loaded = _load(context, arguments, allow_plugins, display)
    report = check(loaded, _options(data_dir, runs_dir, threads, plots), display)
    _emit(report, json)
    report.require_passed()


data_app = typer.Typer(help="The datasets: which there are, fetching and verifying them.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command("list", epilog="Example:  nnscratch data list --data-dir /data")
def data_list(data_dir: DataDir = DEFAULT_DATA, json: Json = False) -> None:
    """List every dataset, whether it is there, and in which format."""
    from nnscratch.setup.data import list_datasets

    _emit(list_datasets(data_dir), json)


@data_app.command("fetch", epilog="Example:  nnscratch data fetch fashion_mnist")
def data_fetch(
    name: Annotated[str, typer.Argument(help="The dataset to download.")],
    data_dir: DataDir = DEFAULT_DATA,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download a dataset and verify every byte of it."""
    from nnscratch.setup.data import fetch_dataset

    _emit(fetch_dataset(name, data_dir, _display(json, quiet, False)), json)


@data_app.command("verify", epilog="Example:  nnscratch data verify cifar10")
def data_verify(
    name: Annotated[str | None, typer.Argument(help="The dataset to check; left out: which there are.")] = None,
    data_dir: DataDir = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Read a dataset and check its structure, its counts and, where there are official ones, its digests."""
    from nnscratch.setup.data import verify_dataset

    report = verify_dataset(name, data_dir, _display(json, False, False))
    _emit(report, json)
    if not report.is_sound:
        raise typer.Exit(4)


runs_app = typer.Typer(help="The runs there are: listing and comparing them.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")


@runs_app.command("list", epilog="Example:  nnscratch runs list --all")
def runs_list(
    runs_dir: RunsDir = DEFAULT_RUNS,
    everything: Annotated[bool, typer.Option("--all", help="Also runs in folders below, as of sweeps.")] = False,
    json: Json = False,
) -> None:
    """List the runs: data, parameters, best epoch, validation, test, time, status."""
    from nnscratch.runs.listing import list_runs

    _emit(list_runs(runs_dir, everything=everything), json)


@runs_app.command("compare", epilog="Example:  nnscratch runs compare runs/quickstart runs/quickstart-2")
def runs_compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Folders of runs, or names in --runs-dir.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The PNG with the picture.")] = None,
    against_time: Annotated[
        bool, typer.Option("--against-time", help="Draw accuracy against training time instead of curves.")
    ] = False,
    runs_dir: RunsDir = DEFAULT_RUNS,
    json: Json = False,
) -> None:
    """Compare runs: their figures, the settings in which they differ, and their curves in one picture."""
    from nnscratch.runs.listing import compare_runs

    _emit(compare_runs(runs, runs_dir, output, against_time=against_time), json)


def _import_plugins(allowed: bool, path: Path | None) -> None:
    """Imports the plugins of a config or a run, when the user allows it."""
    if allowed and path is not None:
        from nnscratch.runs.kept_plugins import import_plugins

        import_plugins(path)


def _display(json: bool, quiet: bool, verbose: bool) -> Display:
    from nnscratch.host.display import Display

    return Display(json=json, quiet=quiet, verbose=verbose)


def _options(
    data_dir: Path,
    runs_dir: Path = DEFAULT_RUNS,
    threads: int | None = None,
    plots: bool = True,
) -> Workplace:
    from nnscratch.host.workplace import Workplace

    return Workplace(data_dir=data_dir, runs_dir=runs_dir, threads=threads, plots=plots)


def _emit(result: Any, json: bool) -> None:
    """Prints a result that has a text for people and plain values for scripts."""
    from nnscratch.host.json_text import json_text

    print(json_text(result.to_dict()) if json else result.to_text())


def _arguments(context: typer.Context, arguments: list[str] | None) -> tuple[Path | None, list[str]]:
    """The config and the overrides among a command's arguments."""
    from nnscratch.config.arguments import config_and_overrides
    from nnscratch.sweeps.agent import as_overrides

    options = [option for parameter in context.command.params for option in parameter.opts]
    return config_and_overrides(as_overrides(arguments or [], os.environ), options)


def _required_config(context: typer.Context, arguments: list[str] | None) -> tuple[Path, list[str]]:
    """The same, for a command that cannot do without a config."""
    config, changes = _arguments(context, arguments)
    if config is None:
        raise UsageError("which config?", f"nnscratch {context.info_name} CONFIG.yaml")
    return config, changes


def _load(context: typer.Context, arguments: list[str] | None, allow_plugins: bool, display: Display) -> Config:
    """The config among a command's arguments, with its overrides, after the plugins it may import."""
    from nnscratch.config.config import load_config

    path, changes = _required_config(context, arguments)
    _import_plugins(allow_plugins, path)
    return load_config(path, changes, display.say)


def _refuse_with_resume(arguments: list[str] | None, name: str | None, seed: int | None, dry_run: bool) -> None:
    given = {"a config or overrides": arguments or None, "--name": name, "--seed": seed, "--dry-run": dry_run or None}
    refused = [what for what, value in given.items() if value is not None]
    if refused:
        raise UsageError(
            f"--resume continues a run as it was; {', '.join(refused)} cannot be given with it",
            "only --epochs, --threads and output options can; or start a new run from the run's config.yaml",
        )


def _print_error(text: str) -> None:
    from nnscratch.host.display import print_error

    print_error(text)


def _where_traceback_is(error: Exception) -> str:
    """A fault of ours: says where its traceback was written, or is the traceback when it cannot be written."""
    import tempfile
    import traceback

    from nnscratch.config.plugins import fault_of_a_plugin

    culprit = fault_of_a_plugin(error) or "nnscratch"
    notes: list[str] = getattr(error, "__notes__", [])
    if notes:
        return f"this is a fault in {culprit}; {notes[-1]}"
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="nnscratch-", suffix=".txt", delete=False) as file:
            file.write(text)
    except OSError:
        return f"this is a fault in {culprit}:\n{text}"
    return f"this is a fault in {culprit}; its traceback is in {file.name}"


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; exit codes: 0 ok, 1 failed, 2 usage or config, 3 diverged, 4 data, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no umlauts still gets the rest of the line
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(args=arguments, standalone_mode=False)
    except CommandLineError as error:
        error.show()
        sys.exit(2)
    except UserError as error:
        _print_error(str(error))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (`nnscratch ... | head`); Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError as error:
        _print_error(f"not enough memory{f': {error}' if str(error) else ''}\n  make the network or the batch smaller")
        sys.exit(1)
    except OSError as error:
        _print_error(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
        sys.exit(1)
    except Exception as error:
        _print_error(f"unexpected {type(error).__name__}: {error}\n  {_where_traceback_is(error)}")
        sys.exit(1)
    if isinstance(code, int) and code:
        sys.exit(code)
