"""The command that goes on with a run, as it is typed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Meta


def command_to_continue(run: RunDirectory, meta: Meta, words: Sequence[str] = ()) -> str:
    """By as many processes as trained it, with leave for its plugins; `words` are further options.

    The number of threads is the run's own without a word.
    """
    ranks = meta.machine.ranks or 1
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    plugins = ["--allow-plugins"] if meta.plugins else []
    return shlex.join([*launcher, "nnscratch", "train", "--resume", str(run.path), *words, *plugins])
