"""Whatever comes in: a status that says whose fault it is, one line, and the next request is answered."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnscratch.nn.compute.buffers import Array
from nnscratch.results.model import Model
from nnscratch.serve.batches import Batches
from nnscratch.serve.inputs import read_rows
from nnscratch.serve.limits import Limits, Refusal
from nnscratch.serve.row import Row
from tests.serve.clients import Server, served
from tests.serve.conftest import ask, in_process
from tests.serve.test_predictions import ROW, form, png

PICTURE = np.zeros((8, 8, 3), np.uint8)
INNER = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n1\r\n--x--\r\n"
FORM = "multipart/form-data; boundary=line"
MALFORMED: list[tuple[str, bytes, str]] = [
    ("nothing", b"", ""),
    ("text", b"hello", ""),
    ("bytes", bytes(range(256)), ""),
    ("zeros", bytes(1000), "image/png"),
    ("a cut picture", png(PICTURE)[:40], "image/png"),
    ("a picture that ends early", png(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8))[:-900], ""),
    ("JSON that does not close", b'[{"age": 31', "application/json"),
    ("JSON of no rows", b"3", "application/json"),
    ("no rows", b"[]", "application/json"),
    ("empty objects", b"[{}, {}]", "application/json"),
    ("text in lists", b'[["a", "b"]]', "application/json"),
    ("a list of paths", b'["/etc/passwd", "/etc/hosts"]', "application/json"),
    ("a path", b'"/etc/passwd"', "application/json"),
    ("a path as text", b"/etc/passwd", "text/plain"),
    ("a path in an object", b'{"path": "/etc/passwd"}', "application/json"),
    ("rows of different lengths", b"[[1, 2], [3]]", "application/json"),
    ("not a number", b"[[NaN, Infinity]]", "application/json"),
    ("a number of 5,000 digits", b"[[" + b"9" * 5000 + b"]]", "application/json"),
    ("depth", b"[" * 100_000, "application/json"),
    ("depth in an object", b'{"age": ' * 50_000, "application/json"),
    ("JSON that is not UTF-8", b'[{"age": "\xff"}]', "application/json"),
    ("a header alone", b"age,city,member,joined\n", "text/csv"),
    ("other columns", b"a,b\n1,2\n", "text/csv"),
    ("an open quote", b'age,city\n1,"x\n', "text/csv"),
    ("form data without a boundary", b"--line\r\n", "multipart/form-data"),
    ("form data of nothing", b"--line--\r\n", FORM),
    ("form data cut off", form({"a.png": png(PICTURE)})[0][:150], FORM),
    ("form data of noise", bytes(range(256)) * 10, FORM),
    ("form data in form data", b"--line\r\n" + INNER + b"--line--", FORM),
    ("form data with more after its boundary", b"--line1\r\n\r\n1\r\n--line--", FORM),
    ("form data without headers", b"--line\r\n1\r\n--line--", FORM),
    ("a transfer encoding", b"--line\r\nContent-Transfer-Encoding: x\r\nContent-Type: a\r\n\r\n1\r\n--line--", FORM),
]  # fmt: skip


def is_one_line(found: Any) -> bool:
    return set(found) == {"error"} and isinstance(found["error"], str) and found["error"].isprintable()


@pytest.mark.parametrize(("body", "kind"), [each[1:] for each in MALFORMED], ids=[each[0] for each in MALFORMED])
def test_what_cannot_be_read_is_422_and_a_line(
    body: bytes, kind: str, pictures_server: Server, table_server: Server
) -> None:
    for server in (pictures_server, table_server):
        status, found = ask(server.port, body, kind)
        assert status == 422, found
        assert is_one_line(found)
        assert "root:" not in found["error"]
    assert ask(table_server.port, json.dumps(ROW))[0] == 200


def rows_or_refusal(model: Model, kind: str, body: bytes) -> list[Row] | Refusal:
    try:
        return read_rows(model, kind, body, Limits())
    except Refusal as refusal:
        return refusal


@settings(max_examples=100)
@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='{}[],:"0123456789.eE+-\n;\tage ntrufls', max_size=80).map(str.encode),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ROW, "x"]), inner, max_size=5)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    kind=st.sampled_from(["", "application/json", "text/csv", "image/png", FORM]),
)
def test_no_body_is_more_than_a_refusal_or_rows(
    body: bytes, kind: str, shapes_model: Model, table_model: Model
) -> None:
    for model in (shapes_model, table_model):
        found = rows_or_refusal(model, kind, body)
        if isinstance(found, Refusal):
            assert found.status == 422
            assert str(found).isprintable()
        else:
            assert found
            assert all(not isinstance(row.values, np.ndarray) or row.values.shape == model.input_shape for row in found)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["nonsense", "a negative length", "a chunk without a length", "an endless header", "TLS"],
)
def test_what_is_no_http_is_400(sent: bytes, table_server: Server) -> None:
    with socket.create_connection(("127.0.0.1", table_server.port), timeout=30) as connection:
        connection.sendall(sent)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert ask(table_server.port, json.dumps(ROW))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/page.css/../app.py", 404),
        ("GET", "/predict", 405),
        ("DELETE", "/", 405),
        ("POST", "/predict/", 404),
        ("POST", "/predict?top=0", 422),
        ("POST", "/predict?top=all", 422),
    ],
)
def test_other_addresses_are_refused(method: str, path: str, status: int, table_server: Server) -> None:
    found = ask(table_server.port, json.dumps(ROW), path=path, method=method)
    assert found[0] == status
    assert is_one_line(found[1])


def test_a_body_that_is_too_large_is_413_before_it_is_sent_and_after(table_server: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\n"
    with socket.create_connection(("127.0.0.1", table_server.port), timeout=30) as connection:
        connection.sendall(head + b"Content-Length: 99999999\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    with socket.create_connection(("127.0.0.1", table_server.port), timeout=30) as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        for _ in range(17):
            connection.sendall(piece)
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("more", [{}, {"Connection": "close"}])
def test_who_sends_a_body_that_is_too_large_to_its_end_gets_the_answer(
    more: dict[str, str], table_server: Server
) -> None:
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", table_server.port, timeout=30)
        connection.request("POST", "/predict", bytes(24 << 20), more)
        assert connection.getresponse().status == 413
        connection.close()


def test_a_client_that_offers_http_2_is_answered_as_any_other(table_server: Server) -> None:
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQ"}  # as Java does
    connection = http.client.HTTPConnection("127.0.0.1", table_server.port, timeout=30)
    for _ in range(2):
        connection.request("POST", "/predict", json.dumps(ROW).encode(), offer)
        response = connection.getresponse()
        assert (response.status, len(json.loads(response.read())["predictions"])) == (200, 1)
    connection.close()


def test_too_many_rows_or_files_are_413(table_server: Server, pictures_server: Server) -> None:
    most = Limits().rows
    for number, status in ((most, 200), (most + 1, 413)):
        row = json.dumps(ROW)
        lines = "\n".join(["age,city,member,joined", *["31,Oslo,yes,2022-01-03"] * number])
        for body in (f"[{','.join([row] * number)}]", "\n".join([row] * number), lines):
            assert ask(table_server.port, body)[0] == status
    assert ask(pictures_server.port, json.dumps([[0]] * (most + 1)))[0] == 413
    found = ask(pictures_server.port, *form({f"{number}.png": b"x" for number in range(most + 1)}))
    assert found[0] == 413
    assert is_one_line(found[1])


def bomb(side: int) -> bytes:
    """A picture of many pixels in a few bytes."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000_000))))
    )


