"""How help pages look: commands by purpose, a line for each, and a line for each example."""

from __future__ import annotations

import shutil
from typing import Any

from typer.core import TyperGroup

TRAIN_AND_USE, LOOK, UNDERSTAND = "Train and use", "Look", "Understand"
TAKE_AWAY, SET_UP = "Take away", "Set up"
PURPOSES = (TRAIN_AND_USE, LOOK, UNDERSTAND, TAKE_AWAY, SET_UP)
"""What a command is for: its `rich_help_panel`, which is Typer's word for it; rich itself is not used for help."""

NARROWEST = 30


class Group(TyperGroup):
    """Commands under the headings of their purposes."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Called by Typer for the end of a help page."""
        width = max(map(len, self.commands))
        for purpose in (*PURPOSES, None):
            rows = [
                (name.ljust(width), command.get_short_help_str(formatter.width - width - 4))
                for name, command in self.commands.items()
                if (getattr(command, "rich_help_panel", None) or None) == purpose
            ]
            if rows:
                with formatter.section(purpose or "Commands"):
                    formatter.write_dl(rows)


def narrow_width() -> int | None:
    """The width of help pages in a terminal so narrow that Typer would write over its edge; else it decides."""
    columns = shutil.get_terminal_size().columns
    return max(columns, NARROWEST) if columns < 52 else None


def examples(*commands: str) -> str:
    """The end of a help page."""
    # The backspace tells Typer to leave the lines of the paragraph as they are.
    return "\n".join(["\b", "Examples:" if len(commands) > 1 else "Example:", *(f"  {each}" for each in commands)])
