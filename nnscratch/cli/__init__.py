"""The command line: thin commands, a file for each family of them. Everything heavy is imported inside a command."""

from nnscratch.cli.app import main

__all__ = ["main"]
