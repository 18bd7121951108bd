"""The application: its families of commands, and how an error ends it."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext
from functools import cache
from typing import Annotated, Any

import typer
from typer.main import get_command

from nnscratch.cli import config, data, results, runs, sweep, take_away, teaching, train
from nnscratch.cli.errors import as_meant, as_user_error, refuse_slips
from nnscratch.cli.help import LOOK, SET_UP, Group, narrow_width
from nnscratch.cli.peers import Peers, peers_of
from nnscratch.errors import Interrupted, UsageError
from nnscratch.host.interruption import heard_as_ctrl_c
from nnscratch.version import VERSION

app = typer.Typer(
    name="nnscratch",
    cls=Group,
    help="Trains neural networks from first principles, with NumPy only, driven by YAML.",
    epilog="Start with: nnscratch train configs/quickstart.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
        "terminal_width": narrow_width(),
    },
)
for module in (train, results, sweep, teaching, take_away, config):
    app.add_typer(module.family)
app.add_typer(runs.family, name="runs", rich_help_panel=LOOK)
app.add_typer(data.family, name="data", rich_help_panel=SET_UP)


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


@cache
def _command() -> Any:
    """The application as Typer calls it, which it would make again from every function for each call."""
    return get_command(app)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; exit codes: 0 ok, 1 failed, 2 usage or config, 3 diverged, 4 data, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Files and pipes are UTF-8 whatever the terminal is; one that knows no umlauts gets the rest of the line.
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
    peers = None
    try:
        words = as_meant(sys.argv[1:] if arguments is None else arguments)
        peers = peers_of(words)
        refuse_slips(words)
        with heard_as_ctrl_c() if peers is None else nullcontext():
            code = _command()(args=words, prog_name=app.info.name, standalone_mode=False, obj=peers)
        if code == Interrupted.exit_code:  # what Typer makes of Ctrl-C, without a word
            raise KeyboardInterrupt
        if peers is not None:
            peers.leave()
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # a broken library may raise the last one
        code = _end(error, peers)
    if isinstance(code, int) and code:
        sys.exit(code)


def _end(error: BaseException, peers: Peers | None) -> int:
    """Says what went wrong, to other processes too; the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":  # a group of commands alone: its message is the help page
        print(error, file=sys.stderr)
        return UsageError.exit_code
    from nnscratch.host.display import print_error

    told = as_user_error(error)
    print_error(str(told))
    return told.exit_code if peers is None else peers.end(told)
