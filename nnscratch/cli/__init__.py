"""The command line: thin commands, a file for each family of them. Everything heavy is imported inside a command."""

from __future__ import annotations

import os
import sys


def main(arguments: list[str] | None = None) -> None:
    """Runs a command, as `app.main` says; Ctrl-C while that is still imported is no traceback, either."""
    _open_closed_streams()
    try:
        from nnscratch.cli.app import main as run
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    run(arguments)


def _open_closed_streams() -> None:
    """Leads standard streams that the caller closed (`train >&-`) to nowhere.

    Python has None in place of them, and the next file that is opened, a checkpoint, would get their number: what any
    library writes to standard error would land in it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere == number:
                os.set_inheritable(number, True)
            else:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # open to the end
