"""From the body of a request to rows that the network takes, each by itself: what is wrong with one is its own error.

The body is all that is read: nothing in it, no name and no text, can mean a file of this machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nnscratch.datasets.formats.images import read_picture
from nnscratch.datasets.formats.npy import MAGIC
from nnscratch.datasets.tables.containers import GZIP, PARQUET, ZIP
from nnscratch.errors import DataError, UserError
from nnscratch.report.formats import printable, shorten
from nnscratch.results.model import Model
from nnscratch.results.predict import read_item
from nnscratch.results.prediction_tables import line_of, table_items
from nnscratch.runs.loaded import LoadedRun
from nnscratch.serve.json_rows import read_json
from nnscratch.serve.limits import Limits, Refusal
from nnscratch.serve.row import Row

LONGEST_NAME = 100
SMALL = 4096
"""Bytes of a body that may be quick to read."""
PNG_OR_JPEG = (b"\x89PNG", b"\xff\xd8\xff")
PACKED = {GZIP: "gzip", ZIP: "a zip archive (XLSX and NPZ, too)", PARQUET: "Parquet", MAGIC: "an NPY array"}
"""What `predict` takes as a file, by how it begins, and a request does not: a little of it may unfold to much."""
TEXT = ("text/csv", "application/json", "application/x-ndjson")


@dataclass(frozen=True)
class Part:
    """One file of a request: its name, empty where it has none, its media type and its contents."""

    name: str
    kind: str
    data: bytes


def read_rows(model: Model, content_type: str, body: bytes, limits: Limits) -> list[Row]:
    """The examples in a request's body: a picture, JSON or CSV, or several files of these as form data.

    Raises Refusal for a body that holds none, and for more rows than the limits allow.
    """
    if not body:
        raise Refusal(422, f"the request is empty; {expected(model.loaded)}")
    kind = content_type.partition(";")[0].strip().lower()
    parts = list(_parts(content_type, body, limits)) if kind == "multipart/form-data" else [Part("", kind, body)]
    limits.check_rows(len(parts))
    rows: list[Row] = []
    pixels = limits.pixels
    for number, part in enumerate(parts, start=1):
        is_text = b"\x00" not in part.data[:4096]
        if not is_text and (
            packed := next((what for start, what in PACKED.items() if part.data.startswith(start)), "")
        ):
            raise Refusal(422, f"{packed} is not taken over HTTP; {expected(model.loaded)}")
        name = shorten(part.name, LONGEST_NAME) or (f"file {number}" if len(parts) > 1 else "")
        if _is_picture(model.loaded, part):
            row, taken = _picture(model.loaded, name or "picture", part.data, pixels)
            pixels -= taken
            rows.append(row)
            continue
        try:
            own = _text(model, part, limits)
        except Refusal as error:
            if len(parts) == 1 or error.status != 422:
                raise
            own = [Row("", error.message)]
        rows += (replace(row, name=": ".join(filter(None, (name, row.name)))) for row in own) if name else own
        limits.check_rows(len(rows))
    if not rows:
        raise Refusal(422, f"the request holds no rows; {expected(model.loaded)}")
    return rows


def is_quick(loaded: LoadedRun, content_type: str, body: bytearray) -> bool:
    """Whether so small a body is read in microseconds, as PNG, JPEG and JSON are.

    A table of text takes milliseconds, and other pictures may unfold before their size is known (ICO).
    """
    kind = content_type.partition(";")[0].strip().lower()
    if len(body) > SMALL or kind == "multipart/form-data":
        return False
    part = Part("", kind, bytes(body))
    return _is_json(part) or (body.startswith(PNG_OR_JPEG) and _is_picture(loaded, part))


def expected(loaded: LoadedRun) -> str:
    """What a request can hold, in words."""
    if loaded.takes_images:
        return "send a picture (PNG, JPEG, ...), several as form data, or rows of pixels as JSON or CSV"
    return "send rows as JSON (objects by the columns' names, or lists of numbers), or CSV"


def _parts(content_type: str, body: bytes, limits: Limits) -> Iterator[Part]:
    """The files of form data (RFC 7578): each between two lines of the boundary, its headers before an empty line."""
    boundary = re.search(r'boundary=(?:"([^"]+)"|([^";\s]+))', content_type, re.IGNORECASE)
    if boundary is None:
        raise Refusal(422, "form data without a boundary")
    line = b"\r\n--" + (boundary[1] or boundary[2]).encode("latin-1", "replace")
    body = b"\r\n" + body
    limits.check_rows(body.count(line) - 1)
    pieces = body.split(line)[1:]
    ends = next((number for number, piece in enumerate(pieces) if piece.startswith(b"--")), 0)
    if not ends:
        raise Refusal(422, "damaged form data: its parts do not end as its header says")
    for piece in pieces[:ends]:
        head, is_whole, data = piece.partition(b"\r\n\r\n")
        rest, *lines = head.decode("utf-8", "replace").split("\r\n")
        pairs = (each.partition(":") for each in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not is_whole or rest.strip() or kind.startswith("multipart/"):
            raise Refusal(422, "damaged form data: a part without its headers, or with parts of its own")
        if headers.get("content-transfer-encoding", "binary").lower() not in ("7bit", "8bit", "binary"):
            raise Refusal(422, "form data is sent as it is, without a transfer encoding")
        name = re.search(r'filename="((?:[^"\\]|\\.)*)"|filename=([^";\s]+)', headers.get("content-disposition", ""))
        yield Part("" if name is None else name[1] or name[2] or "", kind, data)


def _is_picture(loaded: LoadedRun, part: Part) -> bool:
    """Text is text because it has no zero bytes, as in `predict`; of the formats of pictures only PPM may have none."""
    if not loaded.takes_images or part.kind in TEXT:
        return False
    is_text = b"\x00" not in part.data[:4096] and not re.match(rb"P[1-7]\s", part.data)
    return part.kind.startswith("image/") or not is_text


def _picture(loaded: LoadedRun, name: str, data: bytes, most_pixels: int) -> tuple[Row, int]:
    """The picture, and how many pixels it had."""
    height, width, *channels = loaded.input_shape
    if channels not in ([1], [3]):
        return Row(name, f"the network takes arrays of shape {loaded.input_shape}, not pictures; send JSON"), 0
    white = loaded.white_of_files
    try:
        picture = read_picture(Path(name), height, width, channels[0], white, data=data, most_pixels=most_pixels)
        note = picture.compared(Path(name), white, may_be_negative=loaded.takes_negative_pictures)
    except DataError as error:
        return Row(name, printable(error.message.removeprefix(f"{Path(name)}: "))), 0
    return Row(name, picture.pixels, note), picture.size[0] * picture.size[1]


def _is_json(part: Part) -> bool:
    return part.kind.endswith("json") or (part.kind != "text/csv" and part.data.lstrip()[:1] in (b"{", b"["))


def _text(model: Model, part: Part, limits: Limits) -> list[Row]:
    if _is_json(part):
        return read_json(model, part.data, limits)
    try:
        found = list(table_items(model.loaded, Path("table"), (), part.data))
    except UserError as error:
        raise Refusal(422, f"{printable(error.message)}; {expected(model.loaded)}") from None
    return [Row(f"line {line_of(item)}", read_item(item), item.note) for item in found]
