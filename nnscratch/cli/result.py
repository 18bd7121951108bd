"""What every command returns, and the one place that prints it and ends the command."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Protocol

from nnscratch.errors import UserError, cause


class Ending(Protocol):
    """Work that may have failed although there is something to show."""

    @property
    def failure(self) -> UserError | None:
        """What to end the command with, after its output; its exit code is the command's."""


class Result(Ending, Protocol):
    """What a command found out or did."""

    def to_text(self) -> str:
        """For people; empty when all was said while the command worked."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""


def finish(result: Result, json: bool = False) -> None:
    """Prints the result. Raises its failure, when it has one."""
    from nnscratch.host.json_text import json_text

    text = json_text(result.to_dict()) if json else result.to_text()
    stream_out(result, [f"{text}\n"] if text else [], is_data=json)


def stream_out(ending: Ending, pieces: Iterable[str], *, is_data: bool = False) -> None:
    """The same for what is printed while it is made: only then it is known whether something failed.

    In a terminal lines are made to fit, but for data that programs read.

    Names come from anybody's files: no character of theirs controls the terminal, in whatever text they stand.
    """
    from nnscratch.host.display import READER_LEFT, for_terminal, lead_nowhere
    from nnscratch.report.formats import printable_lines

    try:
        for piece in pieces:
            text = printable_lines(piece)
            sys.stdout.write(text if is_data else for_terminal(text, sys.stdout))
        sys.stdout.flush()
    except OSError as error:
        lead_nowhere(sys.stdout)
        if error.errno not in READER_LEFT:
            raise UserError(f"cannot write the output: {cause(error)}") from None
    if ending.failure is not None:
        raise ending.failure
