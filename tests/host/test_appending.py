"""Files that are added to: never another file than the one of that name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nnscratch.host.appending import open_own_to_append, open_to_append


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
