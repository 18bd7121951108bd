"""A time after which an exchange with a server is over, whatever the server does with it.

A socket's own time-out begins anew with every byte: one who dribbles a status line, sends 100 Continue for ever, or
trailers without an end, is never too late for it.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
import urllib.request
from contextlib import suppress
from typing import Any


class Deadline:
    """Cuts the connections opened through `opener` when the time is over."""

    def __init__(self) -> None:
        self.is_over = False
        self._sockets: list[socket.socket] = []
        self._timer: threading.Timer | None = None

    def within(self, seconds: float) -> None:
        """From now on so many seconds are left."""
        self._stop_timer()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Nothing is cut any more."""
        self._stop_timer()
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def opener(self) -> urllib.request.OpenerDirector:
        """Opens addresses as urllib does, redirects and proxies included."""
        deadline = self

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                deadline._watch(self)
                super().connect()

        class SecureConnection(http.client.HTTPSConnection):
            def connect(self) -> None:
                deadline._watch(self)
                super().connect()

        class Handler(urllib.request.HTTPHandler):
            def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(Connection, request)

        class SecureHandler(urllib.request.HTTPSHandler):
            def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(SecureConnection, request)

        return urllib.request.build_opener(Handler, SecureHandler)

    def _watch(self, connection: Any) -> None:
        """Keeps a second handle of what the connection will open: the first goes away when it is made secure."""
        create = connection._create_connection

        def opened(*arguments: Any, **options: Any) -> socket.socket:
            if self.is_over:
                raise TimeoutError
            made: socket.socket = create(*arguments, **options)
            self._sockets.append(socket.socket(made.family, made.type, fileno=os.dup(made.fileno())))
            return made

        connection._create_connection = opened

    def _cut(self) -> None:
        self.is_over = True
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
