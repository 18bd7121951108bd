"""`nnscratch serve`: a run's network answers over HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from nnscratch.datasets.formats.images import quiet_pillow
from nnscratch.errors import UsageError, UserError
from nnscratch.host.display import Display
from nnscratch.report.formats import count
from nnscratch.results.model import Model
from nnscratch.runs.loaded import load_run, use_threads_of
from nnscratch.serve.limits import Limits
from nnscratch.serve.network_process import NetworkProcess

if TYPE_CHECKING:
    import uvicorn

    from nnscratch.serve.app import Service

GRACE = 5
"""Seconds beyond a request's own time that stopping waits for it."""


def serve_run(
    path: Path,
    host: str,
    port: int,
    checkpoint: str,
    threads: int | None,
    display: Display,
    allow_plugins: bool,
) -> None:
    """Serves the network until SIGTERM or Ctrl-C, and then answers what it has accepted.

    Port 0 is any that is free. Raises UserError when the address cannot be had, or when a library is missing.
    """
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise UserError(f"serving needs {' and '.join(missing)}", "pip install 'nnscratch[serve]'")
    loaded = load_run(path, checkpoint)
    threads = use_threads_of(loaded, threads)
    # Plugins stay where they have been imported.
    beside = nullcontext() if allow_plugins else NetworkProcess(loaded, threads)
    with _listen(host, port) as listening, beside as network:
        from nnscratch.serve.app import Service  # takes as long as the process takes to start

        if network is not None:
            network.wait_until_ready()
        service = Service(Model(loaded), Limits(), threads, network)
        server = server_for(service)
        with quiet_pillow(), _stopped_by_signals(server):
            address = _address(listening)
            display.result(f"serving {loaded.run.path} (epoch {loaded.epoch}) on {address}  (Ctrl-C stops)")
            display.say(f"ask it in a browser, or: curl --data-binary @FILE {address}/predict")
            if not _is_loopback(host):
                display.warn(f"{host}: whoever reaches this machine can ask; there is no password and no encryption")
            server.run([listening])
    display.say(f"stopped after {count(service.requests)} requests")


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Inside, SIGTERM and Ctrl-C stop the server also before it runs, and are over once it has stopped."""
    before = {number: signal.signal(number, server.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def server_for(service: Service) -> uvicorn.Server:
    """The HTTP server of a service; `run([socket])` serves until it is told to exit."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from nnscratch.serve.app import HEADERS, Application

    class InOnePiece(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as it is there
            super().connection_made(cast(asyncio.Transport, Joined(transport)))

    limits = service.limits
    config = uvicorn.Config(
        Application(service),
        http=InOnePiece,  # the faster httptools bounds no headers, and loses the bodies of clients that offer HTTP/2
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # what clients do wrong is answered, and fills no log
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=list(HEADERS.items()),
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=math.ceil(limits.seconds) + GRACE,
    )
    config.load()

    class Server(uvicorn.Server):
        """Once it is to stop, who is answered is told to ask again on another connection."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            # A second Ctrl-C cuts requests off, and each would leave a traceback in the log.
            logging.getLogger("uvicorn.error").disabled = self.force_exit
            if self.force_exit:
                service.abandon()
            for headers in (self.config.encoded_headers, self.server_state.default_headers):
                headers.append((b"connection", b"close"))

    return Server(config)


class Joined:
    """A connection that sends in one piece what is written in one turn of the loop: the head and body of an answer."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._pieces:
            asyncio.get_running_loop().call_soon(self._send)
        self._pieces.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces:
            self._transport.write(b"".join(pieces))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(found[4][:2], family=found[0])
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on {host}, port {port}: {reason}", "--port 0 takes one that is free; --host says where"
        ) from None
    # Connections inherit it. Without it the last piece of a long answer waits 40 ms for the client to acknowledge the
    # one before.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
