"""A served run in a process of its own, and clients that ask it as fast as they are answered."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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

    def quantile(self, share: float) -> float:
        """The seconds within which that share of the requests was answered."""
        return sorted(self.waits)[int(share * (len(self.waits) - 1))]


def load(port: int, queries: Sequence[Query], clients: int, seconds: float) -> Load:
    """So many clients, each with a connection of its own, ask one query after the other for so long."""
    counted = Load()

    async def client(number: int, end: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        index = number
        while time.monotonic() < end:
            query = queries[index % len(queries)]
            index += clients
            before = time.monotonic()
            head = f"POST /predict?top=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: {query.kind}\r\n"
            writer.write(f"{head}Content-Length: {len(query.body)}\r\n\r\n".encode() + query.body)
            status, found = await answer(reader)
            counted.statuses[status] += 1
            counted.waits.append(time.monotonic() - before)
            if status == 200:
                labels = tuple(each.get("label") for each in found["predictions"])
                counted.rows += len(labels)
                counted.wrong += labels != query.labels
        writer.close()
        await writer.wait_closed()

    async def all_clients() -> None:
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(client(number, start + seconds))
        counted.seconds = time.monotonic() - start

    asyncio.run(all_clients())
    return counted


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of an answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"content-length: (\d+)", head)
    assert length is not None
    return int(head.split(maxsplit=2)[1]), json.loads(await reader.readexactly(int(length[1])))
