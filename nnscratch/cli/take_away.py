"""`nnscratch export` and `nnscratch serve`: a trained network leaves its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnscratch.cli.help import TAKE_AWAY, examples
from nnscratch.cli.options import (
    AllowPlugins,
    Checkpoint,
    Json,
    Quiet,
    Run,
    RunDataDir,
    RunsDir,
    RunThreads,
    display_for,
    read_run,
    workplace_of,
)
from nnscratch.cli.result import finish
from nnscratch.host.workplace import DEFAULT_RUNS

family = typer.Typer()


@family.command(
    rich_help_panel=TAKE_AWAY,
    epilog=examples(
        "nnscratch export runs/trial --to onnx",
        "nnscratch export runs/trial --to safetensors -o trial.safetensors",
        "nnscratch export last --to numpy -o trial/",
    ),
)
def export(
    run: Run,
    to: Annotated[str, typer.Option("--to", help="onnx, safetensors or numpy.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where nothing is yet; left out: export/ in the run.")
    ] = None,
    checkpoint: Checkpoint = "best",
    runs_dir: RunsDir = DEFAULT_RUNS,
    data_dir: RunDataDir = None,
    threads: RunThreads = None,
    json: Json = False,
    quiet: Quiet = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Write a run's network for use elsewhere, with proof.

    onnx: one file for any ONNX runtime, from bytes or features to label and probability. safetensors: the weights by
    name, with config, scaling and classes in the header. numpy: a folder with a model.py that needs NumPy alone. Each
    is asked for up to 1,000 of the run's test examples; it is kept only when all its answers are the run's.
    """
    from nnscratch.export.export import export_run

    path = read_run(run, runs_dir, allow_plugins)
    workplace = workplace_of(path, data_dir, threads)
    finish(export_run(path, to, output, checkpoint, workplace, display_for(json, quiet)), json)


@family.command(
    rich_help_panel=TAKE_AWAY,
    epilog=examples(
        "nnscratch serve runs/trial",
        "nnscratch serve last --port 8080",
        "nnscratch serve runs/trial --host 0.0.0.0  # whoever reaches this machine can ask",
    ),
)
def serve(
    run: Run,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8000,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; as it is, this machine alone can ask.")
    ] = "127.0.0.1",
    checkpoint: Checkpoint = "best",
    runs_dir: RunsDir = DEFAULT_RUNS,
    threads: RunThreads = None,
    quiet: Quiet = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Answer over HTTP with a run's network.

    A page in the browser (drop or draw a picture, or fill in a row), POST /predict (a picture, several, JSON, CSV),
    GET /health and GET /openapi.json. Ctrl-C or SIGTERM: what was accepted is answered first.
    """
    from nnscratch.serve.serve import serve_run

    path = read_run(run, runs_dir, allow_plugins)
    serve_run(path, host, port, checkpoint, threads, display_for(False, quiet), allow_plugins)
