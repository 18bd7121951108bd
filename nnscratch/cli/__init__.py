"""The command line: thin commands, a file for each family of them. Everything heavy is imported inside a command."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> None:
    """Runs a command, as `app.main` says; Ctrl-C while that is still imported is no traceback, either."""
    try:
        from nnscratch.cli.app import main as run
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    run(arguments)
