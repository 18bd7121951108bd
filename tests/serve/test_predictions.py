"""What is answered is what `predict` says, whatever else is asked at the same time."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nnscratch.datasets.tables.json_text import Digits
from nnscratch.nn.compute.buffers import Array
from nnscratch.results.model import Model
from nnscratch.runs.loaded import load_run
from nnscratch.serve import app
from nnscratch.serve.inputs import is_quick, read_rows
from nnscratch.serve.limits import Limits
from nnscratch.serve.row import Row
from nnscratch.serve.serve import Joined
from tests.serve.clients import Query, Server, load
from tests.serve.conftest import ask, in_process

ROW = {"age": 31, "city": "Oslo", "member": "yes", "joined": "2022-01-03"}


@pytest.fixture(scope="module")
def images() -> Array:
    return np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)


def png(image: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def form(files: dict[str, bytes]) -> tuple[bytes, str]:
    """Form data as browsers and curl send it, and its media type."""
    parts = [
        f'--line\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode()
        + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n"
        for name, data in files.items()
    ]  # fmt: skip
    return b"".join(parts) + b"--line--\r\n", "multipart/form-data; boundary=line"


def agrees(predictions: list[dict[str, Any]], model: Model, x: Any) -> bool:
    """Whether each prediction is the model's own: labels, and probabilities to rounding."""
    p = model.probabilities(x).max(axis=1)
    given = [each["probability"] for each in predictions]
    return [each["label"] for each in predictions] == model.predict(x).tolist() and np.allclose(given, p, atol=1e-5)


def test_a_picture_is_answered_as_in_python(pictures_server: Server, shapes_model: Model, images: Array) -> None:
    for kind in ("image/png", "application/x-www-form-urlencoded", ""):
        status, found = ask(pictures_server.port, png(images[0]), kind)
        assert (status, found["errors"]) == (200, 0)
        assert agrees(found["predictions"], shapes_model, images[:1])
        assert len(found["predictions"][0]["top"]) == 3
    _, found = ask(pictures_server.port, png(images[0]), path="/predict?top=99")
    assert sum(each["probability"] for each in found["predictions"][0]["top"]) == pytest.approx(1, abs=1e-5)
    assert len(found["predictions"][0]["top"]) == 10


