"""The report in headless Chromium: it fits 1280 and 400 pixels, light and dark."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nnscratch.report.page import ReportContents, render_report
from nnscratch.report.sweep_page import SweepContents, render_sweep
from nnscratch.report.tables import leaderboard
from nnscratch.report.values import TrialSummary

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture(scope="module", autouse=True)
def _browser(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where there is no Chromium, or one that cannot read and write our files (some sandboxes forbid it)."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    folder = tmp_path_factory.mktemp("browser")
    (folder / "empty.html").write_text("<!doctype html><title>empty</title>", encoding="utf-8")
    result = _chromium(folder, f"--screenshot={folder / 'picture.png'}", (folder / "empty.html").as_uri())
    if result.returncode != 0 or not (folder / "picture.png").exists():
        pytest.skip(f"{CHROMIUM} cannot take a picture of a page here: {result.stderr[-300:]}")


# The page itself has no script, so a page around it measures it in a frame of the given width.
_MEASURE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="frame" style="border:0;width:{width}px;height:2000px" srcdoc="{page}"></iframe><pre id="result"></pre>
<script>
frame.onload = () => {{
  const page = frame.contentDocument, boxes = [...page.querySelectorAll("body *")];
  const clipped = (box) => box.closest(".scroll, pre") !== null;
  result.textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    right: Math.max(...boxes.filter((box) => !clipped(box)).map((box) => box.getBoundingClientRect().right)),
    tables: Math.max(0, ...[...page.querySelectorAll("table")].map((table) => table.getBoundingClientRect().right)),
    broken: [...page.images].filter((image) => !image.complete || image.naturalWidth === 0).length,
    curves: page.querySelector("#curves img")?.naturalWidth,
    background: getComputedStyle(page.body).backgroundColor,
  }});
}};
</script>"""


def _chromium(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", f"--user-data-dir={folder / 'profile'}", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def _run(folder: Path, *arguments: str) -> str:
    result = _chromium(folder, *arguments)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def _screenshot(contents: ReportContents, folder: Path, width: int, *arguments: str) -> NDArray[np.uint8]:
    (folder / "report.html").write_text(render_report(contents), encoding="utf-8")
    picture = folder / "picture.png"
    address = (folder / "report.html").as_uri()
    _run(folder, f"--window-size={width},1600", f"--screenshot={picture}", *arguments, address)
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB"))


def _measured(page: str, width: int, folder: Path) -> dict[str, float]:
    """What the browser makes of the page in a window of so many pixels."""
    (folder / "outer.html").write_text(_MEASURE.format(width=width, page=escape(page)), encoding="utf-8")
    dumped = _run(folder, "--window-size=1400,2200", "--dump-dom", (folder / "outer.html").as_uri())
    found = re.search(r'<pre id="result">(.*?)</pre>', dumped, re.DOTALL)
    assert found is not None
    measured: dict[str, float] = json.loads(unescape(found[1]))
    return measured


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_is_not_wider_than_the_window(report_contents: ReportContents, width: int, tmp_path: Path) -> None:
    measured = _measured(render_report(report_contents), width, tmp_path)
    assert measured["width"] == width
    assert measured["right"] <= width
    assert measured["broken"] == 0
    assert measured["curves"] == (1200 if width == 1280 else 600)


def test_a_leaderboard_of_eight_parameters_fits_on_paper(tmp_path: Path) -> None:
    names = [f"model.part.some_parameter_{letter}" for letter in "abcdefgh"]
    trials = [TrialSummary(0, "completed", 0.9, {"epochs": "60/60", **dict.fromkeys(names, 0.000113265)}, "runs/x", "")]
    page = render_sweep(SweepContents("wide", leaderboard=leaderboard(trials, goal="maximize", metric="val_accuracy")))
    sheet = 1000  # A4 has 720 within its margins; browsers make a page up to twice as wide smaller
    assert 0 < _measured(page.replace("@media print", "@media all"), sheet, tmp_path)["tables"] <= sheet


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_in_daylight_is_bright_and_not_blank(
    report_contents: ReportContents, width: int, tmp_path: Path
) -> None:
    picture = _screenshot(report_contents, tmp_path, width)
    assert picture.shape[1] == width
    assert picture[-1, 2].min() > 230
    assert 0.02 < np.mean(picture.mean(axis=-1) < 128) < 0.5


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_at_night_is_dark_with_plots_on_light_cards(
    report_contents: ReportContents, width: int, tmp_path: Path
) -> None:
    picture = _screenshot(report_contents, tmp_path, width, "--force-dark-mode")
    assert picture[-1, 2].max() < 40
    assert np.mean(picture.min(axis=-1) > 240) > 0.2
