"""Checkpoints: named float32 arrays and a JSON header in one NPZ file, with the SHA-256 of it all at its end.

The digest is checked before a byte is interpreted: a flipped bit or a cut file is reported, never silently used. What
passes is still not trusted, since anybody can compute a digest: reading never unpickles (allow_pickle=False, and a JSON
header), expands nothing (compressed members are refused), and takes finite float32 numbers only.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.datasets.formats.npy import read_npy
from nnscratch.errors import DataError, UserError, cause
from nnscratch.nn.compute.buffers import Array

FORMAT = 2
HEADER = "header"
DIGEST_LENGTH = 64
"""The file's last bytes, which ZIP keeps as a comment: SHA-256 in hexadecimal of everything before them."""

ROOM_FOR_A_NAME = 1024
"""Bytes that an array takes beside its numbers, about."""


@dataclass(frozen=True)
class Checkpoint:
    """The header's plain values, and arrays by names such as `parameters/2.dense.weight`."""

    header: Mapping[str, Any]
    arrays: Mapping[str, Array]

    def section(self, name: str) -> dict[str, Array]:
        """The arrays under `<name>/`, by the rest of their names."""
        return {key[len(name) + 1 :]: array for key, array in self.arrays.items() if key.startswith(name + "/")}

    def encode(self) -> bytes:
        """The file's contents: equal for equal checkpoints."""
        header = json.dumps({**self.header, "format": FORMAT}).encode()
        members = {HEADER: np.frombuffer(header, np.uint8), **self.arrays}
        buffer = io.BytesIO()
        # All the room at once: growing by and by, it would be copied, and be there twice.
        buffer.seek(sum(array.nbytes + ROOM_FOR_A_NAME for array in members.values()))
        buffer.write(b"0")
        buffer.seek(0)
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, array in members.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    array = np.asarray(array, order="C")
                    np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(array))
                    member.write(array.reshape(-1).view(np.uint8).data)  # write_array copies 16 MB at a time
            archive.comment = b"0" * DIGEST_LENGTH
        buffer.truncate()
        view = buffer.getbuffer()
        view[-DIGEST_LENGTH:] = hashlib.sha256(view[:-DIGEST_LENGTH]).hexdigest().encode()
        view.release()
        return buffer.getvalue()


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in that file. Raises UserError when it is missing, damaged or not a checkpoint."""
    try:
        if path.is_fifo():
            raise OSError("it is a pipe, not a file")
        contents = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {cause(error)}") from None
    whole = memoryview(contents)
    if hashlib.sha256(whole[:-DIGEST_LENGTH]).hexdigest().encode() != whole[-DIGEST_LENGTH:]:
        raise damaged(path, "its checksum does not fit its contents")
    try:
        checkpoint = _decode(contents)
    except DataError as error:
        raise damaged(path, error.message) from None
    # A damaged archive can fail in zipfile and in the JSON parser in any way.
    except Exception as error:
        raise damaged(path, str(error) or type(error).__name__) from None
    if checkpoint.header.get("format") != FORMAT:
        found = checkpoint.header.get("format")
        raise UserError(f"{path} has checkpoint format {found!r}; this version reads format {FORMAT}")
    return checkpoint


def header_alone(path: Path) -> dict[str, Any] | None:
    """What a checkpoint's header says, unverified, without reading the weights; None without such a file."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(f"{HEADER}.npy")
            if member.compress_type != zipfile.ZIP_STORED:
                return None
            with archive.open(member) as stream:
                header = json.loads(read_npy(stream, member.file_size, HEADER).tobytes())
    # A damaged archive can fail in zipfile and in the JSON parser in any way.
    except Exception:
        return None
    return header if isinstance(header, dict) else None


def epoch_of_weights(path: Path) -> int | None:
    """The epoch that a best.npz says its weights are from, without reading those; None without such a file."""
    epoch = (header_alone(path) or {}).get("best_epoch")
    return epoch if isinstance(epoch, int) and epoch > 0 else None


def damaged(path: Path, reason: str) -> UserError:
    """The error for a file that cannot be used; names the run's other checkpoints."""
    others = sorted(  # a copy may be the same file under another name, and damaged with it
        each.name for each in path.parent.glob("*.npz") if each.name != "best.npz" and not each.samefile(path)
    )
    command = shlex.join(["nnscratch", "train", "--resume", str(path.parent / others[-1])]) if others else ""
    hint = f"continue from another: {command}" if others else None
    return UserError(f"{path} is damaged or not a checkpoint: {reason}", hint)


def _decode(contents: bytes) -> Checkpoint:
    """The checkpoint in a file's contents; raises whatever a file that is none leads to."""
    with zipfile.ZipFile(io.BytesIO(contents)) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it holds compressed data, which nnscratch never writes")
        if sum(member.file_size for member in members) > len(contents):
            raise ValueError("its members overlap")
        arrays = {}
        for member in members:
            with archive.open(member) as stream:
                name = member.filename.removesuffix(".npy")
                arrays[name] = read_npy(stream, member.file_size, name)
    header = json.loads(arrays.pop(HEADER).tobytes())
    if not isinstance(header, dict):
        raise ValueError("its header is not a mapping")
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise ValueError(f"{name} holds {array.dtype}, not float32")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    return Checkpoint(header, arrays)
