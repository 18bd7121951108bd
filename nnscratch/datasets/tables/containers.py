"""What a file holds, by its first bytes and never by its name: the text of a table, or what else it is, in words."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from pathlib import Path

from nnscratch.datasets.memory import available_memory
from nnscratch.errors import DataError

LARGEST = 8 << 30
"""Bytes that a compressed table may expand to, where there is the memory for it."""
SHARE_OF_MEMORY = 1 / 3
"""Of the memory there is, what they may take: while they are unpacked they are there twice."""

PARQUET, ZIP, GZIP = b"PAR1", b"PK\x03\x04", b"\x1f\x8b"

_BINARY = {
    b"\x89PNG": ("a PNG picture", "pictures are read from a folder: `dataset: image_folder`"),
    b"\xff\xd8\xff": ("a JPEG picture", "pictures are read from a folder: `dataset: image_folder`"),
    b"GIF8": ("a GIF picture", "pictures are read from a folder: `dataset: image_folder`"),
    b"BM": ("a BMP picture", "pictures are read from a folder: `dataset: image_folder`"),
    b"II*\x00": ("a TIFF picture", "pictures are read from a folder: `dataset: image_folder`"),
    b"MM\x00*": ("a TIFF picture", "pictures are read from a folder: `dataset: image_folder`"),
    b"%PDF": ("a PDF document", "save its table as CSV"),
    b"\x93NUMPY": ("a NumPy array", "np.savez(path, x=..., y=...) writes what `dataset: npz` reads"),
    b"\x89HDF": ("an HDF5 file", "pandas.read_hdf(path).to_csv('table.csv', index=False) converts it"),
    b"SQLite format 3": ("an SQLite database", "`sqlite3 -csv -header FILE 'select * from T' > t.csv` exports it"),
    b"\xd0\xcf\x11\xe0": ("an old Excel file (.xls)", "save it as CSV or as .xlsx"),
    b"$FL2": ("an SPSS file", "pandas.read_spss(path).to_csv('table.csv', index=False) converts it"),
    b"<stata_dta>": ("a Stata file", "pandas.read_stata(path).to_csv('table.csv', index=False) converts it"),
    b"ARROW1": ("a Feather file", "polars.read_ipc(path).write_csv('table.csv') converts it"),
    b"RDX": ("R's own data", "write.csv(x, 'table.csv', row.names = FALSE) in R writes it as CSV"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "unpack it"),
    b"BZh": ("a bzip2 file", "unpack it: `bunzip2 FILE`"),
    b"\xfd7zXZ": ("an xz file", "unpack it: `unxz FILE`"),
    b"\x28\xb5\x2f\xfd": ("a zstd file", "unpack it: `unzstd FILE`"),
    b"\x7fELF": ("a program", "data.path must be a table"),
}  # fmt: skip

_TEXT = (
    (rb"\s*(<!doctype html|<html|<head|<body)", "a web page (HTML), no table",
     "download the file itself: on GitHub it is behind Raw, elsewhere behind Download"),
    (rb"\s*<(\?xml|svg)", "XML, no table", "convert it to CSV: pandas.read_xml(path).to_csv('table.csv', index=False)"),
    (rb"version https://git-lfs", "a Git LFS pointer: the data itself is not there", "get it: `git lfs pull`"),
    (rb"\s*(%[^\n]*\n|\s*\n)*\s*@relation\b", "an ARFF file (Weka)",
     "delete all lines down to @data and put the attributes' names there, separated by commas"),
    (rb"\{\\rtf", "a rich text document", "save it as plain text (CSV)"),
    (rb"\s*(%%MatrixMarket)", "a Matrix Market file",
     "numpy.savez(path, x=scipy.io.mmread(path).toarray(), y=...) converts it"),
)  # fmt: skip


def kind_of(path: Path) -> str:
    """parquet, xlsx, or text: anything else, which may be packed by gzip or zip."""
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(PARQUET):
        return "parquet"
    if start.startswith(ZIP):
        with _opened_zip(path) as archive:
            if "xl/workbook.xml" in archive.namelist():
                return "xlsx"
    return "text"


def read_bytes(path: Path) -> tuple[bytes, str]:
    """The bytes of a text file, unpacked, and how it was packed ("" when it was not).

    Raises DataError for what is empty, damaged, too large once unpacked, or no text of a table.
    """
    data, packed = path.read_bytes(), ""
    if data.startswith(GZIP):
        data, packed = _gunzip(path, data), "gzip"
    elif data.startswith(ZIP):
        data, packed = _unzip(path)
    if not data.strip():
        raise DataError(f"{path}: the file is empty")
    refuse_other_files(path, data)
    return data, packed


def refuse_other_files(path: Path, data: bytes) -> None:
    """Raises DataError, with what to do, when the bytes are a picture, a web page, a pointer or any other non-table."""
    start = data[:4096]
    for magic, (what, hint) in _BINARY.items():
        if start.startswith(magic) and (len(magic) > 2 or b"\x00" in start):
            raise DataError(f"{path} is {what}", hint)
    # Protocol 2 and later; protocol 0 is text and ends in a full stop.
    if re.match(rb"\x80[\x02-\x05]", start) or (data[:3] in (b"(lp", b"(dp", b"ccop") and data.rstrip().endswith(b".")):
        raise DataError(
            f"{path} is a Python pickle, which could run any program when it is read",
            "where you trust it: pandas.read_pickle(path).to_csv('table.csv', index=False)",
        )
    plain = start.removeprefix(b"\xef\xbb\xbf")
    for pattern, what, hint in _TEXT:
        if re.match(pattern, plain, re.IGNORECASE):
            raise DataError(f"{path} is {what}", hint)


def _gunzip(path: Path, data: bytes) -> bytes:
    largest = _largest()
    try:
        with gzip.open(io.BytesIO(data)) as file:
            unpacked = file.read(largest + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file: {error}", "is it complete?") from error
    if len(unpacked) > largest:
        raise _too_large(path, largest)
    return unpacked


def _largest() -> int:
    return min(LARGEST, int(SHARE_OF_MEMORY * available_memory()))


def _too_large(path: Path, largest: int) -> DataError:
    hint = None if largest == LARGEST else "there is no memory for more: free some, or unpack it and take a part"
    return DataError(f"{path}: more than {largest:,} bytes unpacked", hint)


def _unzip(path: Path) -> tuple[bytes, str]:
    with _opened_zip(path) as archive:
        files = [
            each
            for each in archive.infolist()
            if not each.is_dir() and not each.filename.startswith("__MACOSX/") and "/." not in f"/{each.filename}"
        ]
        if any(each.filename.endswith(".npy") for each in files):
            raise DataError(f"{path} holds NumPy arrays", "read it with `dataset: npz`")
        if len(files) != 1:
            shown = ", ".join(each.filename for each in files[:10]) or "none"
            raise DataError(
                f"{path}: a zip archive of {len(files)} files; one table is read ({shown})",
                "unpack it and name the file, or the folder with train.csv and test.csv",
            )
        if files[0].file_size > (largest := _largest()):
            raise _too_large(path, largest)
        try:
            return archive.read(files[0]), f"zip ({files[0].filename})"
        # zipfile tells damage, encryption and unknown methods in many ways.
        except Exception as error:
            raise DataError(f"{path}: {files[0].filename} cannot be unpacked: {error}", "is it complete?") from error


def _opened_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: damaged zip file: {error}", "is it complete?") from error
