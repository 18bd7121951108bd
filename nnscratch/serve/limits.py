"""What one request may ask for, what all together may, and how a request is told that it asks for too much."""

from __future__ import annotations

from dataclasses import dataclass

from nnscratch.datasets.formats.picture_costs import MOST_PIXELS
from nnscratch.errors import UserError


@dataclass(frozen=True)
class Limits:
    """The most that is taken; beyond that a request gets the status that stands with it."""

    size: int = 16 << 20
    """Bytes of a request's body (413)."""
    rows: int = 1000
    """Rows or pictures of a request (413)."""
    pixels: int = MOST_PIXELS
    """Pixels of all pictures of a request together, told by their headers before they are decoded (422)."""
    seconds: float = 30
    """From a request's first byte to its answer (503)."""
    waiting: int = 4000
    """Rows of all requests that wait for the network (429)."""
    memory: int = 256 << 20
    """Bytes of all requests that are being read (429)."""
    connections: int = 500
    """Open at one time (503)."""
    batch: int = 64
    """Rows that are gathered for the network at a time."""
    gather: float = 0.005
    """Seconds that a row waits at most for others to go with it."""

    def check_rows(self, number: int) -> None:
        """Raises Refusal for a request of so many rows or files, when they are too many."""
        if number > self.rows:
            raise Refusal(413, f"{number:,} rows or files; at most {self.rows:,} a request")


class Refusal(UserError):
    """A request that gets no prediction, and the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class EarlyRefusal(Refusal):
    """One while the request is still being sent."""
