"""Files that are written whole, and files that are added to: never another file than the one of that name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nnscratch.files import open_own_to_append, open_to_append, write_atomically


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


def test_a_file_with_another_name_outside_stays_as_it_is_there(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "run.log"
    outside.write_text("before\n")
    inside.hardlink_to(outside)
    for line in (b"one\n", b"two\n"):
        with open_own_to_append(inside) as file:
            file.write(line)
    assert outside.read_text() == "before\n"
    assert inside.read_text() == "before\none\ntwo\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "run.log"]


def test_a_copied_file_that_is_added_to_has_the_rights_of_an_ordinary_file_and_leaves_nothing_when_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").touch()
    for name in ("one", "two"):
        (tmp_path / name).hardlink_to(tmp_path / "outside")
    open_own_to_append(tmp_path / "one").close()
    assert (tmp_path / "one").stat().st_mode == (tmp_path / "outside").stat().st_mode

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        open_own_to_append(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "outside", "two"]


def test_a_lock_with_another_name_is_the_same_file_for_whoever_holds_it(tmp_path: Path) -> None:
    lock, other = tmp_path / ".lock", tmp_path / "copy"
    with open_to_append(lock) as held:
        other.hardlink_to(lock)
        with open_to_append(lock) as again:
            assert os.path.sameopenfile(held.fileno(), again.fileno())


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="symbolic links"):
        open_own_to_append(tmp_path / "link")
    assert not (tmp_path / "nowhere").exists()
