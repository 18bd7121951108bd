"""Ctrl-C, SIGTERM, SIGUSR1 or a closed terminal: stop after the present step. A second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, Literal

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # Windows lacks the last two
"""SIGUSR1 is what SLURM is asked for as a warning, and what mpirun passes on without killing soon after."""

Reason = Literal["interrupted", "pruned", "taken over"]
TAKEN_OVER: Final = "taken over"
"""The reason to stop when another process goes on with the run."""


@contextmanager
def heard_as_ctrl_c() -> Iterator[None]:
    """Inside, SIGTERM, SIGUSR1 and a closed terminal raise KeyboardInterrupt where they would end the process at once.

    So whatever is being written is removed. In C code, as in a wait for another process of MPI, they are not heard.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in SIGNALS[1:]:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopRequest:
    """A context in which the first such signal only sets `wanted`; outside the main thread signals are left alone.

    A SIGHUP that is ignored already (`nohup`) stays ignored.
    """

    def __init__(self, signals: Sequence[str] = SIGNALS) -> None:
        self.wanted = False
        self.reason: Reason | None = None
        self._signals = signals
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for name in self._signals:
                number = getattr(signal, name, None)
                if number is None or (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
                    continue
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            # None: the handler was not set from Python, so it cannot be put back from Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def ask(self, reason: Reason) -> None:
        """Stops after the present step; the first reason counts."""
        if not self.wanted:
            self.wanted, self.reason = True, reason

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.ask("interrupted")
