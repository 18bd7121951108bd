"""`nnscratch export`: writes a run's network in a format, and keeps it only when it answers as the run does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nnscratch.export.numpy
import nnscratch.export.onnx
import nnscratch.export.safetensors  # noqa: F401  importing them makes the formats known
from nnscratch.component import catalogue
from nnscratch.errors import UsageError, UserError, cause, did_you_mean
from nnscratch.export.format import Format, digest
from nnscratch.export.proof import Examples, Proof, examples_of, prove
from nnscratch.files import temporary_beside, write_atomically
from nnscratch.host.display import Display
from nnscratch.host.json_text import json_text
from nnscratch.host.workplace import Workplace
from nnscratch.report.formats import printable
from nnscratch.runs import layout
from nnscratch.runs.loaded import LoadedRun, load_run, use_threads_of

PROOF = "proof.json"
"""What the proof is called in an exported folder; beside a file, `<file>.proof.json`."""


@dataclass(frozen=True)
class Exported:
    """What was written where, and its proof."""

    path: Path
    format: str
    proof: Proof
    takes_encoded_features: bool = False
    note: str = ""
    failure = None

    def to_text(self) -> str:
        """A line for the path, one for the proof, and what has to be done before it is asked."""
        told = f"{printable(str(self.path))}\n{self.proof.to_text()}"
        return f"{told}\n{printable(self.note)}" if self.note else told

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "path": str(self.path),
            "format": self.format,
            "takes_encoded_features": self.takes_encoded_features,
            "proof": self.proof.to_dict(),
        }


def export_run(
    path: Path, to: str, output: Path | None, checkpoint: str, workplace: Workplace, display: Display
) -> Exported:
    """Writes a run's network to `output`, else into the run. Raises UserError, having written nothing, if it cannot."""
    formats = catalogue(Format)
    if to not in formats:
        raise UsageError(f"there is no format {to}{did_you_mean(to, formats)}", f"--to takes {', '.join(formats)}")
    format = formats[to]()
    if output is not None and (output.exists() or output.is_symlink()):
        raise UsageError(f"{output} is there already", "-o takes a path where nothing is")
    loaded = load_run(path, checkpoint)
    format.require(loaded)
    use_threads_of(loaded, workplace.threads)
    examples = examples_of(loaded, workplace, display)
    target = output or loaded.run.place(f"{layout.EXPORT}/{format.default}")
    return export(format, loaded, target, examples)


def export(format: Format, loaded: LoadedRun, target: Path, examples: Examples) -> Exported:
    """Writes it beside the target and proves it; then it takes the target's place, whole."""
    try:
        with _beside(target) as written:
            format.write(loaded, written)
            proof = prove(format, written, loaded, examples)
            if proof.failure is not None:
                raise proof.failure
            kept = {"format": format.name, "run": loaded.run.name, "digest": digest(loaded), **proof.to_dict()}
            text = json_text(kept, indent=2) + "\n"
            if written.is_dir():
                write_atomically(written / PROOF, text)
                _put(written, target)
            else:
                _put(written, target)
                write_atomically(target.with_name(f"{target.name}.{PROOF}"), text)
    except OSError as error:
        raise UserError(f"cannot write {target}: {cause(error)}") from None
    return Exported(target, format.name, proof, format.takes_encoded_features(loaded), format.note(loaded))


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A path in the same folder that is gone afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = temporary_beside(target)
    try:
        yield written
    finally:
        _remove(written)


def _put(written: Path, target: Path) -> None:
    """An earlier export in the run gives way; a folder cannot be replaced by one in a single step."""
    if target.is_dir() and not target.is_symlink():
        before = written.with_name(f"{written.name}.before")
        os.rename(target, before)
        try:
            os.rename(written, target)
        except BaseException:
            os.rename(before, target)
            raise
        _remove(before)
    else:
        os.replace(written, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
