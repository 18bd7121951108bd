"""Many pictures at once: matplotlib holds the interpreter's lock, so a second process draws beside this one."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from nnscratch import cpu
from nnscratch.host.python_process import module_command
from nnscratch.report.style import new_figure, own_looks

SIZE = 8  # bytes of a number
READY = b"\x01"


@dataclass(frozen=True)
class Job:
    """One picture to be drawn: `draw(path=...)` puts it into a file, whose suffix chooses the format."""

    draw: Callable[..., object]
    suffix: str = ".png"

    def drawn(self) -> bytes:
        """The picture: the files of a run are written by the run alone."""
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / f"picture{self.suffix}"
            with own_looks():
                self.draw(path=path)
            return path.read_bytes()


class Drawers:
    """This process and, where there is a core for it, a second one, which gets ready while the jobs are made.

    `with Drawers() as drawers: pictures = drawers.draw(jobs)`. `number` None: two where two threads may be used.
    """

    def __init__(self, number: int | None = None) -> None:
        self._number = min(cpu.usable_threads(), 2) if number is None else number
        self._other: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    def __enter__(self) -> Self:
        if self._number > 1:
            with suppress(OSError):  # no room for another process: this one draws
                self._other = subprocess.Popen(
                    module_command(__name__), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
        return self

    def __exit__(self, *_: object) -> None:
        if self._other is not None:
            self._other.terminate()
            with suppress(OSError):  # what it did not read is lost with it
                self._other.__exit__(None, None, None)

    def draw(self, jobs: Sequence[Job]) -> list[bytes]:
        """The pictures, in order; drawn from both ends.

        What the other process cannot draw is drawn here: an error is that of this process.
        """
        left = deque(enumerate(jobs))
        pictures: dict[int, bytes] = {}
        other = threading.Thread(target=self._let_another_draw, args=(left, pictures))
        other.start()
        try:
            while len(pictures) < len(jobs):
                try:
                    index, job = left.popleft()
                except IndexError:
                    other.join()  # it draws the last one, or gives it back
                else:
                    pictures[index] = job.drawn()
        finally:
            left.clear()
            if self._other is not None and not self._is_ready:  # it is not waited for
                self._other.terminate()
            other.join()
        return [pictures[index] for index in range(len(jobs))]

    def _let_another_draw(self, left: deque[tuple[int, Job]], pictures: dict[int, bytes]) -> None:
        """Gives another process one job after the other, from the end; what it does not draw goes back."""
        if self._other is None:
            return
        assert self._other.stdin is not None
        assert self._other.stdout is not None
        self._is_ready = self._other.stdout.read(1) == READY  # until then this process draws on
        while self._is_ready:
            try:
                index, job = left.pop()
            except IndexError:  # the last one has just been taken
                return
            try:
                pickle.dump(job, self._other.stdin)
                self._other.stdin.flush()
                size = int.from_bytes(self._other.stdout.read(SIZE))
                picture = self._other.stdout.read(size)
                if not size or len(picture) < size:
                    raise EOFError
                pictures[index] = picture
            except Exception:
                left.append((index, job))
                break


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Draws the jobs that come, until there are no more or one fails: the size of each picture, then the picture."""
    gc.set_threshold(20_000)  # looking for circles of objects more rarely saves 7 % of a picture's time
    with own_looks():
        new_figure(1)  # loads matplotlib
    answers.write(READY)
    answers.flush()
    while True:
        try:
            job: Any = pickle.load(requests)  # written by the process that started this one
        except EOFError:
            return
        picture = job.drawn()
        answers.write(len(picture).to_bytes(SIZE) + picture)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
