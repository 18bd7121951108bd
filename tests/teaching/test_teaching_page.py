"""docs/teaching.md does what it says: its code and its configs, taken from the page, run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nnscratch.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "teaching.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def shown(start: str) -> list[str]:
    """The lines that the page shows as a command's output, without the times, which differ."""
    text = next(block for block in blocks("text") if block.startswith(start))
    return [re.sub(r"\d+\.\d s|\d+ m?s", "", line) for line in text.splitlines()[1:] if line.strip()]


def frame(text: str) -> list[str]:
    """The heading of a table and how every line after it begins: what does not depend on the machine."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("$", "error", " "))]
    return [lines[0], *(line.split()[0] for line in lines[1:])]


def test_the_page_works_from_the_wrong_layer_to_the_trained_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong, right_derivative, equations, _, optimizer = blocks("python")
    first, both = blocks("yaml")
    Path("my_network.yaml").write_text(first)
    Path("my_layer.py").write_text(wrong)
    with pytest.raises(SystemExit) as exit:
        main(["train", "my_network.yaml"])
    assert exit.value.code == 2
    assert capsys.readouterr().err.splitlines() == shown("$ nnscratch train my_network.yaml\n")
    with pytest.raises(SystemExit) as exit:
        main(["gradcheck", "my_network.yaml", "--allow-plugins"])
    assert exit.value.code == 1
    told, shown_checks = (
        capsys.readouterr(),
        [each for each in blocks("text") if each.startswith("$ nnscratch gradcheck")],
    )
    assert "layer 2.bent: dx is wrong" in told.err
    assert frame(told.out) == frame(shown_checks[0])

    right = wrong[: wrong.index("    def derivative")] + right_derivative
    marker = "    def function"
    Path("my_layer.py").write_text(right.replace(marker, equations + "\n" + marker))
    main(["gradcheck", "my_network.yaml", "--allow-plugins"])
    out = capsys.readouterr().out
    assert "passed" in out
    assert frame(out) == frame(shown_checks[1])
    main(["explain", "my_network.yaml", "--allow-plugins", "model.hidden_layers=[3]", "--threads", "1"])
    assert "dx[0,2] = dy·(1 + x / (2·sqrt(x^2 + 1)))" in capsys.readouterr().out

    Path("my_optimizer.py").write_text(optimizer)
    Path("with_both.yaml").write_text(both)
    main(["train", "with_both.yaml", "--allow-plugins", "--threads", "1", "--no-plots", "training.epochs=1"])
    assert "test_accuracy" in capsys.readouterr().out
    main(["explain", "with_both.yaml", "--allow-plugins", "model.hidden_layers=[3]", "--threads", "1"])
    assert "θ_new = θ − α·sign(v_new)" in capsys.readouterr().out
    assert sorted(path.name for path in Path("runs/with_both/plugins").iterdir()) == ["my_layer.py", "my_optimizer.py"]


def test_the_layer_with_an_array_of_its_own_passes_the_gradient_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_stretch.py").write_text(next(block for block in blocks("python") if "my_stretch.py" in block))
    Path("stretched.yaml").write_text(
        blocks("yaml")[0]
        .replace("my_layer.py", "my_stretch.py")
        .replace("hidden_layers: [64], activation: bent", "layers: [flatten, stretch, dense: 8, stretch, dense]")
    )
    main(["gradcheck", "stretched.yaml", "--allow-plugins"])
    told = capsys.readouterr().out
    assert "passed" in told
    assert "1.stretch  factor[" in told