def test_what_is_small_is_read_by_the_loop_and_what_is_large_or_unfolds_to_much_by_a_reader(
    shapes_model: Model, images: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    unfolds = np.zeros((600, 600, 3), np.uint8)
    assert len(png(images[0])) < 4096 > len(png(unfolds))
    read: list[str] = []

    def noted(*given: Any) -> Any:
        rows = read_rows(*given)
        read.append(f"{threading.current_thread().name}, {type(rows[0].values).__name__}")
        return rows

    monkeypatch.setattr(app, "read_rows", noted)
    with in_process(shapes_model, Limits()) as port:
        answers = [ask(port, png(each))[1] for each in (images[0], noise, unfolds)]
    assert [each["errors"] for each in answers] == [0, 0, 0]
    loop = read[0].partition(",")[0]
    assert read == [f"{loop}, ndarray", "reader, ndarray", f"{loop}, str", "reader, ndarray"]


def test_a_small_table_of_text_is_read_by_a_reader_and_json_is_not(table_model: Model) -> None:
    told = bytearray(json.dumps(ROW).encode())
    assert is_quick(table_model.loaded, "application/json", told)
    assert is_quick(table_model.loaded, "", told)
    assert not is_quick(table_model.loaded, "text/csv", bytearray(b"age,city,member,joined\n31,Oslo,yes,2022-01-03"))
    assert not is_quick(table_model.loaded, "application/json", told * 100)


def test_of_pictures_only_those_that_tell_their_size_before_they_unfold_are_quick(
    shapes_model: Model, images: Array
) -> None:
    for format, expected in {"PNG": True, "JPEG": True, "ICO": False, "BMP": False, "TIFF": False}.items():
        buffer = io.BytesIO()
        Image.fromarray(images[0]).save(buffer, format)
        assert is_quick(shapes_model.loaded, "image/any", bytearray(buffer.getvalue())) == expected, format


def test_a_lower_limit_of_pixels_holds_for_small_pictures_too(shapes_model: Model, images: Array) -> None:
    with in_process(shapes_model, Limits(pixels=150)) as port:
        status, found = ask(port, png(images[0]))
    assert status == 422
    assert "pixels" in found["error"]


def test_head_and_body_of_an_answer_are_sent_in_one_piece_before_the_connection_closes() -> None:
    sent: list[bytes] = []

    class Transport(asyncio.Transport):
        def write(self, data: Any) -> None:
            sent.append(bytes(data))

        def close(self) -> None:
            sent.append(b"closed")

    async def answer() -> None:
        connection = Joined(Transport())
        for piece in b"head ", b"body", b"":
            connection.write(piece)
        await asyncio.sleep(0)
        connection.write(b"last")
        connection.close()

    asyncio.run(answer())
    assert sent == [b"head body", b"last", b"closed"]


def test_several_pictures_are_answered_in_order_with_their_names(
    pictures_server: Server, shapes_model: Model, images: Array
) -> None:
    body, kind = form({f"größe {number}.png": png(image) for number, image in enumerate(images)})
    status, found = ask(pictures_server.port, body, kind)
    assert status == 200
    assert agrees(found["predictions"], shapes_model, images)
    assert [each["input"] for each in found["predictions"]] == [f"größe {number}.png" for number in range(len(images))]


def test_pixels_are_taken_as_json_and_csv(pictures_server: Server, shapes_model: Model, images: Array) -> None:
    flat = images[:2].reshape(2, -1)
    names = ",".join(f"pixel{number}" for number in range(3072))
    bodies = [
        json.dumps(images[:2].tolist()),
        json.dumps(flat.tolist()),
        "\n".join([names, *(",".join(map(str, row)) for row in flat.tolist())]),
    ]
    for body in bodies:
        status, found = ask(pictures_server.port, body)
        assert status == 200, found
        assert agrees(found["predictions"], shapes_model, images[:2])
    _, found = ask(pictures_server.port, json.dumps(images[0].tolist()))
    assert agrees(found["predictions"], shapes_model, images[:1])


def test_rows_are_taken_as_json_json_lines_and_csv(table_server: Server, table_model: Model) -> None:
    rows: list[dict[str, Any]] = [ROW, ROW | {"age": None, "member": "no"}, ROW | {"age": 70.5, "city": "Bergen"}]
    lines = [f"{'' if row['age'] is None else row['age']},{row['city']},{row['member']},2022-01-03" for row in rows]
    bodies = [
        json.dumps(rows),
        "\n".join(map(json.dumps, rows)),
        "\n".join(["age,city,member,joined", *lines]),
        "\n".join(["joined;city;age;member", *(";".join(line.split(",")[i] for i in (3, 1, 0, 2)) for line in lines)]),
    ]
    for body in bodies:
        status, found = ask(table_server.port, body)
        assert (status, found["errors"]) == (200, 0), found
        assert agrees(found["predictions"], table_model, rows)
    _, found = ask(table_server.port, json.dumps(ROW))
    assert agrees(found["predictions"], table_model, ROW)
    _, found = ask(table_server.port, *form({"a.csv": bodies[2].encode(), "b.json": bodies[0].encode()}))
    assert agrees(found["predictions"], table_model, rows + rows)
    assert [each["input"] for each in found["predictions"]][2:4] == ["a.csv: line 4", "b.json: row 1"]


def test_a_regression_is_answered_in_its_own_units(regression_run: Path) -> None:
    with in_process(Model(load_run(regression_run)), Limits()) as port:
        status, found = ask(port, "a,b\n1,2\n0.5,-1\n")
        assert status == 200
        values = [each["values"] for each in found["predictions"]]
        assert values[0]["y"] == pytest.approx(0, abs=0.2)
        assert values[1]["y"] == pytest.approx(2, abs=0.2)
        assert values[1]["z"] == pytest.approx(0.5, abs=0.2)


def test_a_bad_row_spoils_no_other_of_its_request(table_server: Server, table_model: Model) -> None:
    objects = json.dumps([ROW, ROW | {"age": "old"}, {"age": 3}, 7, ROW])
    lines = "\n".join([json.dumps(ROW), json.dumps(ROW | {"age": "old"}), '{"age": 3}', "nonsense", json.dumps(ROW)])
    good, cells = "31,Oslo,yes,2022-01-03", ["old,Oslo,yes,2022-01-03", "31,Oslo", "31,Oslo,yes,soon"]
    table = "\n".join(["age,city,member,joined", good, *cells, good])
    halves = json.dumps([ROW, ROW | {"age": "old"}, ROW | {"city": "\ud83d"}, ROW | {"\ud83d": 1}, ROW])
    for body in (objects, lines, table, halves):
        status, found = ask(table_server.port, body)
        predictions = found["predictions"]
        assert (status, found["errors"], len(predictions)) == (200, 3, 5), found
        assert agrees([predictions[0], predictions[4]], table_model, [ROW, ROW])
        assert predictions[1]["error"] == "column 'age' is 'old', not a number"
    assert predictions[2]["error"] == "column 'city' holds half of a character: '\\ud83d'"


def test_the_decimal_mark_of_a_request_is_no_matter_of_what_others_ask(table_model: Model) -> None:
    service = app.Service(table_model, Limits(), readers=0)
    one, other = object(), object()
    asked: list[app.Asked] = [(Row("row 1", ROW | {"age": "31,5"}), 3, one)]
    asked += [(Row(f"row {age}", ROW | {"age": f"{age}.5"}), 3, other) for age in (20, 31, 40)]
    found = service._compute(asked)
    assert [each.error for each in found] == [None] * 4
    assert found[0].top == found[2].top


def test_rows_with_numbers_in_text_go_together_where_their_texts_say_the_same(table_model: Model) -> None:
    def groups(*requests: list[dict[str, Any]]) -> list[int]:
        asked: list[app.Asked] = []
        for request in requests:
            one = object()
            asked += [(Row("row", ROW | row), 3, one) for row in request]
        return sorted(map(len, app._read_together(table_model.loaded, asked)))

    assert groups([{"age": "31.5"}], [{"age": "20.25"}], [{"age": "7.5"}, {"age": "8.5"}]) == [4]
    assert groups([{"age": "31.5"}], [{"age": "20,25"}], [{"age": "7"}], [{}], [{"age": Digits("7.5")}]) == [1, 1, 1, 2]
    assert groups([{"age": "31.5"}, {"age": "1.234"}], [{"age": "2.5"}]) == [1, 2]
    assert groups([{"age": "31.5", "more": "1,5"}], [{"age": "2.5"}]) == [1, 1]
    assert groups([{"age": "9" * 1000}], [{"age": "9" * 1000}]) == [1, 1]


def test_a_number_of_json_has_a_point_whatever_text_stands_beside_it(table_model: Model) -> None:
    """A long one in its column makes text of all, and others' text has commas."""
    service = app.Service(table_model, Limits(), readers=0)
    others = {"one": "1,5", "two": "2,5", "three": "3,5"}
    rows: list[dict[str, Any]] = [
        {"age": Digits("1.234")} | others,
        {"age": Digits("31.250")},
        {"age": Digits("12345678901234567")},
    ]
    found = service._compute([(Row(f"row {number}", ROW | row), 3, object()) for number, row in enumerate(rows)])
    expected = table_model.probabilities([ROW | {"age": float(row["age"])} for row in rows]).max(axis=1)
    np.testing.assert_allclose([each.top[0][1] for each in found], expected, atol=1e-6)


def test_whole_numbers_that_no_int64_holds_are_numbers(table_model: Model) -> None:
    from nnscratch.serve.json_rows import _stored

    numbers_alone = "a list holds numbers alone; text and gaps go into an object by the columns' names"
    model: Any = SimpleNamespace(stored=lambda x: x.astype(np.float32))
    assert np.array_equal(_stored(model, [[10**30, 1]]), np.array([[1e30, 1]], np.float32))
    assert _stored(model, [[10**400, 1]]) == "holds a number larger than any here"
    assert _stored(model, [[None, 1]]) == _stored(model, [["5", None]]) == numbers_alone


def test_what_is_packed_is_refused_by_its_name(table_server: Server) -> None:
    table = b"age,city,member,joined\n31,Oslo,yes,2022-01-03\n"
    packed = {gzip.compress(table): "gzip", b"PAR1\x15\x00": "Parquet", b"PK\x03\x04\x14\x00": "a zip archive"}
    for body, what in packed.items():
        status, found = ask(table_server.port, body)
        assert (status, found["error"].partition(" is not taken")[0].partition(" (")[0]) == (422, what)
    request = urllib.request.Request(
        f"http://127.0.0.1:{table_server.port}/predict", gzip.compress(table), {"Content-Encoding": "gzip"}
    )
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=30)
    assert json.load(error.value) == {"error": "a body is taken as it is, not compressed (gzip)"}
    error.value.close()


