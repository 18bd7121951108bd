"""The service: what each address answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from nnscratch.datasets.tables.columns import Number
from nnscratch.errors import DataError, UsageError
from nnscratch.host.json_text import json_text
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import printable
from nnscratch.results.model import Model
from nnscratch.results.predict import Prediction, answers, read_item
from nnscratch.results.prediction_tables import record_items
from nnscratch.runs.loaded import LoadedRun
from nnscratch.serve.batches import Answer, Batches, deliver
from nnscratch.serve.description import describe
from nnscratch.serve.inputs import is_quick, read_rows
from nnscratch.serve.json_rows import marks_said
from nnscratch.serve.limits import EarlyRefusal, Limits, Refusal
from nnscratch.serve.network_process import ENDED, NetworkProcess
from nnscratch.serve.openapi import openapi
from nnscratch.serve.page import page, script, style
from nnscratch.serve.row import Row

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer: the page runs the service's own script, and loads nothing from elsewhere."""
HEADERS_OF_PAGE = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""What means something with a page alone."""
TOP = 3
DISCARDING = 2.0
"""Seconds that the rest of a request which is refused may still come for."""
SMALL_PIXELS = 1 << 16
"""Of pictures that the loop's thread reads itself."""

Asked: TypeAlias = tuple[Row, int, object]
"""A row, how many classes are to be told of it, and the request that it is of."""
Body: TypeAlias = tuple[str, bytearray, int, Answer[Prediction]]
"""The contents of a request with their media type, how many classes are to be told, and who waits for the answer."""


class Service:
    """One network and its requests: `readers` threads read large ones, one has computed what several ask for together.

    Without a `network` in a process of its own, that thread computes itself.
    """

    def __init__(self, model: Model, limits: Limits, readers: int, network: NetworkProcess | None = None) -> None:
        self.model, self.limits, self.described = model, limits, describe(model.loaded)
        self.requests = 0
        self._network = network
        self._under_way = self._memory = 0
        self._arrived: list[Body] = []
        self._bodies: SimpleQueue[Body | None] = SimpleQueue()
        self._readers = [Thread(target=self._read, name="reader", daemon=True) for _ in range(readers)]
        for reader in self._readers:
            reader.start()
        self._batches: Batches[Asked, Prediction] = Batches(self._compute, limits, lambda: self._under_way)

    async def predict(self, request: Request) -> Response:
        """`POST /predict`."""
        top = self._top(request.query_params.get("top", str(TOP)))
        self.requests += 1
        try:
            async with asyncio.timeout(self.limits.seconds):
                predictions = await self._predictions(request, top)
        except TimeoutError:
            raise Refusal(503, f"no answer within {self.limits.seconds:g} s") from None
        except (DataError, UsageError) as error:
            raise Refusal(422, printable(error.message)) from None
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads
        return _json(_told(predictions, top))

    async def health(self, request: Request) -> Response:
        """`GET /health`."""
        batches = self._batches
        if not batches.is_working:
            raise Refusal(503, "the network's thread has ended")
        if self._network is not None and self._network.has_ended:
            raise Refusal(503, ENDED)
        return _json(
            {
                "status": "ok", "run": self.described.name, "epoch": self.described.epoch, "requests": self.requests,
                "rows": batches.rows, "batches": batches.batches, "waiting": batches.waiting,
            }
        )  # fmt: skip

    def abandon(self) -> None:
        """Gives up what a network in a process of its own computes: nobody waits for it any more."""
        if self._network is not None:
            self._network.kill()

    def close(self) -> None:
        """Ends the threads, once every request has been answered or given up."""
        for _ in self._readers:
            self._bodies.put(None)
        for reader in self._readers:
            reader.join()
        self.abandon()
        self._batches.close()

    def _top(self, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0):
            raise Refusal(422, "top: a whole number, at least 1")
        return int(text[:9])

    async def _predictions(self, request: Request, top: int) -> Sequence[Prediction]:
        """What the network makes of the request's rows, of each by itself."""
        body = bytearray()
        self._under_way += 1
        try:
            await self._receive(request, body)
            loop = asyncio.get_running_loop()
            answer: Answer[Prediction] = loop.create_future()
            if not self._arrived:
                loop.call_soon(self._hand_over)
            self._arrived.append((request.headers.get("content-type", ""), body, top, answer))
            return await answer
        finally:
            self._under_way -= 1
            self._memory -= len(body)

    async def _receive(self, request: Request, body: bytearray) -> None:
        size, declared = self.limits.size, request.headers.get("content-length", "")
        too_large = EarlyRefusal(413, f"more than {size:,} bytes, the most that is taken")
        if declared.isdecimal() and int(declared) > size:
            raise too_large
        packed = request.headers.get("content-encoding", "").strip().lower()
        if packed not in ("", "identity"):
            raise EarlyRefusal(422, printable(f"a body is taken as it is, not compressed ({packed[:20]})"))
        async for piece in request.stream():
            self._memory += len(piece)
            body += piece
            if len(body) > size:
                raise too_large
            if self._memory > self.limits.memory:
                raise EarlyRefusal(429, "too many large requests at one time; ask again in a second")

    def _hand_over(self) -> None:
        """Reads what is quick of all that has arrived in one turn of the loop, and gives the readers the rest.

        Handing it to another thread, and the interpreter with it from core to core, takes longer than reading it.
        """
        arrived, self._arrived = self._arrived, []
        small = replace(self.limits, pixels=min(SMALL_PIXELS, self.limits.pixels))
        end = time.monotonic() + self.limits.gather
        for each in arrived:
            kind, body, top, answer = each
            rows: list[Row] = []
            if time.monotonic() < end and is_quick(self.model.loaded, kind, body):
                with suppress(Exception):  # a reader runs into it once more, and tells
                    rows = read_rows(self.model, kind, bytes(body), small)
            if rows and not any(isinstance(row.values, str) for row in rows):
                self._submit(rows, top, answer)
            else:
                self._bodies.put(each)

    def _read(self) -> None:
        for kind, body, top, answer in iter(self._bodies.get, None):
            if answer.cancelled():
                continue
            try:
                rows = read_rows(self.model, kind, bytes(body), self.limits)
            except Exception as error:
                deliver([(answer, error)])
            else:
                self._submit(rows, top, answer)

    def _submit(self, rows: Sequence[Row], top: int, answer: Answer[Prediction]) -> None:
        try:
            request = object()
            self._batches.submit([(row, top, request) for row in rows], answer)
        except Refusal as refusal:
            deliver([(answer, refusal)])

    def _compute(self, asked: Sequence[Asked]) -> list[Prediction]:
        loaded = self.model.loaded
        rows = [row for row, _, _ in asked]
        found: list[Array | str] = ["" if isinstance(row.values, dict) else row.values for row in rows]
        for objects in _read_together(loaded, asked):
            for (line, _), item in zip(objects, record_items(loaded, objects, ()), strict=True):
                found[line - 1] = read_item(item)
                rows[line - 1] = replace(rows[line - 1], note=item.note)
        stored = [each for each in found if not isinstance(each, str)]
        outputs = self.model.outputs_or_not_finite if self._network is None else self._network.outputs
        y = outputs(np.stack(stored)) if stored else np.empty((0, 0))
        made = answers(loaded, y, max(top for _, top, _ in asked))
        return [
            Prediction(row.name, error=each) if isinstance(each, str) else next(made)(row.name, note=row.note)
            for row, each in zip(rows, found, strict=True)
        ]


