from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from nnscratch.report.curves import curves
from nnscratch.report.style import line_style, plain
from nnscratch.report.values import Row
from nnscratch.results.space import MOST_OUTPUTS


def test_plots_are_readable_png_files_of_readme_size(epochs: list[Row], tmp_path: Path) -> None:
    curves(epochs, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size[0] == 1200
        pixels = np.asarray(image.convert("L"))
    assert 0.02 < np.mean(pixels < 200) < 0.5


def test_the_same_values_give_the_same_bytes(epochs: list[Row], tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        curves(epochs, tmp_path / name, best_epoch=3, title="run")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_series_that_print_alike_in_grey_differ_in_dashes_or_marker() -> None:
    styles = [line_style(index) for index in range(8)]
    assert len({(style.color, style.dashes) for style in map(line_style, range(44))}) == 44
    assert len({(style.color, style.marker) for style in map(line_style, range(110))}) == 110
    assert len({line_style(label).color for label in range(MOST_OUTPUTS)}) == MOST_OUTPUTS, "classes on a plane"
    for first in range(8):
        for second in range(first):
            one, other = styles[first], styles[second]
            weights = np.array([0.299, 0.587, 0.114])
            difference = abs(float((np.subtract(to_rgb(one.color), to_rgb(other.color)) * weights).sum()))
            assert difference > 0.15 or (one.dashes, one.marker) != (other.dashes, other.marker)


def test_text_is_shown_letter_by_letter() -> None:
    assert plain("cost $1$\nper\tcat", 40) == r"cost \$1\$ per cat"


def test_importing_the_report_does_not_import_matplotlib_or_rich() -> None:
    modules = [
        "classification",
        "curves",
        "page",
        "parallel_coordinates",
        "regression",
        "samples",
        "style",
        "sweeps",
        "tables",
        "weights",
    ]
    imports = "; ".join(f"import nnscratch.report.{module}" for module in modules)
    code = f"import sys; {imports}; print([name for name in ('matplotlib', 'rich', 'PIL') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_drawing_never_touches_pyplot(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from nnscratch.report.curves import curves; "
        f"curves([{{'epoch': 1, 'train_loss': 1.0}}], pathlib.Path({str(tmp_path / 'x.png')!r})); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