def test_what_training_never_saw_is_told_beside_what_it_was_taken_for(table_server: Server) -> None:
    for body in (
        json.dumps([ROW, ROW | {"city": "Rome"}]),
        "age,city,member,joined\n31,Oslo,yes,2022-01-03\n31,Rome,yes,2022-01-03",
    ):
        predictions = ask(table_server.port, body)[1]["predictions"]
        assert "note" not in predictions[0]
        assert predictions[1]["note"] == "city 'Rome' is new and counts as other"


def test_a_bad_picture_spoils_no_other_of_its_request(
    pictures_server: Server, shapes_model: Model, images: Array
) -> None:
    files = {"a.png": png(images[0]), "cut.png": png(images[1])[:100], "b.txt": b"hello", "c.png": png(images[2])}
    status, found = ask(pictures_server.port, *form(files))
    assert (status, found["errors"]) == (200, 2)
    assert agrees([found["predictions"][0], found["predictions"][3]], shapes_model, images[[0, 2]])
    assert "truncated" in found["predictions"][1]["error"]


def test_rows_in_lists_are_judged_one_by_one(pictures_server: Server, shapes_model: Model, images: Array) -> None:
    good = images[0].ravel().tolist()
    status, found = ask(pictures_server.port, json.dumps([good, [1, 2], [*good[1:], 256], [*good[1:], "7"], good]))
    assert (status, found["errors"]) == (200, 3)
    assert agrees([found["predictions"][0], found["predictions"][4]], shapes_model, images[[0, 0]])
    assert [each["error"].split(" ")[0] for each in found["predictions"][1:4]] == ["shape", "pixels", "a"]