@pytest.mark.parametrize("side", [8_100, 60_000])
def test_a_picture_bomb_is_refused_before_it_is_decoded(side: int, pictures_server: Server) -> None:
    assert len(bomb(side)) < 20_000
    start = time.monotonic()
    status, found = ask(pictures_server.port, bomb(side), "image/png")
    assert (status, is_one_line(found)) == (422, True)
    assert re.search("at most 64,000,000", found["error"])
    assert time.monotonic() - start < 5
    status, found = ask(pictures_server.port, *form({"bomb.png": bomb(side), "small.png": png(PICTURE)}))
    assert (status, found["errors"]) == (200, 1)


def test_the_pixels_of_all_pictures_of_a_request_are_counted_together(shapes_model: Model) -> None:
    body, kind = form({"a.png": png(PICTURE), "b.png": png(PICTURE), "c.png": png(PICTURE)})
    rows = read_rows(shapes_model, kind, body, Limits(pixels=150))
    assert [isinstance(row.values, str) for row in rows] == [False, False, True]
    assert "at most 22 are decoded" in str(rows[2].values)


async def submitted(batches: Batches[int, int], *requests: list[int]) -> list[Any]:
    """What each request is answered: its rows, or the error."""
    futures: list[Any] = [asyncio.get_running_loop().create_future() for _ in requests]
    for rows, future in zip(requests, futures, strict=True):
        batches.submit(rows, future)
    found: list[Any] = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 30)
    return found


def test_a_full_queue_is_429_and_says_when_to_come_back() -> None:
    started, go_on = threading.Event(), threading.Event()

    def compute(rows: Any) -> Any:
        started.set()
        go_on.wait(30)
        return rows

    batches: Batches[int, int] = Batches(compute, Limits(waiting=5))

    async def requests() -> Any:
        first = asyncio.create_task(submitted(batches, [1, 2]))
        await asyncio.to_thread(started.wait, 30)
        others = asyncio.create_task(submitted(batches, [3, 4, 5]))
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refusal:
            await submitted(batches, [6])
        assert refusal.value.status == 429
        go_on.set()
        return await first + await others

    assert asyncio.run(requests()) == [[1, 2], [3, 4, 5]]
    batches.close()
    assert (batches.waiting, batches.rows) == (0, 5)


