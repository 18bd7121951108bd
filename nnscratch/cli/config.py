"""`nnscratch init`, `schema` and `doctor`: what is set up before the first training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnscratch.cli.help import SET_UP, examples
from nnscratch.cli.options import DataDir, DataFields, Json, Target, Threads, display_for
from nnscratch.cli.result import finish, stream_out
from nnscratch.errors import UsageError
from nnscratch.host.workplace import DEFAULT_DATA

family = typer.Typer()


@family.command(
    rich_help_panel=SET_UP,
    short_help="Write a commented config; with --data, for your data.",
    epilog=examples(
        "nnscratch init my_network.yaml && nnscratch train my_network.yaml",
        "nnscratch init houses.yaml --data houses.csv --target price",
        "nnscratch init pets.yaml --data pictures/ data.dataset.unreadable=skip",
        "nnscratch init --list",
    ),
)
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("config.yaml"),
    fields: DataFields = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Your own data, read and fitted to: a table, an NPZ file, a folder.")
    ] = None,
    target: Target = None,
    shipped: Annotated[bool, typer.Option("--list", help="Name the configs that came with nnscratch instead.")] = False,
) -> None:
    """Write a commented config to start from; with --data one that fits it, from the target to the epochs."""
    if target and data is None:
        raise UsageError("--target names a column of --data", "nnscratch init my.yaml --data my.csv --target price")
    if fields and data is None:
        raise UsageError(f"{fields[0]} is of --data", "nnscratch init my.yaml --data my.csv data.dataset.decimal=,")
    if data is not None and not shipped:
        from nnscratch.setup.fitted_starter import write_fitted

        finish(write_fitted(path, data, target or [], DEFAULT_DATA, display_for(json=False), fields or []))
        return
    if shipped:
        from nnscratch.setup.shipped import shipped_configs

        finish(shipped_configs())
        return
    from nnscratch.setup.starter import write_starter

    finish(write_starter(path))


@family.command(rich_help_panel=SET_UP, epilog=examples("nnscratch schema > nnscratch.schema.json"))
def schema() -> None:
    """Print the JSON Schema of configs, which editors complete from."""
    from nnscratch.setup.editor import editor_schema

    schema = editor_schema()
    stream_out(schema, [f"{schema.to_text()}\n"], is_data=True)


@family.command(
    rich_help_panel=SET_UP,
    short_help="Say what this machine gives: BLAS kernel, threads, speed, data.",
    epilog=examples("nnscratch doctor --json"),
)
def doctor(data_dir: DataDir = DEFAULT_DATA, threads: Threads = None, json: Json = False) -> None:
    """Say what this machine gives: BLAS kernel and why, threads, measured GFLOP/s, versions, data found."""
    from nnscratch.setup.doctor import examine

    finish(examine(data_dir, threads), json)
