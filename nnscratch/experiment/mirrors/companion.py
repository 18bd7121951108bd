"""A process beside the training: told what happens as lines of JSON, through a thread that may block in its place.

So what works there can be missing, broken or slow, and the training neither stops nor waits. It sees the end of its
standard input when the training is gone, however that ended, and ends itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nnscratch.files import open_own_to_append
from nnscratch.host.python_process import module_command
from nnscratch.runs.directory import RunDirectory

PAUSE = 0.05


class Companion:
    """The training's end of it. Raises OSError when the process cannot be started."""

    def __init__(self, module: str, run: RunDirectory, log: str, environment: Mapping[str, str] | None = None) -> None:
        """`log`, a file of the run, takes what the process says on standard error."""
        file = open_own_to_append(run.place(log))
        with file:
            self._process = subprocess.Popen(
                module_command(module),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                encoding="utf-8",
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # Ctrl-C is for the training; and without a terminal nothing can ask
            )
        self._name = module.rpartition(".")[2]
        self._outbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._read)]
        for thread in self._threads:
            thread.start()

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def has_failed(self) -> bool:
        """Whether it ended with anything but 0."""
        return self._process.poll() not in (None, 0)

    def send(self, **message: Any) -> None:
        """Hands it a message; it is written as soon as the process takes it."""
        self._outbox.put(json.dumps(message))

    def finish(self, **message: Any) -> None:
        """The last message."""
        self.send(**message)
        self._outbox.put(None)

    def heard(self) -> Iterator[dict[str, Any]]:
        """What it has answered since the last time."""
        while not self._replies.empty():
            yield self._replies.get()

    def wait(self, is_enough: Callable[[], bool]) -> bool:
        """Waits until the process has ended, and whether it has, or until that is enough."""
        while not self.has_ended:
            if is_enough():
                return False
            time.sleep(PAUSE)
        self._threads[1].join(PAUSE)  # its last lines
        return True

    def kill(self) -> None:
        """Ends it at once."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Closes the streams of a process that has ended."""
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()

    def _write(self) -> None:
        stream = self._process.stdin
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):  # the other process has ended
            while (line := self._outbox.get()) is not None:
                stream.write(line + "\n")
                stream.flush()
            stream.close()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):
            for line in stream:
                with contextlib.suppress(ValueError):
                    reply = json.loads(line)
                    if isinstance(reply, dict):
                        self._replies.put(reply)


class Told:
    """The process's end of it: what it is told, and how it answers.

    Whatever is printed in the process goes to its log: standard output is for answers.
    """

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
        os.dup2(2, 1)

    def answer(self, **message: Any) -> None:
        """Says something to the training, which may be gone."""
        with contextlib.suppress(OSError):
            self._answers.write(json.dumps(message) + "\n")

    def messages(self) -> Iterator[dict[str, Any]]:
        """One after the other, until there are no more; not the half of one when the training was killed in it."""
        for line in sys.stdin:
            try:
                yield json.loads(line)
            except ValueError:
                return


def reason(error: BaseException) -> str:
    """What went wrong, on a line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
