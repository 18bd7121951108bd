"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, contents: bytes | str) -> None:
    """Puts `contents` at `path`, as `replace_file` does; the folder is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, contents)


def replace_file(path: Path, contents: bytes | str) -> None:
    """Puts `contents` at `path`: readers see the old file or the whole new one, also after a crash.

    The folder must be there; what stands at `path`, a file or a link, is replaced. Text is written as UTF-8; what is
    none, as a byte of a path may be, as `\\udcff`. An OSError names `path`.
    """
    if isinstance(contents, str):
        contents = contents.encode("utf-8", "backslashreplace")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)  # a full disk names no file, and nobody knows the temporary one
        raise
    finally:
        temporary.unlink(missing_ok=True)
