"""`nnscratch data`: the datasets there are, fetched and verified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnscratch.cli.help import Group, examples
from nnscratch.cli.options import DataDir, DataFields, Json, Quiet, Target, display_for
from nnscratch.cli.result import finish
from nnscratch.host.workplace import DEFAULT_DATA

family = typer.Typer(
    cls=Group,
    help="Datasets: list, fetch, verify; describe your own.",
    no_args_is_help=True,
)


@family.command("list", epilog=examples("nnscratch data list --data-dir /data"))
def list_all(data_dir: DataDir = DEFAULT_DATA, json: Json = False) -> None:
    """List every dataset, whether it is there, and in which format."""
    from nnscratch.setup.data import list_datasets

    finish(list_datasets(data_dir), json)


@family.command(epilog=examples("nnscratch data fetch mnist"))
def fetch(
    name: Annotated[str, typer.Argument(help="The dataset to download.")],
    data_dir: DataDir = DEFAULT_DATA,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download a dataset and verify every byte of it."""
    from nnscratch.setup.data import fetch_dataset

    finish(fetch_dataset(name, data_dir, display_for(json, quiet)), json)


@family.command(
    short_help="Read a dataset and check its structure, counts and digests.",
    epilog=examples("nnscratch data verify cifar10"),
)
def verify(
    name: Annotated[str | None, typer.Argument(help="The dataset to check; left out: which there are.")] = None,
    data_dir: DataDir = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Read a dataset and check its structure, its counts and, where there are official ones, its digests."""
    from nnscratch.setup.data import verify_dataset

    finish(verify_dataset(name, data_dir, display_for(json)), json)


@family.command(
    short_help="Say what is found in your own data, and how a config reads it.",
    epilog=examples("nnscratch data describe houses.csv --target price", "nnscratch data describe pictures/ --json"),
)
def describe(
    path: Annotated[Path, typer.Argument(help="A table, an NPZ file, or a folder of pictures or with train.csv.")],
    fields: DataFields = None,
    target: Target = None,
    json: Json = False,
) -> None:
    """Say what is found and guessed in your own data, what looks wrong, and the `data:` block of a config for it."""
    from nnscratch.setup.own_data import read_own_data

    finish(read_own_data(path, target or [], DEFAULT_DATA, display_for(json), fields or []), json)