def _read_together(loaded: LoadedRun, asked: Sequence[Asked]) -> Iterable[list[tuple[int, dict[str, Any]]]]:
    """The objects of JSON, each with its line from 1, in the groups that are encoded together.

    Which decimal mark numbers in text have is found out among the rows of their request, and is no matter of what
    others ask: they go with others whose texts all say the same.
    """
    columns = () if loaded.encoding is None else loaded.encoding.columns
    numbers = {column.name for column in columns if isinstance(column, Number)}
    objects = [
        (line, row.values, request)
        for line, (row, _, request) in enumerate(asked, start=1)
        if isinstance(row.values, dict)
    ]
    said: dict[object, set[object]] = {}
    for _, values, request in objects:
        said.setdefault(request, set()).add(marks_said(values, numbers))
    together: dict[object, list[tuple[int, dict[str, Any]]]] = {}
    for line, values, request in objects:
        one, *others = said[request]
        together.setdefault(request if others else one, []).append((line, values))
    return together.values()


def _told(predictions: Sequence[Prediction], top: int) -> dict[str, Any]:
    """What the request is answered. Raises Refusal when no row of it has a prediction."""
    errors = [each for each in predictions if each.error is not None]
    if len(errors) == len(predictions):
        more = f"; and {len(errors) - 1:,} more in error" if len(errors) > 1 else ""
        raise Refusal(422, printable(f"{errors[0].input}: {errors[0].error}{more}"))
    told = [replace(each, top=each.top[:top]).to_dict() for each in predictions]
    return {"predictions": told, "errors": len(errors)}


class Application(Starlette):
    """The service at its addresses; what goes wrong is one line of JSON."""

    def __init__(self, service: Service) -> None:
        self.service = service

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            yield
            await asyncio.to_thread(service.close)

        super().__init__(
            routes=[
                _fixed("/", page(service.described), "text/html", HEADERS_OF_PAGE),
                _fixed("/page.css", style(), "text/css"),
                _fixed("/page.js", script(), "text/javascript"),
                Route("/predict", service.predict, methods=["POST"]),
                Route("/health", service.health),
                _fixed("/openapi.json", json_text(openapi(service.described, service.limits)), "application/json"),
            ],
            lifespan=lifespan,
            exception_handlers={Refusal: _refused, HTTPException: _not_found, Exception: _fault},
        )
        self.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; predictions past Starlette's layers, which take a fifth of a small picture's time."""
        if (scope["type"], scope.get("method"), scope.get("path")) != ("http", "POST", "/predict"):
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await self.service.predict(request)
        except Refusal as error:
            response = await _refused(request, error)
            if isinstance(error, EarlyRefusal):
                await _send_to_who_is_sending(response, receive, send)
                return
        except Exception as error:
            response = await _fault(request, error)
            await response(scope, receive, send)
            raise  # into the server's log
        await response(scope, receive, send)


async def _send_to_who_is_sending(response: Response, receive: Receive, send: Send) -> None:
    """The answer at once, and its end only when the rest of the request has come, or DISCARDING seconds later.

    A connection that is closed while its client sends is reset: the answer would be lost on its way.
    """
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARDING):
            while (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body", "body": b""})


def _fixed(path: str, text: str, media_type: str, headers: Mapping[str, str] | None = None) -> Route:
    async def answer(request: Request) -> Response:
        return Response(text, headers=headers, media_type=media_type)

    return Route(path, answer)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    later = {"Retry-After": "1"} if error.status in (429, 503) and error.message != ENDED else None
    return _json({"error": error.message}, error.status, later)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    ways = "there are GET /, POST /predict, GET /health and GET /openapi.json"
    return _json({"error": f"{error.detail.lower()}: {ways}"}, error.status_code, dict(error.headers or {}))


async def _fault(request: Request, error: Exception) -> Response:
    return _json({"error": "a fault of the server, which is in its log"}, 500)


def _json(value: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json_text(value), status, headers, "application/json")
