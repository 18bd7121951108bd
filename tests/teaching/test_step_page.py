"""The page of an explained step: complete without a script, walked through with the arrow keys in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nnscratch.config.config import config_from_mapping
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.teaching.explain import explain
from nnscratch.teaching.explanation import Explanation
from nnscratch.teaching.explanation_formats import as_html, as_svg, write_explanation

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Explanation:
    folder = tmp_path_factory.mktemp("told")
    config = config_from_mapping(
        {
            "name": "told",
            "data": {"dataset": {"name": "moons", "train": 60, "test": 10}},
            "model": {"layers": [{"dense": 5}, "relu", {"residual": [{"dense": 5}, "tanh"]}, "dense"]},
            "training": {"batch_size": 20},
        }
    )
    return explain(config, Workplace(folder, threads=1), Display(quiet=True), example=6)


def test_all_of_it_is_on_the_page_as_mathematics_and_matrices_and_nothing_is_loaded(told: Explanation) -> None:
    page = as_html(told)
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<script>") == 1
    assert "script-src 'sha256-" in page
    assert len(re.findall(r'<div class="formula">', page)) == len(told.equations)
    for formula in re.findall(r"<math.*?</math>", page, re.DOTALL):
        ElementTree.fromstring(formula)
    sections = re.findall(r'<section id="step-(\d+)" class="(\w+)"', page)
    assert sections == [(str(place), section.phase) for place, section in enumerate(told.sections, 1)]
    in_full = [array for section in told.sections for array in section.arrays if array.values and len(array.shape) < 3]
    assert page.count("<mtable>") >= len(in_full)
    assert "Ioffe" not in page
    assert "y = x W + b" in page


def test_lines_of_a_docstring_that_only_their_length_broke_are_one_for_the_page_to_break(tmp_path: Path) -> None:
    config = config_from_mapping(
        {
            "name": "told",
            "data": {"dataset": {"name": "shapes", "train": 20, "test": 10}},
            "model": {"layers": [{"conv": {"channels": 2}}, "flatten", "dense"]},
            "training": {"batch_size": 10},
        }
    )
    page = unescape(as_html(explain(config, Workplace(tmp_path, threads=1), Display(quiet=True), example=6)))
    assert "rounded up; p is then what stands above, and the like left" in page
    assert "y (N, H', W', channels) with\nH' = (H + 2 p - kernel) / s + 1" in page  # a line that was broken on purpose
    assert "the padding\n\nx (N, H, W, C)" in page


def test_names_from_outside_are_text_and_nothing_else(told: Explanation) -> None:
    hostile = replace(told.example, target="</svg><script>alert(1)</script>")
    page = as_html(replace(told, example=hostile))
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in page
    ElementTree.fromstring(as_svg(replace(told, example=hostile)))


def test_what_flows_back_has_a_colour_of_its_own(told: Explanation) -> None:
    page = as_html(told)
    for equation in re.findall(r'<div class="(equation[^"]*)"><div class="formula"><math><mrow>(.*?)<mo>=', page):
        kind, left = equation
        letters = "".join(ElementTree.fromstring(f"<m>{left}</m>").itertext())
        assert ("gradient" in kind) == letters.startswith(("dx", "dy", "dW", "db", "g")), letters


def test_the_graph_is_a_picture_of_its_own_with_shapes_numbers_and_gradients(told: Explanation, tmp_path: Path) -> None:
    write_explanation(told, graph=tmp_path / "network.svg")
    assert (tmp_path / "network.svg").read_text(encoding="utf-8") == as_svg(told)
    root = ElementTree.fromstring(as_svg(told))
    assert root.attrib["style"] == "background: #ffffff", "its letters are dark, on a dark page too"
    texts = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    paths = ["0.dense", "1.relu", "2.residual", "2.residual.0.dense", "2.residual.1.tanh", "3.dense"]
    assert set(paths) <= set(texts)
    assert "weight 2 × 5, bias 5" in texts
    y = told.network[0].y.values
    assert y is not None
    assert any(f"{y[0] + 0.0:.3g}".replace("-", "−") in text.split() for text in texts)
    edges = {kind: sum(each.get("class") == kind for each in root.iter(f"{SVG}g")) for kind in ("forward", "gradient")}
    # Before and after every layer, within the residual as well, and beside it.
    assert edges == {"forward": 9, "gradient": 9}
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for rect in root.iter(f"{SVG}rect"):
        assert 0 <= float(rect.get("x", -1)) <= width - float(rect.get("width", 0))
        assert float(rect.get("y", -1)) + float(rect.get("height", 0)) <= height


WALK = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="frame" {sandbox} style="border:0;width:{width}px;height:900px" src="page.html"></iframe>
<pre id="result"></pre>
<script>
frame.onload = () => {{
  const page = frame.contentDocument, view = frame.contentWindow;
  const press = (key) => view.dispatchEvent(new view.KeyboardEvent("keydown", {{key, cancelable: true}}));
  const state = () => ({{
    visible: [...page.querySelectorAll("section")].filter((each) => each.offsetHeight > 0).map((each) => each.id),
    here: [...page.querySelectorAll(".node.present text.title")].map((each) => each.textContent),
    unknown: page.querySelectorAll(".gradient.unknown").length,
    width: page.documentElement.scrollWidth,
    keys: page.querySelector(".keys").offsetHeight > 0,
  }});
  const states = [state()];
  for (const key of {keys}) {{ press(key); states.push(state()); }}
  result.textContent = JSON.stringify(states);
}};
</script>"""


def walked(
    folder: Path, told: Explanation, width: int, keys: list[str], *, script: bool = True
) -> list[dict[str, object]]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    (folder / "page.html").write_text(as_html(told), encoding="utf-8")
    sandbox = "" if script else 'sandbox="allow-same-origin"'
    (folder / "walk.html").write_text(
        WALK.format(width=width, keys=json.dumps(keys), sandbox=sandbox), encoding="utf-8"
    )
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--hide-scrollbars", "--allow-file-access-from-files", "--virtual-time-budget=4000", "--window-size=1400,1000",
        f"--user-data-dir={folder / 'profile'}", "--dump-dom", (folder / "walk.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r'<pre id="result">(.+?)</pre>', done.stdout, re.DOTALL)
    if found is None:
        pytest.skip(f"{CHROMIUM} cannot show a page here: {done.stderr[-300:]}")
    states: list[dict[str, object]] = json.loads(unescape(found[1]))
    return states


@pytest.mark.parametrize("width", [1280, 400])
def test_the_arrow_keys_walk_forward_and_backward(told: Explanation, tmp_path: Path, width: int) -> None:
    steps = len(told.sections)
    keys = ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "ArrowLeft"]
    states = walked(tmp_path, told, width, keys)
    assert [state["visible"] for state in states] == [[f"step-{number}"] for number in (1, 2, 3, 2, steps, steps, 1, 1)]
    assert [state["here"] for state in states[:3]] == [["0.dense"], ["1.relu"], ["2.residual.0.dense"]]
    assert states[4]["here"] == [told.sections[-1].place.rpartition(".")[0]]  # the update of a layer's weight
    assert states[0]["keys"]
    assert states[0]["unknown"] == 9
    assert states[4]["unknown"] == 0
    assert all(state["width"] == width for state in states)


def test_without_a_script_all_steps_stand_below_each_other(told: Explanation, tmp_path: Path) -> None:
    (state,) = walked(tmp_path, told, 400, [], script=False)
    assert state["visible"] == [f"step-{number}" for number in range(1, len(told.sections) + 1)]
    assert state["unknown"] == 0
    assert not state["keys"], "no key walks there"
    assert state["width"] == 400
