"""A connection from every process to the first, beside MPI: that one has died is known at once, whatever it died of.

MPI itself waits for ever for a process that is gone. The system closes a dead process's connections, so a thread that
watches them knows within milliseconds, also while the main thread waits inside MPI. Who fails and can still say why
sends that over the line first.
"""

from __future__ import annotations

import hmac
import json
import secrets
import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from nnscratch.errors import UserError
from nnscratch.nn.compute.communicator import Communicator

GRACE = 1.5
"""Seconds that a process's own error has to come up here, too, before it counts as that process's alone."""
PATIENCE = 10.0
"""Seconds that a process may go on after the first has said goodbye."""
WITHOUT_A_WORD = "it ended without a word: killed, or out of memory"
LONGEST = 1 << 16
"""Bytes of a message."""
CONNECT_SECONDS = 30.0
GREETING_SECONDS = 5.0
"""Seconds in which who has called has to say who it is: the first thing that the others do."""


@dataclass(frozen=True)
class Failure:
    """Why a process ended: in its own words, or that it had none."""

    rank: int
    host: str
    message: str
    hint: str | None = None
    exit_code: int = 1

    def __str__(self) -> str:
        return f"rank {self.rank} on {self.host}: {self.message}"


class Lifeline:
    """The lines of one process: of rank 0 to all others, of any other to rank 0.

    `lost` is called in a thread of its own, once, with the first failure of another process that did not say goodbye.
    """

    def __init__(self, communicator: Communicator, lost: Callable[[Failure], None]) -> None:
        self.rank, self.host = communicator.rank, socket.gethostname()
        self._lost = lost
        self._lines: dict[socket.socket, tuple[int, str]] = {}
        self._left = threading.Event()
        """All others have said why they end, or are gone."""
        self._is_ending = threading.Event()
        self._meet(communicator)

    def watch(self) -> None:
        """From now on `lost` is called."""
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def say_goodbye(self) -> None:
        """Tells the others that this process ends as it should."""
        self._is_ending.set()
        self._send({"goodbye": True})

    def fail(self, error: UserError) -> None:
        """Tells rank 0 why this process ends."""
        self._is_ending.set()
        self._send(asdict(Failure(self.rank, self.host, error.message, error.hint, error.exit_code)))

    def wait_for_others(self, seconds: float) -> bool:
        """Whether all others have said goodbye, or are gone, by then."""
        return self._left.wait(seconds)

    def _meet(self, communicator: Communicator) -> None:
        hosts = communicator.texts(self.host)
        is_one_machine = len({*hosts}) == 1
        listener, own = None, {}
        if self.rank == 0:
            listener = socket.create_server(("127.0.0.1" if is_one_machine else "", 0), backlog=communicator.size)
            addresses = [] if is_one_machine else _addresses()
            own = {"port": listener.getsockname()[1], "token": secrets.token_hex(16), "addresses": addresses}
        first = json.loads(communicator.texts(json.dumps(own))[0])
        if listener is None:
            addresses = ["127.0.0.1", *first["addresses"]] if hosts[0] == self.host else first["addresses"]
            line = _connect(addresses, first["port"])
            line.sendall(json.dumps({"token": first["token"], "rank": self.rank}).encode() + b"\n")
            self._lines[line] = 0, hosts[0]
        else:
            with listener:
                listener.settimeout(CONNECT_SECONDS)
                while len(self._lines) < communicator.size - 1:
                    line = listener.accept()[0]
                    line.settimeout(GREETING_SECONDS)
                    greeting = {}
                    with suppress(OSError):  # anybody may call
                        greeting = _message(_read_line(line)) or {}
                    if hmac.compare_digest(str(greeting.get("token")).encode(), first["token"].encode()):
                        rank = int(greeting["rank"])
                        self._lines[line] = rank, hosts[rank]
                    else:
                        line.close()
        for line in self._lines:
            _notice_dead_machines(line)
            line.settimeout(None)

    def _watch(self) -> None:
        waiting = dict(self._lines)
        while waiting:
            for line in select.select(list(waiting), [], [])[0]:
                rank, host = waiting.pop(line)
                text = b""
                with suppress(OSError):
                    text = _read_line(line)
                values = _message(text)
                if values is None:
                    self._act_on(Failure(rank, host, WITHOUT_A_WORD), 0)
                elif "goodbye" not in values:
                    self._act_on(Failure(**values), GRACE)
                elif rank == 0:
                    self._act_on(Failure(rank, host, "it has ended"), PATIENCE)
        self._left.set()

    def _act_on(self, failure: Failure, seconds: float) -> None:
        """Unless this process ends by itself within that time."""
        if not self._is_ending.wait(seconds):
            self._lost(failure)

    def _send(self, values: dict[str, Any]) -> None:
        data = json.dumps(values).encode()[:LONGEST] + b"\n"
        for line in self._lines:
            with suppress(OSError):
                line.sendall(data)


def _read_line(line: socket.socket) -> bytes:
    """One message; what came with it, a goodbye after a greeting, is left for the next time."""
    text = b""
    while not text.endswith(b"\n") and len(text) <= LONGEST:
        more = line.recv(1)
        if not more:
            return b""
        text += more
    return text


def _message(text: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def _addresses() -> list[str]:
    """Where other machines may reach this one; the name first."""
    name = socket.gethostname()
    found = [name]
    with suppress(OSError):
        found += [str(each[4][0]) for each in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    return list(dict.fromkeys(found))


def _connect(addresses: Sequence[str], port: int) -> socket.socket:
    """A line to the first of the addresses that answers."""
    error = OSError("it has no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), CONNECT_SECONDS)
        except OSError as caught:
            error = caught
    raise error


def _notice_dead_machines(line: socket.socket) -> None:
    """Has the system find out, within seconds, that the other machine is gone without closing anything."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
