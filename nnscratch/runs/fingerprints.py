"""What a training was, number by number, in little room: the loss of every step, a digest of every array by epoch.

logs/fingerprints.jsonl has a line for each epoch. Two trainings with equal lines have had equal weights throughout.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from nnscratch.host.json_text import json_text
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.parameters import Parameters
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.records import read_lines


@dataclass(frozen=True)
class Fingerprint:
    """One epoch of a training."""

    epoch: int
    first_step: int = 0
    """The step of the first loss, from 0: a training that was resumed within an epoch knows its later ones alone."""
    losses: str = ""
    """float64, little-endian, in base64."""
    arrays: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256, its first 16 digits, of every trained array and running statistic at the epoch's end, by name."""

    @classmethod
    def of(cls, epoch: int, first_step: int, losses: Sequence[float], parameters: Parameters) -> Fingerprint:
        named = {**parameters.named(), **parameters.named_state()}
        digests = {name: _digest(array) for name, array in named.items()}
        return cls(epoch, first_step, base64.b64encode(np.array(losses, "<f8").tobytes()).decode(), digests)

    @property
    def by_step(self) -> dict[int, float]:
        """The loss of each step that is known, from 0; none when they cannot be read."""
        try:
            values = np.frombuffer(base64.b64decode(self.losses, validate=True), "<f8").tolist()
        except ValueError:
            return {}
        return dict(enumerate(values, self.first_step))


def _digest(array: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()[:16]


def append_fingerprint(run: RunDirectory, fingerprint: Fingerprint) -> None:
    """Adds the line of an epoch. Raises UserError when the disk refuses."""
    run.append(layout.FINGERPRINTS, asdict(fingerprint))


def keep_fingerprints(run: RunDirectory, epochs: int) -> None:
    """Leaves those of the first epochs, which a resumed training goes on from."""
    kept = [each for each in read_fingerprints(run) if each.epoch <= epochs]
    run.write_text(layout.FINGERPRINTS, "".join(json_text(asdict(each)) + "\n" for each in kept))


def read_fingerprints(run: RunDirectory) -> list[Fingerprint]:
    """Those there are, in order; what is no whole line is left out."""
    return read_lines(Fingerprint, run.path / layout.FINGERPRINTS)
