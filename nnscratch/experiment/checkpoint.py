"""A checkpoint: named arrays and a header in one .npz file, with a checksum over both, written atomically.

Nothing in it can run code: arrays are read with allow_pickle=False and the header is JSON. A changed byte, a cut file,
a compressed member (which could expand without bound) or a pickled one is refused, never silently used.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.errors import UserError
from nnscratch.nn.buffers import Array
from nnscratch.report.files import write_atomically

FORMAT = 1
HEADER = "header"


@dataclass(frozen=True)
class Checkpoint:
    """The header's plain values, and arrays by names such as `parameters/2.dense.weight`."""

    header: Mapping[str, Any]
    arrays: Mapping[str, Array]

    def section(self, name: str) -> dict[str, Array]:
        """The arrays under `<name>/`, by the rest of their names."""
        return {key[len(name) + 1 :]: array for key, array in self.arrays.items() if key.startswith(name + "/")}

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all; raises UserError when the disk refuses."""
        header = {**self.header, "format": FORMAT}
        header["sha256"] = _checksum(header, self.arrays)
        encoded = np.frombuffer(json.dumps(header, allow_nan=True).encode(), np.uint8)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, array in {HEADER: encoded, **self.arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
        try:
            write_atomically(path, buffer.getvalue())
        except OSError as error:
            raise UserError(f"cannot write the checkpoint {path}: {error.strerror or error}") from None


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in that file. Raises UserError when it is missing, damaged or not a checkpoint."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise _damaged(path, "it holds compressed data, which nnscratch never writes")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop(HEADER).tobytes())
        found, expected = _checksum(header, arrays), header.pop("sha256")
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise _damaged(path, str(error)) from None
    except (zipfile.BadZipFile, zlib.error, struct.error, MemoryError, SyntaxError, RuntimeError) as error:
        raise _damaged(path, str(error)) from None
    if found != expected:
        raise _damaged(path, "its checksum does not fit its contents")
    if header.get("format") != FORMAT:
        raise UserError(f"{path} has checkpoint format {header.get('format')}; this version reads format {FORMAT}")
    return Checkpoint(header, arrays)


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """SHA-256 over the header without its checksum and every array's name, type, shape and bytes."""
    state = hashlib.sha256(json.dumps({k: v for k, v in header.items() if k != "sha256"}, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(f"{name} {array.dtype.str} {array.shape};".encode())
        state.update(array.reshape(-1).view(np.uint8).data)
    return state.hexdigest()


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged or not a checkpoint: {reason}", "use another checkpoint of the run")
