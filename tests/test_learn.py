"""The chapters for beginners: their exercises are solved by the code shown, their commands and numbers are real."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nnscratch.config.config import load_config
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.teaching.explain import explain
from nnscratch.teaching.explanation_formats import as_text

ROOT = Path(__file__).resolve().parents[1]
LEARN = ROOT / "docs" / "learn"
CHAPTERS = sorted(path.name for path in LEARN.glob("[0-9]*.md"))


def blocks(chapter: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", (LEARN / chapter).read_text(), re.DOTALL | re.MULTILINE)


def commands(chapter: str) -> list[list[str]]:
    return [shlex.split(line) for block in blocks(chapter, "bash") for line in block.splitlines()]


def test_the_contents_lead_to_every_chapter_in_order() -> None:
    assert re.findall(r"\]\((\d-[\w-]+\.md)\)", (LEARN / "README.md").read_text()) == CHAPTERS
    assert len(CHAPTERS) == 9


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_three_exercises_and_pictures_that_are_there(chapter: str) -> None:
    text = (LEARN / chapter).read_text()
    number = chapter[0]
    assert re.findall(r"^\*\*(\d\.\d)\*\*", text, re.MULTILINE) == [f"{number}.{each}" for each in (1, 2, 3)]
    assert text.count("<details><summary>Solution</summary>") == text.count("</details>") == 3
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert pictures
    for target in [*pictures, *re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)", text)]:
        assert (LEARN / target).exists(), target


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_solutions_shown_solve_the_exercises(chapter: str) -> None:
    solutions = blocks(chapter, "python")
    assert len(solutions) == 3
    program = "\n".join(f"exec({each!r}, {{}})" for each in solutions)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_commands_of_a_chapter_have_configs_that_can_be_trained(chapter: str) -> None:
    trained = set()
    for words in commands(chapter):
        assert words[0] == "nnscratch"
        if words[1] in ("train", "explain"):
            path, overrides = ROOT / words[2], [word for word in words[3:] if "=" in word]
            trained.add(words[words.index("--name") + 1] if "--name" in words else load_config(path, overrides).name)
        elif words[1] == "evaluate":
            assert words[2].removeprefix("runs/") in trained
        else:
            assert words[1:3] == ["runs", "compare"]
            compared = [word.removeprefix("runs/") for word in words[3:] if word.startswith("runs/")]
            assert set(compared) <= trained
    assert commands(chapter)


def test_the_numbers_of_the_network_by_hand_are_those_that_explain_prints(tmp_path: Path) -> None:
    words = next(words for words in commands("3-by-hand.md") if words[1] == "explain")
    assert not any(word.startswith("--") for word in words), "what writes a file prints no numbers"
    config = load_config(ROOT / words[2], [word for word in words[3:] if "=" in word])
    told = as_text(explain(config, Workplace(tmp_path, tmp_path, threads=1), Display(quiet=True)))
    lines = {line.strip() for line in told.splitlines()}
    shown = [line.strip() for block in blocks("3-by-hand.md", "text") for line in block.splitlines() if line.strip()]
    assert len(shown) > 15
    assert not set(shown) - lines
    text = (LEARN / "3-by-hand.md").read_text()
    assert "weight (2 x 2) = [[-0.516783, -1.096827], [ 0.428397, 1.539637]]" in lines
    assert "[[-0.516783, -1.096827], [ 0.428397, 1.539637]]" in text
