"""The network in a process of its own, which computes while the server's Python reads and writes.

In one process they would hand the interpreter to and fro: a batch through a convolutional network asks for it a hundred
times, and waits each time until the server lets go of it.
"""

from __future__ import annotations

import hashlib
import math
import os
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from nnscratch.errors import UserError
from nnscratch.host.python_process import module_command
from nnscratch.host.trouble import traceback_of
from nnscratch.nn.compute.buffers import Array
from nnscratch.results.model import Model
from nnscratch.runs.loaded import LoadedRun, load_run, use_threads_of
from nnscratch.serve.limits import Refusal

HEAD = struct.Struct("<4sQ")
"""Before the rows: their type, and how many; before an answer: whether it is one, and its bytes."""
ANSWER, ERROR = b"y", b"e"
PIECE = 1 << 20
ENDED = "the network's process has ended; the server has to be started anew"


class NetworkProcess:
    """A process with the network of a run; it ends when this one does, however that ends.

        with NetworkProcess(loaded, threads=1) as network:
            network.wait_until_ready()
            y = network.outputs(stored)

    It runs no plugin: code of others may write where the answers go, and imports what only this process can.
    """

    def __init__(self, loaded: LoadedRun, threads: int) -> None:
        self._loaded = loaded
        self._is_between_answers = True
        self._words = [str(loaded.run.path), str(loaded.checkpoint), str(threads)]

    def __enter__(self) -> NetworkProcess:
        self._process = subprocess.Popen(
            module_command(__name__, *self._words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the server, also while this one starts
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        for stream in (self._to, self._from):
            with suppress(OSError):  # something was still to be written
                stream.close()
        self._process.wait()

    @property
    def has_ended(self) -> bool:
        """Whether it is gone, and computes nothing any more."""
        return self._process.poll() is not None

    def wait_until_ready(self) -> None:
        """Returns when it has the network. Raises UserError when it has none, or another."""
        try:
            digest = self._read(hashlib.sha256().digest_size)
        except EOFError:
            raise UserError("the network's process has ended before it was ready") from None
        if digest != _digest(self._loaded):
            raise UserError(f"{self._loaded.checkpoint} was written meanwhile", "start again")

    def outputs(self, stored: Array) -> Array:
        """y (N, K) for N inputs as the data is stored, as `Model.outputs_or_not_finite`; one thread alone asks.

        Raises Refusal when the process has ended, and RuntimeError with the traceback of what it ran into.
        """
        if not self._is_between_answers:
            raise Refusal(503, ENDED)
        self._is_between_answers = False
        try:
            self._to.write(HEAD.pack(stored.dtype.str.encode(), len(stored)))
            self._to.write(np.ascontiguousarray(stored).data)
            self._to.flush()
            kind, size = HEAD.unpack(self._read(HEAD.size))
            answer = self._read(size)
            self._is_between_answers = True
        except (OSError, EOFError):
            raise Refusal(503, ENDED) from None
        except BaseException:
            self.kill()  # what is still to come would be taken for the answer to another question
            raise
        if kind.rstrip(b"\0") == ERROR:
            raise RuntimeError(f"in the network's process: {answer.decode()}")
        return np.frombuffer(answer, np.float32).reshape(len(stored), self._loaded.outputs)

    def kill(self) -> None:
        """Ends it at once, whatever it computes."""
        self._process.kill()

    def _read(self, size: int) -> bytes:
        found = self._from.read(size)
        if len(found) < size:
            raise EOFError
        return found


def _digest(loaded: LoadedRun) -> bytes:
    """Of what makes the outputs: weights, running statistics and scaling."""
    digest = hashlib.sha256(loaded.network.parameters.values.data)
    for array in (loaded.affine.multiplier, loaded.affine.offset):
        digest.update(array.tobytes())
    return digest.digest()


def answer(model: Model, requests: BinaryIO, answers: BinaryIO) -> None:
    """Computes for whoever asks, until nobody does."""
    while len(head := requests.read(HEAD.size)) == HEAD.size:
        kind, number = HEAD.unpack(head)
        dtype = np.dtype(kind.rstrip(b"\0").decode())
        shape = (number, *model.loaded.input_shape)
        size = left = math.prod(shape) * dtype.itemsize
        try:
            body = requests.read(size)
            left = 0
            if len(body) < size:
                return
            y = model.outputs_or_not_finite(np.frombuffer(body, dtype).reshape(shape))
            told, found = ANSWER, np.ascontiguousarray(y, np.float32).tobytes()
        except Exception as error:
            while left:  # there was no memory for it
                left -= len(requests.read(min(left, PIECE))) or left
            told, found = ERROR, traceback_of(error).encode("utf-8", "backslashreplace")
        answers.write(HEAD.pack(told, len(found)))
        answers.write(found)
        answers.flush()


def main() -> None:
    """The process itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server answers what it has accepted, and then ends this one
    run, checkpoint, threads = sys.argv[1:]
    try:
        loaded = load_run(Path(run), checkpoint)
    except UserError as error:
        sys.exit(f"error: {error}")
    use_threads_of(loaded, int(threads))
    answers = sys.stdout.buffer
    try:
        answers.write(_digest(loaded))
        answers.flush()
        answer(Model(loaded), sys.stdin.buffer, answers)
    except BrokenPipeError:  # nobody is there to read it
        os._exit(0)


if __name__ == "__main__":
    main()
