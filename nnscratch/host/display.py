"""What a person sees while a command works: live progress in a terminal, one plain line at a time anywhere else."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from nnscratch.errors import cause
from nnscratch.files import open_own_to_append
from nnscratch.host.fitting import fitted
from nnscratch.report.formats import duration, printable_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

RED, YELLOW, GREEN, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"
READER_LEFT = (errno.EPIPE, errno.EIO)
"""What a stream says whose reader has gone: `nnscratch ... | head`, a terminal that was closed."""
NARROWEST_BAR = 70
"""With fewer columns there is no bar, so that the epoch, the loss, the percentage and the time left are whole."""


class Display:
    """Says things to the terminal and, once a run exists, to its log with the time of day.

    With `json` the terminal's lines go to standard error, so that standard output holds the JSON object alone.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json, self.quiet, self.verbose = json, quiet, verbose
        self._stream: IO[str] = sys.stderr if json else sys.stdout
        self.live = is_live(self._stream) and not quiet
        self._log: IO[str] | None = None
        self._bar: Progress | None = None
        self._console: Console | None = None
        self._task: TaskID | None = None
        self._downloads: dict[str, float] = {}
        self._starts: dict[str, tuple[float, int]] = {}

    def attach_log(self, path: Path) -> None:
        """From now on everything said is also appended to that file; a warning when the disk refuses."""
        try:
            self._log = io.TextIOWrapper(
                io.BufferedWriter(open_own_to_append(path)), "utf-8", "backslashreplace", line_buffering=True
            )
        except OSError as error:
            self.warn(f"cannot write the log {path}: {cause(error)}")

    def close(self) -> None:
        """Ends the live display and the log."""
        self.end_progress()
        if self._log is not None:
            with suppress(OSError):  # what did not reach a full disk was warned about
                self._log.close()
            self._log = None

    def say(self, text: str) -> None:
        """A line for people; `quiet` keeps it from the terminal, not from the log."""
        if not self.quiet:
            self._print(text)
        self._write_log(text)

    def detail(self, text: str) -> None:
        """A line that the terminal shows only with --verbose; the log always has it."""
        if self.verbose and not self.quiet:
            self._print(text)
        self._write_log(text)

    def note(self, text: str) -> None:
        """A line for the log alone."""
        self._write_log(text)

    def warn(self, text: str) -> None:
        """A warning: on standard error, also when quiet."""
        self._write_log(f"warning: {text}")
        if self.live:
            self._print(f"warning: {text}")
        else:
            with self._reader_may_leave(sys.stderr):
                print(for_terminal(f"warning: {printable_lines(text)}", sys.stderr), file=sys.stderr, flush=True)

    def result(self, text: str) -> None:
        """A figure the command was run for: shown even with --quiet."""
        self._print(text)
        self._write_log(text)

    def download(self, name: str, done: int, total: int) -> None:
        """Progress of bytes that arrive or are decoded; a line every few seconds when not in a terminal."""
        if self.quiet:
            return
        megabytes = f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB"
        started, before = self._starts.setdefault(name, (time.monotonic(), done))
        if before < done < total and time.monotonic() - started > 1:
            left = (time.monotonic() - started) * (total - done) / (done - before)
            megabytes = f"{megabytes}, {duration(left)} left".ljust(60 if self.live else 0)
        with self._reader_may_leave(self._stream):
            if self.live:
                end = "\n" if done >= total else ""
                print(f"\r{megabytes}", end=end, file=self._stream, flush=True)
            elif done >= total or time.monotonic() - self._downloads.get(name, 0.0) > 5:
                self._downloads[name] = time.monotonic()
                print(megabytes, file=self._stream, flush=True)

    def start_progress(self, text: str, total: int, done: int = 0) -> None:
        """Starts a bar of work that has `total` parts, of which some may be done, in a terminal."""
        if not self.live:
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._console = Console(file=self._stream)
        percentage = TextColumn("{task.percentage:>3.0f} %")
        bar = [BarColumn(), percentage, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()]
        narrow = [percentage, TimeRemainingColumn(compact=True)]
        self._bar = Progress(
            TextColumn("{task.description}"),
            *(bar if self._console.width >= NARROWEST_BAR else narrow),
            console=self._console,
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task(text, total=total, completed=done)
        with self._reader_may_leave(self._stream):
            self._bar.start()

    def show_progress(self, text: str, done: int) -> None:
        """Moves the bar, when there is one."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, description=text)

    def end_progress(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            with self._reader_may_leave(self._stream):
                self._bar.stop()
            self._bar = None

    def _print(self, text: str) -> None:
        text = for_terminal(printable_lines(text), self._stream)
        with self._reader_may_leave(self._stream):
            if self._bar is not None and self._console is not None:
                self._console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                print(text, file=self._stream, flush=True)

    @contextmanager
    def _reader_may_leave(self, stream: IO[str]) -> Iterator[None]:
        """Inside, a stream that takes no more is led to nowhere: the work goes on, and its log tells the rest.

        Nothing is said of a reader who left (`nnscratch train ... | head`, a closed terminal).
        """
        try:
            yield
        except OSError as error:
            lead_nowhere(stream)
            if error.errno not in READER_LEFT and stream is not sys.stderr:
                self.warn(f"nothing more is printed: {cause(error)}")

    def _write_log(self, text: str) -> None:
        if self._log is None:
            return
        stamp = datetime.now().astimezone().isoformat(timespec="seconds")
        try:
            self._log.write("".join(f"{stamp}  {line}\n" for line in printable_lines(text).split("\n")))
        except OSError as error:
            log, self._log = self._log, None
            with suppress(OSError):
                log.close()
            self.warn(f"cannot write the log {log.name}: {cause(error)}")


class LogDisplay(Display):
    """Says everything to the run's log alone: the terminal belongs to who trains many."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def warn(self, text: str) -> None:
        self.note(f"warning: {text}")

    def result(self, text: str) -> None:
        self.note(text)


def print_error(text: str) -> None:
    """`error: ...` on standard error, whatever characters the text holds."""
    try:
        print(for_terminal(f"error: {printable_lines(text)}", sys.stderr), file=sys.stderr, flush=True)
    except OSError:  # a terminal that was closed
        lead_nowhere(sys.stderr)


def lead_nowhere(stream: IO[str]) -> None:
    """Lets a stream that takes no more be written to without an error: at its end Python itself does once more."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_live(stream: IO[str]) -> bool:
    """Whether what it shows can be written over: it is a terminal, and not a dumb one as an editor's shell is."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def for_terminal(text: str, stream: IO[str]) -> str:
    """`text` as `stream` shows it best: in a terminal lines are broken between words, and what matters has a colour.

    Errors are red, warnings yellow, what is best green, unless NO_COLOR is set or the terminal is dumb. What is
    no terminal gets the text as it is.
    """
    if not stream.isatty():
        return text
    text = fitted(text, shutil.get_terminal_size().columns)
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return "\n".join(map(_coloured, text.split("\n")))


def _coloured(line: str) -> str:
    for word, colour in (("error:", RED), ("warning:", YELLOW)):
        if line.startswith(word):
            return f"{colour}{word}{PLAIN}{line[len(word) :]}"
    if re.match(r"best(:| epoch)", line) or (line.endswith(" best") and re.match(r"epoch \d|  ", line)):
        head, best, tail = line.rpartition("best") if line.endswith("best") else line.partition("best")
        return f"{head}{GREEN}{best}{PLAIN}{tail}"
    return line
