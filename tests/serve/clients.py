"""A served run in a process of its own, and clients that ask it as fast as they are answered."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """A server's process and its port on the loopback."""

    process: subprocess.Popen[str]
    port: int

    def stop(self) -> str:
        """SIGTERM; what it said at its end, which must have come without an error."""
        self.process.send_signal(signal.SIGTERM)
        told, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, told
        return told


@contextmanager
def served(run: Path, *options: str) -> Iterator[Server]:
    """`nnscratch serve RUN` on a free port."""
    command = [sys.executable, "-m", "nnscratch", "serve", str(run), "--port", "0", "--threads", "1", *options]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+:(\d+)", line)
            assert found is not None, line + process.stdout.read()
            process.stdout.readline()  # how to ask
            yield Server(process, int(found[1]))
        finally:
            if process.poll() is None:
                process.kill()


@dataclass(frozen=True)
class Query:
    """A request, and the labels that its rows must get."""

    body: bytes
    kind: str
    labels: tuple[str, ...]


@dataclass
class Load:
    """What clients counted."""

    seconds: float = 0.0
    rows: int = 0
    wrong: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)

    def add(self, status: int, body: bytes, query: Query, waited: float) -> None:
        """Counts an answer."""
        self.statuses[status] += 1
        self.waits.append(waited)
        if status == 200:
            labels = tuple(each.get("label") for each in json.loads(body)["predictions"])
            self.rows += len(labels)
            self.wrong += labels != query.labels

    def quantile(self, share: float) -> float:
        """The seconds within which that share of the requests was answered."""
        return sorted(self.waits)[int(share * (len(self.waits) - 1))]


@dataclass
class Client:
    """A connection, which of the queries it asks next, when it asked, and what it has been sent since."""

    connection: socket.socket
    next: int
    asked: float = 0.0
    sent: bytes = b""

    def ask(self, requests: Sequence[bytes]) -> None:
        """Sends the next request."""
        self.sent, self.asked = b"", time.monotonic()
        self.connection.sendall(requests[self.next % len(requests)])

    def answered(self) -> tuple[int, bytes] | None:
        """Takes what has come: the status and the body, once they are whole."""
        piece = self.connection.recv(1 << 16)
        assert piece, "the server closed a connection"
        self.sent += piece
        head, end, body = self.sent.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not end or length is None or len(body) < int(length[1]):
            return None
        return int(head.split(maxsplit=2)[1]), body


def load(port: int, queries: Sequence[Query], clients: int, seconds: float) -> Load:
    """So many clients, each with a connection of its own, ask one query after the other for so long.

    One thread is all of them, with requests that were written before: on a machine of few cores they leave those to
    the server.
    """
    requests = [
        f"POST /predict?top=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: {query.kind}\r\n"
        f"Content-Length: {len(query.body)}\r\n\r\n".encode()
        + query.body
        for query in queries
    ]
    counted = Load()
    with selectors.DefaultSelector() as selector:
        for number in range(clients):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, Client(connection, number))
        start = time.monotonic()
        for key in selector.get_map().values():
            key.data.ask(requests)
        while selector.get_map():
            for key, _ in selector.select():
                client: Client = key.data
                found = client.answered()
                if found is None:
                    continue
                now = time.monotonic()
                counted.add(*found, queries[client.next % len(queries)], now - client.asked)
                client.next += clients
                if now < start + seconds:
                    client.ask(requests)
                else:
                    selector.unregister(client.connection)
                    client.connection.close()
        counted.seconds = time.monotonic() - start
    return counted
