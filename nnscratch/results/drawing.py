"""Pictures of figures that stand already: what goes wrong in drawing them takes nothing away."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnscratch.errors import UserError
from nnscratch.host.display import Display
from nnscratch.host.trouble import traceback_of


def drawn_by(run: Path) -> str:
    """The command that draws a run."""
    return f"`{shlex.join(['nnscratch', 'plot', str(run)])}` draws it"


@contextmanager
def pictures_may_fail(display: Display, advice: str) -> Iterator[None]:
    """Inside, whatever is raised is a warning with the advice what to do; its traceback goes to the log."""
    try:
        yield
    except (Exception, SystemExit) as error:
        expected = isinstance(error, UserError | OSError)
        said = error.message if isinstance(error, UserError) else str(error)
        said = said if expected else f"{type(error).__name__}: {said}".removesuffix(": ")
        display.warn(f"plots or report are missing: {said}; {advice}")
        if not expected:
            display.note(traceback_of(error).rstrip("\n"))
