"""Bytes of a text file to UTF-8 with line ends that are line feeds; which encoding they had is named."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from nnscratch.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "UTF-8", "utf-8"),
    (codecs.BOM_UTF32_LE, "UTF-32", "utf-32"),
    (codecs.BOM_UTF16_LE, "UTF-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "UTF-16", "utf-16"),
)
OTHER_ALPHABETS = {
    "cp1251": "Windows-1251", "koi8_r": "KOI8-R", "cp1253": "Windows-1253", "cp1255": "Windows-1255",
    "cp1256": "Windows-1256", "cp874": "Windows-874", "cp932": "Shift-JIS", "gb18030": "GB 18030", "big5": "Big5",
    "cp949": "EUC-KR",
}  # fmt: skip
"""Encodings of letters that are not Latin, by their codec."""
SAMPLE_BYTES = 50_000


def to_utf8(path: Path, data: bytes) -> tuple[bytes, str, str]:
    """The text in UTF-8, the encoding it had, and what spoke for that. Raises DataError for what is no text."""
    text, encoding, why = _decoded(path, data)
    if b"\x00" in text:
        raise DataError(
            f"{path} is no text: it holds zero bytes", "data.path must be a table: CSV, JSON, Parquet, XLSX"
        )
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text, encoding, why


def _decoded(path: Path, data: bytes) -> tuple[bytes, str, str]:
    for mark, name, codec in _MARKS:
        if data.startswith(mark):
            if codec == "utf-8":
                return _checked_utf8(data[len(mark) :]), name, "it begins with a byte-order mark"
            return _recoded(path, data, codec), name, "it begins with a byte-order mark"
    zeros = data[:4000].count(0)
    if zeros > len(data[:4000]) // 4:
        little = data[1:4000:2].count(0) > data[0:4000:2].count(0)
        return _recoded(path, data, "utf-16-le" if little else "utf-16-be"), "UTF-16", "every second byte is zero"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = f"line {data.count(10, 0, error.start) + 1} has the byte {data[error.start]:#04x}, which is no UTF-8"
        if letters := _of_other_letters(data):
            return (
                data.decode(letters, "replace").encode(),
                OTHER_ALPHABETS[letters],
                f"{place}; its letters fit this best",
            )
        # 0x80 to 0x9f are control characters in Latin-1, and quotes, dashes and the euro in Windows-1252.
        if re.search(rb"[\x80-\x9f]", data):
            try:
                return data.decode("cp1252").encode(), "Windows-1252", place
            except UnicodeDecodeError:
                pass
        return data.decode("latin-1").encode(), "Latin-1", place
    return data, "UTF-8", ""


def _of_other_letters(data: bytes) -> str | None:
    """The codec of a text that is not UTF-8, where it seems to be of other than Latin letters.

    In those words many bytes above 0x7f follow each other, which Latin ones hardly have.
    """
    if re.search(rb"[\x80-\xff]{3}", data) is None:
        return None
    from charset_normalizer import from_bytes

    sample = data if len(data) <= SAMPLE_BYTES else data[: data.rfind(b"\n", 0, SAMPLE_BYTES) + 1]
    words = re.findall(rb"[A-Za-z'-]*[\x80-\xff][^\x00-\x20\",;]*", sample)
    best = from_bytes(b" ".join(words), cp_isolation=[*OTHER_ALPHABETS, "cp1252"]).best()
    return best.encoding if best is not None and best.encoding in OTHER_ALPHABETS else None


def _checked_utf8(data: bytes) -> bytes:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace").encode()
    return data


def _recoded(path: Path, data: bytes, codec: str) -> bytes:
    try:
        return data.decode(codec).removeprefix("\ufeff").encode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: damaged {codec.upper()} text: {error.reason}", "is it complete?") from error
