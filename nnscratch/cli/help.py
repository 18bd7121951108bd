"""How help pages look: commands by purpose, a line for each, and a line for each example."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import Any

import typer
from typer.core import TyperGroup

TRAIN_AND_USE, LOOK, UNDERSTAND = "Train and use", "Look", "Understand"
TAKE_AWAY, SET_UP = "Take away", "Set up"
PURPOSES = (TRAIN_AND_USE, LOOK, UNDERSTAND, TAKE_AWAY, SET_UP)
"""What a command is for: its `rich_help_panel`, which is Typer's word for it; rich itself is not used for help."""

WHOLE = 1000
"""More letters than a command's line has: Typer is not to cut it."""

NARROWEST = 30
LEAST_BESIDE = 24
"""Letters that a description beside its option has at least; with less room it stands below."""

HelpFormatter: Any = typer.Context.formatter_class


class Formatter(HelpFormatter):  # type: ignore[misc]  # the base is in another package with each version of Typer
    """Lays out a help page so that no word is broken and an example can be copied, whatever the width."""

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        """Options or commands with their descriptions: beside them, or below where there is too little room."""
        rows = list(rows)
        beside = self.width - min(max(len(first) for first, _ in rows), col_max) - col_spacing - 2
        if beside >= LEAST_BESIDE:
            super().write_dl(rows, col_max, col_spacing)
            return
        for first, second in rows:
            self.write_text(first)
            with self.indentation(), self.indentation():
                self.write_text(second)

    def write_text(self, text: str) -> None:
        """Paragraphs; the lines of one that begins with a backspace are commands, continued as a shell reads them."""
        if not text.startswith("\b"):
            super().write_text(text)
            return
        margin = " " * self.current_indent
        for line in text.splitlines()[1:]:
            parts = textwrap.wrap(
                re.sub(r"( --[a-z-]+) (?!-)(?=\S{1,20}(?!\S))", r"\1\0", line),  # an option stays with its value
                self.width - 2,
                initial_indent=margin,
                subsequent_indent=f"{margin}    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            self.write(" \\\n".join(parts).replace("\0", " ") + "\n")


class HelpContext(typer.Context):
    """What a command is called with, here for the sake of its `Formatter`."""

    formatter_class = Formatter


class Group(TyperGroup):
    """Commands under the headings of their purposes."""

    context_class = HelpContext

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in self.commands.values():
            command.context_class = HelpContext

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Called by Typer for the end of a help page."""
        width = max(map(len, self.commands))
        for purpose in (*PURPOSES, None):
            rows = [
                (name.ljust(width), command.get_short_help_str(WHOLE))
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
    # The backspace tells Typer, and `Formatter`, to leave the lines of the paragraph apart.
    return "\n".join(["\b", "Examples:" if len(commands) > 1 else "Example:", *(f"  {each}" for each in commands)])
