from __future__ import annotations

import os
from pathlib import Path

import pytest

from nnscratch.report.files import write_atomically


def test_the_file_holds_the_bytes_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomically(tmp_path / "plots" / "curves.png", b"new")
    write_atomically(tmp_path / "plots" / "curves.png", b"newer")
    assert (tmp_path / "plots" / "curves.png").read_bytes() == b"newer"
    assert os.listdir(tmp_path / "plots") == ["curves.png"]


def test_text_with_a_path_that_is_no_utf8_is_written_too(tmp_path: Path) -> None:
    write_atomically(tmp_path / "error.txt", "übel: b\udcff\n")
    assert (tmp_path / "error.txt").read_text("utf-8") == "übel: b\\udcff\n"


def test_a_failed_rename_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "curves.png").write_bytes(b"old")

    def fail(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "curves.png", b"new")
    assert (tmp_path / "curves.png").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["curves.png"]


def test_the_file_has_the_permissions_of_an_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_bytes(b"")
    write_atomically(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_disk_that_refuses_is_told_by_the_name_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        write_atomically(tmp_path / "sweep.json", b"new")
    assert raised.value.filename == str(tmp_path / "sweep.json")