def test_form_data_is_taken_in_every_form_that_its_standard_allows(shapes_model: Model, images: Array) -> None:
    data = png(images[0]) + b"--a b\r\n --a b\r\n\r\n"  # after a picture's end nothing is read
    head = b'content-DISPOSITION: form-data; name=x; filename="\xc3\xa9 1.png"\r\nContent-Type: image/png; a=b'
    part = b"--a b \t\r\n%b\r\n\r\n%b\r\n" % (head, data)
    bare = b"--a b\r\n\r\n%b\r\n" % png(images[1])
    body = b"before it\r\n" + part + bare + b"--a b--\r\nafter it"
    rows = read_rows(shapes_model, 'Multipart/Form-Data; Boundary="a b"; charset=utf-8', body, Limits())
    assert [row.name for row in rows] == ["é 1.png", "file 2"]
    for row, image in zip(rows, images, strict=False):
        np.testing.assert_array_equal(row.values, image)


def test_many_clients_at_once_get_their_own_answers(
    pictures_server: Server, table_server: Server, shapes_model: Model, table_model: Model, images: Array
) -> None:
    labels = shapes_model.predict(images)
    queries = [Query(png(image), "image/png", (label,)) for image, label in zip(images, labels, strict=True)]
    rows = [ROW | {"age": age, "member": member} for age in range(20, 70, 3) for member in ("yes", "no")]
    texts = [
        Query(json.dumps(row).encode(), "application/json", (label,))
        for row, label in zip(rows, table_model.predict(rows), strict=True)
    ]
    texts.insert(5, Query(json.dumps([ROW | {"age": "bad"}, ROW]).encode(), "", (None, table_model.predict(ROW)[0])))  # type: ignore[arg-type]
    for server, asked in ((pictures_server, queries), (table_server, texts)):
        before = ask(server.port, path="/health", method="GET")[1]
        counted = load(server.port, asked, clients=64, seconds=1.5)
        after = ask(server.port, path="/health", method="GET")[1]
        assert set(counted.statuses) == {200}
        assert counted.wrong == 0
        assert sum(counted.statuses.values()) > 64
        assert after["requests"] - before["requests"] == sum(counted.statuses.values())
        assert (after["rows"] - before["rows"]) / (after["batches"] - before["batches"]) > 2, "rows go together"


def test_64_clients_get_more_rows_a_second_than_row_by_row_in_python(table_server: Server, table_model: Model) -> None:
    rows = [ROW | {"age": age} for age in range(20, 84)]
    queries = [
        Query(json.dumps(row).encode(), "application/json", (label,))
        for row, label in zip(rows, table_model.predict(rows), strict=True)
    ]
    load(table_server.port, queries, clients=64, seconds=0.3)
    counted = load(table_server.port, queries, clients=64, seconds=1.5)
    start, alone = time.monotonic(), 0
    while time.monotonic() - start < 1:
        table_model.predict(rows[alone % len(rows)])
        alone += 1
    assert (set(counted.statuses), counted.wrong) == ({200}, 0)
    assert counted.rows / counted.seconds > alone / (time.monotonic() - start)
