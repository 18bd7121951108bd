"""`nnscratch explain`, `gradcheck`, `diagnose` and `preflight`: what a network does, and whether it is right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nnscratch.cli.help import UNDERSTAND, examples
from nnscratch.cli.options import (
    TAKES_OVERRIDES,
    AllowPlugins,
    Arguments,
    DataDir,
    Json,
    Run,
    RunDataDir,
    RunsDir,
    Threads,
    Verbose,
    display_for,
    named_run,
    read_config,
    read_run,
    workplace_of,
)
from nnscratch.cli.result import finish
from nnscratch.errors import UsageError
from nnscratch.host.workplace import DEFAULT_DATA, DEFAULT_RUNS, Workplace

family = typer.Typer()


@family.command(
    rich_help_panel=UNDERSTAND,
    context_settings=TAKES_OVERRIDES,
    short_help="Tell one training step of CONFIG in formulas and numbers.",
    epilog=examples(
        "nnscratch explain configs/explain.yaml --html step.html",
        "nnscratch explain configs/points/moons.yaml --step 100 --example 7 --html step.html --graph network.svg",
    ),
)
def explain(
    context: typer.Context,
    arguments: Arguments,
    sample: Annotated[int, typer.Option("--sample", min=1, help="Of a batch, how many examples are shown.")] = 2,
    step: Annotated[int, typer.Option("--step", min=1, help="Which training step; those before are done.")] = 1,
    example: Annotated[
        int, typer.Option("--example", min=0, help="Of which example of the batch, from 0, the numbers are.")
    ] = 0,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page here, to walk through with the arrow keys.")
    ] = None,
    graph: Annotated[Path | None, typer.Option("--graph", help="Draw the network and its numbers here (SVG).")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write Markdown with TeX formulas here.")] = None,
    data_dir: DataDir = DEFAULT_DATA,
    threads: Threads = None,
    json: Json = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Tell one training step of CONFIG in formulas, shapes and numbers that can be computed again by hand."""
    from nnscratch.teaching.explain import explain as tell
    from nnscratch.teaching.explanation_formats import require_places, write_explanation

    require_places(html, markdown, graph)
    display = display_for(json, quiet=html is markdown is graph is None)
    config = read_config(context, arguments, allow_plugins, display)
    told = tell(config, Workplace(data_dir, threads=threads), display, sample=sample, step=step, example=example)
    finish(write_explanation(told, html, markdown, graph), json)


@family.command(
    rich_help_panel=UNDERSTAND,
    context_settings=TAKES_OVERRIDES,
    short_help="Check every gradient against difference quotients.",
    epilog=examples(
        "nnscratch gradcheck configs/cifar_best.yaml",
        "nnscratch gradcheck my.yaml model.activation=tanh --tolerance 1e-7",
        "nnscratch gradcheck runs/trial",
    ),
)
def gradcheck(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG|RUN [a.b=VALUE]...", help="A YAML file and fields of it to change, or a trained run."
        ),
    ] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Largest relative error that passes.")] = 1e-6,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", min=1, help="Entries of each array to look at one by one; left out: up to 50, as time allows."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Examples in the batch.")] = 4,
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", help="Of a run, best, last or a file: whose weights to check.")
    ] = "best",
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: RunDataDir = None,
    threads: Threads = None,
    json: Json = False,
    verbose: Verbose = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Check every gradient against difference quotients in float64; exit code 1 names a wrong layer.

    Of a CONFIG with the weights it starts from, of a RUN with the trained ones.
    """
    from nnscratch.config.numbers import Number
    from nnscratch.teaching import gradient_report

    Number(above=0).require("--tolerance", tolerance)
    display = display_for(json, verbose=verbose)
    how: dict[str, Any] = {"batch_size": batch_size, "samples": samples, "tolerance": tolerance}
    run = named_run(arguments, runs_dir)
    if run is None:
        if checkpoint != "best":
            raise UsageError(
                f"--checkpoint {checkpoint}: a config has no checkpoints", "name a run: nnscratch gradcheck RUN"
            )
        config = read_config(context, arguments, allow_plugins, display)
        workplace = Workplace(data_dir or DEFAULT_DATA, threads=threads)
        report = gradient_report.gradcheck(config, workplace, display, **how)
    else:
        path = read_run(run, runs_dir, allow_plugins)
        workplace = workplace_of(path, data_dir, threads)
        report = gradient_report.gradcheck_run(path, workplace, display, checkpoint=checkpoint, **how)
    finish(report, json)


@family.command(
    rich_help_panel=UNDERSTAND,
    short_help="Say what went wrong in a run, where, and what to try.",
    epilog=examples("nnscratch diagnose runs/quickstart"),
)
def diagnose(
    run: Run,
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: RunDataDir = None,
    threads: Threads = None,
    json: Json = False,
    verbose: Verbose = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Say what went wrong in a run: the problem, the layer, the evidence, what to try. A healthy run hears nothing."""
    from nnscratch.teaching.run_diagnosis import diagnose as examine

    path = read_run(run, runs_dir, allow_plugins)
    finish(examine(path, workplace_of(path, data_dir, threads), display_for(json, verbose=verbose)), json)


@family.command(
    rich_help_panel=UNDERSTAND,
    context_settings=TAKES_OVERRIDES,
    short_help="Check CONFIG and its data before a long training.",
    epilog=examples("nnscratch preflight configs/cifar_best.yaml && nnscratch train configs/cifar_best.yaml"),
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

    display = display_for(json, verbose=verbose)
    config = read_config(context, arguments, allow_plugins, display)
    finish(check(config, Workplace(data_dir, runs_dir, threads, plots), display), json)