def test_more_than_there_is_room_for_is_429(table_model: Model) -> None:
    with in_process(table_model, Limits(waiting=3)) as port:
        assert ask(port, json.dumps([ROW] * 3))[0] == 200
        status, found = ask(port, json.dumps([ROW] * 4))
        assert (status, is_one_line(found)) == (429, True)
    with in_process(table_model, Limits(memory=100)) as port:
        assert ask(port, json.dumps(ROW))[0] == 200
        status, found = ask(port, json.dumps([ROW] * 4))
        assert (status, is_one_line(found)) == (429, True)
        assert ask(port, json.dumps(ROW))[0] == 200, "the room is given back"


def test_an_answer_that_takes_too_long_is_503(table_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = Model.outputs_or_not_finite

    def slow(model: Model, stored: Array) -> Array:
        time.sleep(1)
        return outputs(model, stored)

    monkeypatch.setattr(Model, "outputs_or_not_finite", slow)
    with in_process(table_model, Limits(seconds=0.2)) as port:
        status, found = ask(port, json.dumps(ROW))
        assert (status, is_one_line(found)) == (503, True)


def test_a_client_that_stops_in_the_middle_gets_503_and_keeps_nobody_waiting(table_model: Model) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
    with in_process(table_model, Limits(seconds=0.5)) as port:
        gone = socket.create_connection(("127.0.0.1", port), timeout=30)
        gone.sendall(head + b"{")
        with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
            silent.sendall(head + b"{")
            assert ask(port, json.dumps(ROW))[0] == 200
            gone.close()
            assert silent.recv(100).startswith(b"HTTP/1.1 503")
        assert ask(port, json.dumps(ROW))[0] == 200


def test_a_fault_of_ours_is_500_without_a_word_of_it(
    table_model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(model: Model, stored: Array) -> Array:
        raise RuntimeError("secret")

    monkeypatch.setattr(Model, "outputs_or_not_finite", fails)
    with in_process(table_model, Limits()) as port:
        status, found = ask(port, json.dumps(ROW))
        assert (status, is_one_line(found)) == (500, True)
        assert "secret" not in found["error"]
        monkeypatch.undo()
        assert ask(port, json.dumps(ROW))[0] == 200, "the thread goes on"
    assert "secret" in caplog.text, "the log has it"


def test_a_batch_that_fails_is_computed_request_by_request() -> None:
    def compute(rows: Any) -> Any:
        if 13 in rows:
            raise ArithmeticError
        return [2 * row for row in rows]

    batches: Batches[int, int] = Batches(compute, Limits(gather=1, batch=6))
    first, second, third = asyncio.run(submitted(batches, [1, 2], [13, 3], [4, 5]))
    assert (first, third) == ([2, 4], [8, 10])
    assert isinstance(second, ArithmeticError)
    batches.close()


def test_rows_are_gathered_until_there_are_64_and_no_longer_than_5_ms() -> None:
    sizes: list[int] = []

    def compute(rows: Any) -> Any:
        sizes.append(len(rows))
        time.sleep(0.05)
        return rows

    batches: Batches[int, int] = Batches(compute, Limits())
    start = time.monotonic()
    asyncio.run(submitted(batches, [0]))
    assert 0.005 <= time.monotonic() - start - 0.05 < 1
    asyncio.run(submitted(batches, *[[0]] * 200))
    assert max(sizes) == 64
    assert len(sizes) <= 6
    batches.close()


def test_sigterm_answers_what_was_accepted(shapes_run: Path) -> None:
    pytest.importorskip("uvicorn", reason="needs uvicorn and starlette: pip install -e '.[serve]'")
    body = png(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))

    async def all_clients(server: Server) -> list[bytes]:
        connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(20)]
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        for _, writer in connections:
            writer.write(head + body[:-10])
            await writer.drain()
        while ask(server.port, path="/health", method="GET")[1]["requests"] < len(connections):
            await asyncio.sleep(0.01)
        server.process.terminate()
        await asyncio.sleep(0.3)
        for _, writer in connections:
            writer.write(body[-10:])
        heads = [await reader.readuntil(b"\r\n\r\n") for reader, _ in connections]
        for _, writer in connections:
            writer.close()
            await writer.wait_closed()
        return heads

    with served(shapes_run) as server:
        heads = asyncio.run(all_clients(server))
        assert {head[:12] for head in heads} == {b"HTTP/1.1 200"}
        assert all(b"connection: close" in head.lower() for head in heads), "no client asks again where nobody is"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=5)
        told, _ = server.process.communicate(timeout=30)
        assert server.process.returncode == 0
        assert told == "stopped after 20 requests\n"
