"""The network in a process of its own, which computes while the server's Python reads and writes.

In one process they would hand the interpreter to and fro: a batch through a convolutional network asks for it a hundred
times, and waits each time until the server lets go of it.
"""

from __future__ import annotations

import hashlib
import math
import struct
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from nnscratch.errors import UserError
from nnscratch.host.python_process import module_command
from nnscratch.nn.compute.buffers import Array
from nnscratch.results.model import Model
from nnscratch.runs.kept_plugins import import_plugins
from nnscratch.runs.loaded import LoadedRun, load_run, use_threads_of
from nnscratch.serve.limits import Refusal

HEAD = struct.Struct("<cQ")
"""Before the rows: the letter of their type, and how many; before an answer: whether it is one, and its bytes."""
ANSWER, ERROR = b"y", b"e"


class NetworkProcess:
    """A process with the network of a run, from `start` on; it ends when this one does, however that ends."""

    def __init__(self, loaded: LoadedRun, threads: int, allow_plugins: bool) -> None:
        self._loaded = loaded
        words = [str(loaded.run.path), str(loaded.checkpoint), str(threads), str(int(allow_plugins))]
        self._process = subprocess.Popen(
            module_command(__name__, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the server, which answers what it has accepted
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout

    def __enter__(self) -> NetworkProcess:
        """Waits until it has the network. Raises UserError when it has none, or another."""
        try:
            if self._read(hashlib.sha256().digest_size) != _digest(self._loaded):
                self._stop()
                raise UserError(f"{self._loaded.checkpoint} was written meanwhile", "start again")
        except EOFError:
            self._stop()
            raise UserError("the network's process has ended before it was ready") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    @property
    def has_ended(self) -> bool:
        """Whether it is gone, and computes nothing any more."""
        return self._process.poll() is not None

    def outputs(self, stored: Array) -> Array:
        """y (N, K) for N inputs as the data is stored, as `Model.outputs_or_not_finite`; one thread alone asks.

        Raises Refusal when the process has ended, and RuntimeError with what it ran into.
        """
        try:
            self._to.write(HEAD.pack(stored.dtype.char.encode(), len(stored)))
            self._to.write(np.ascontiguousarray(stored).data)
            self._to.flush()
            kind, size = HEAD.unpack(self._read(HEAD.size))
            answer = self._read(size)
        except (OSError, EOFError):
            raise Refusal(503, "the network's process has ended; the server has to be started anew") from None
        if kind == ERROR:
            raise RuntimeError(answer.decode())
        return np.frombuffer(answer, np.float32).reshape(len(stored), -1)

    def _read(self, size: int) -> bytes:
        found = self._from.read(size)
        if len(found) < size:
            raise EOFError
        return found

    def _stop(self) -> None:
        for stream in (self._to, self._from):
            try:
                stream.close()
            except OSError:  # it is gone, and something was still to be written
                continue
        self._process.wait()


def _digest(loaded: LoadedRun) -> bytes:
    return hashlib.sha256(loaded.network.parameters.values.data).digest()


def answer(model: Model, requests: BinaryIO, answers: BinaryIO) -> None:
    """Computes for whoever asks, until nobody does."""
    shape = model.loaded.input_shape
    while head := requests.read(HEAD.size):
        kind, number = HEAD.unpack(head)
        dtype = np.dtype(kind.decode())
        stored = np.frombuffer(requests.read(number * math.prod(shape) * dtype.itemsize), dtype).reshape(number, *shape)
        try:
            told, found = ANSWER, np.ascontiguousarray(model.outputs_or_not_finite(stored), np.float32).tobytes()
        except Exception as error:
            told, found = ERROR, f"{type(error).__name__}: {error}".encode()
        answers.write(HEAD.pack(told, len(found)))
        answers.write(found)
        answers.flush()


def main() -> None:
    """The process itself."""
    run, checkpoint, threads, allow_plugins = sys.argv[1:]
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what a plugin prints is no answer
    if int(allow_plugins):
        import_plugins(Path(run))
    loaded = load_run(Path(run), checkpoint)
    use_threads_of(loaded, int(threads))
    answers.write(_digest(loaded))
    answers.flush()
    answer(Model(loaded), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
