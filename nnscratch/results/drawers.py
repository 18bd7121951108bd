"""Many pictures at once: matplotlib holds the interpreter's lock, so a second process draws beside this one."""

from __future__ import annotations

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
from typing import IO, Any

from nnscratch import cpu
from nnscratch.host.python_process import module_command
from nnscratch.report.style import own_looks

MANY = 6
SIZE = 8  # bytes of a number


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


def draw_all(jobs: Sequence[Job], drawers: int | None = None) -> list[bytes]:
    """The pictures, in order; drawn from both ends by this process and by a second one where there is a core for it.

    What the other process cannot draw is drawn here: an error is that of this process. `drawers` None: two for many
    pictures where two threads may be used, else one; starting Python again takes as long as two pictures.
    """
    left = deque(enumerate(jobs))
    pictures: dict[int, bytes] = {}
    other = threading.Thread(target=_let_another_draw, args=(left, pictures))
    if drawers is None:
        drawers = min(cpu.usable_threads(), 2) if len(jobs) >= MANY else 1
    if drawers > 1:
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
        if drawers > 1:
            other.join()
    return [pictures[index] for index in range(len(jobs))]


def _let_another_draw(left: deque[tuple[int, Job]], pictures: dict[int, bytes]) -> None:
    """Gives another process one job after the other, from the end; what it does not draw goes back."""
    with subprocess.Popen(
        module_command(__name__), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while left:
            index, job = left.pop()
            try:
                pickle.dump(job, process.stdin)
                process.stdin.flush()
                size = int.from_bytes(process.stdout.read(SIZE))
                picture = process.stdout.read(size)
                if not size or len(picture) < size:
                    raise EOFError
                pictures[index] = picture
            except Exception:
                left.append((index, job))
                break
        with suppress(OSError):
            process.stdin.close()
        process.terminate()


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Draws the jobs that come, until there are no more or one fails: the size of each picture, then the picture."""
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
