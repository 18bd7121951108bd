"""The commit of a working tree is read from git's files: git, which would run what its config names, is not started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nnscratch.host.git import checked_out_commit

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(*words: str, folder: Path) -> str:
    settings = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *settings, *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git("init", folder=folder)
    git("commit", "--allow-empty", "-m", "first", folder=folder)
    return folder


def head(folder: Path) -> str:
    return git("rev-parse", "HEAD", folder=folder)


def test_a_branchs_commit_is_found_also_from_a_folder_below(repository: Path) -> None:
    (repository / "a" / "b").mkdir(parents=True)
    assert checked_out_commit(repository) == checked_out_commit(repository / "a" / "b") == head(repository)


def test_a_detached_head_is_found(repository: Path) -> None:
    git("checkout", "--detach", folder=repository)
    assert checked_out_commit(repository) == head(repository)


def test_packed_references_are_read(repository: Path) -> None:
    git("pack-refs", "--all", folder=repository)
    assert not (repository / ".git" / "refs" / "heads" / "main").exists()
    assert checked_out_commit(repository) == head(repository)


def test_a_worktree_has_its_own_commit(repository: Path) -> None:
    git("worktree", "add", "../tree", "-b", "feature/tree", folder=repository)
    tree = repository.parent / "tree"
    git("commit", "--allow-empty", "-m", "second", folder=tree)
    assert checked_out_commit(tree) == head(tree) != head(repository)


def test_outside_of_git_and_before_the_first_commit_there_is_none(tmp_path: Path) -> None:
    assert checked_out_commit(tmp_path) is None
    git("init", folder=tmp_path)
    assert checked_out_commit(tmp_path) is None


@pytest.mark.parametrize("text", ["ref: ../../secret", "ref: refs/heads/../../../secret", "nonsense", "\xff" * 9000])
def test_a_head_that_leads_elsewhere_names_no_commit(repository: Path, text: str) -> None:
    (repository.parent / "secret").write_text("0" * 40)
    (repository / ".git" / "HEAD").write_text(text)
    assert checked_out_commit(repository) is None


def test_a_foreign_repositorys_config_runs_nothing(repository: Path) -> None:
    ran = repository.parent / "ran"
    git("config", "core.fsmonitor", f"touch {ran}; false", folder=repository)
    (repository / "file").write_text("")
    assert checked_out_commit(repository) is not None
    assert not ran.exists()
    git("status", folder=repository)
    assert ran.exists(), "git itself does run it, or this test shows nothing"
