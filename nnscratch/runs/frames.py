"""What a network made of its one or two features while it learned: a line for a frame in logs/frames.jsonl.

At most MOST frames are kept. Which epochs they are of depends on the epoch alone, so that a training that was stopped
and resumed has the same as one that was not.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from nnscratch.host.json_text import json_text
from nnscratch.nn.compute.buffers import Array
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.records import read_lines

MOST = 60


@dataclass(frozen=True)
class Frame:
    """The outputs on a grid at the end of an epoch; epoch 0 is before training."""

    epoch: int
    shape: tuple[int, ...]
    dtype: str
    values: str
    """Little-endian, compressed, in base64."""

    @classmethod
    def of(cls, epoch: int, values: Array) -> Frame:
        """Probabilities are uint8, 255 for 1; anything else float32."""
        kept = values if values.dtype == np.uint8 else values.astype("<f4")
        packed = base64.b64encode(zlib.compress(np.ascontiguousarray(kept).tobytes()))
        return cls(epoch, tuple(values.shape), kept.dtype.str, packed.decode())

    def array(self, shape: Sequence[int]) -> Array | None:
        """The outputs, when they are of that shape and can be read: float32, probabilities from 0 to 1."""
        if self.shape != tuple(shape) or self.dtype not in ("|u1", "<f4"):
            return None
        size = int(np.prod(shape)) * np.dtype(self.dtype).itemsize
        try:
            unpacked = zlib.decompressobj().decompress(base64.b64decode(self.values, validate=True), size + 1)
        except (ValueError, zlib.error):
            return None
        if len(unpacked) != size:
            return None
        values = np.frombuffer(unpacked, self.dtype).reshape(shape).astype(np.float32)
        if self.dtype == "|u1":
            values /= 255
        return values if np.isfinite(values).all() else None


def spacing(newest: int) -> int:
    """Of how many epochs one has a frame when `newest` is the last: 1, 2, 4, ..."""
    every = 1
    while newest > MOST * every:
        every *= 2
    return every


def append_frame(run: RunDirectory, frame: Frame) -> None:
    """Adds a frame, and leaves out those that are now too many. Raises UserError when the disk refuses."""
    every = spacing(frame.epoch)
    if every > spacing(max(frame.epoch - every, 0)):
        keep_frames(run, frame.epoch)
    run.append(layout.FRAMES, asdict(frame))


def keep_frames(run: RunDirectory, epochs: int) -> None:
    """Leaves those of the first epochs, which a resumed training goes on from."""
    every = spacing(epochs)
    kept = [each for each in read_frames(run) if each.epoch <= epochs and each.epoch % every == 0]
    run.write_text(layout.FRAMES, "".join(json_text(asdict(each)) + "\n" for each in kept))


def read_frames(run: RunDirectory) -> list[Frame]:
    """Those there are, in order; what is no whole line is left out."""
    return read_lines(Frame, run.path / layout.FRAMES)
