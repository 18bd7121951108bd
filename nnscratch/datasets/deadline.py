"""A time after which an exchange with a server is over, whatever the server does with it.

A socket's own time-out begins anew with every byte: one who dribbles a status line, sends 100 Continue for ever, or
trailers without an end, is never too late for it.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any, NoReturn


class Deadline:
    """Cuts the connections opened through `opener` when the time is over."""

    def __init__(self) -> None:
        self.is_over = False
        self._sockets: list[socket.socket] = []
        self._end = 0.0
        self._is_done = threading.Event()
        self._watcher: threading.Thread | None = None

    def within(self, seconds: float) -> None:
        """From now on so many seconds are left; it may only become later."""
        self._end = time.monotonic() + seconds
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._wait, daemon=True)
            self._watcher.start()

    def earn(self, seconds: float, at_most: float) -> None:
        """So many seconds more are left, but not more than `at_most` from now on."""
        self._end = min(self._end + seconds, time.monotonic() + at_most)

    def end(self) -> None:
        """Nothing is cut any more."""
        self._is_done.set()
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def opener(self) -> urllib.request.OpenerDirector:
        """Opens addresses as urllib does, redirects to http and https and proxies included."""
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

        class NoFTP(urllib.request.FTPHandler):
            def ftp_open(self, request: urllib.request.Request) -> NoReturn:
                raise urllib.error.URLError("it leads to ftp, which is not followed")  # whose connections nobody cuts

        return urllib.request.build_opener(Handler, SecureHandler, NoFTP)

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

    def _wait(self) -> None:
        while (left := self._end - time.monotonic()) > 0:
            if self._is_done.wait(left):
                return
        self.is_over = True
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
