"""What processes that train a run together must have in common."""

from __future__ import annotations

import hashlib
import socket

from nnscratch.config.config import Config
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import UserError
from nnscratch.nn.compute.communicator import Communicator


def require_alike(communicator: Communicator, config: Config, dataset: Dataset, checkpoint: bytes = b"") -> None:
    """Raises UserError, on all of them, when one has another config, other data or another checkpoint than rank 0."""
    if communicator.size == 1:
        return
    digest = hashlib.sha256(checkpoint).hexdigest() if checkpoint else ""
    own = {"config": config.to_yaml(), "data": dataset.digest(), "checkpoint": digest}
    shown = [hashlib.sha256(text.encode()).hexdigest() for text in own.values()]
    told = [text.split() for text in communicator.texts(" ".join([socket.gethostname(), *shown]))]
    for rank, (host, *theirs) in enumerate(told):
        for what, here, there in zip(own, told[0][1:], theirs, strict=True):
            if here != there:
                raise UserError(
                    f"rank {rank} on {host} has another {what} than rank 0 on {told[0][0]}",
                    "all machines need the same files, by a shared folder or as copies",
                )
