"""Every equation of an explained step, computed again from the very text that was printed."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.config import config_from_mapping
from nnscratch.datasets.sources.shapes import Shapes
from nnscratch.errors import UsageError, UserError
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.equations import FormulaError, evaluate
from nnscratch.nn.layers import ReLU
from nnscratch.teaching.explain import explain
from nnscratch.teaching.explanation import Explanation
from nnscratch.teaching.explanation_formats import as_markdown, as_text, write_explanation

CASES: dict[str, dict[str, object]] = {
    "relu": {},
    "smoothed": {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}, "l2": 0.01},
    "weighted": {"loss": {"name": "cross_entropy", "class_weights": [0.5] * 5 + [2.0] * 5}},
    "squared": {
        "loss": "mean_squared_error",
        "model": {"hidden_layers": [6], "output": "softmax", "activation": "tanh"},
    },
    "clipped": {"training": {"batch_size": 20, "clip_norm": 0.1}, "l2": {"strength": 0.1, "divide_by_batch": True}},
    "sgd": {"optimizer": {"name": "sgd", "learning_rate": 0.1}},
    "nesterov": {"optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "dampening": 0.2,
                               "nesterov": True}},
    "decayed": {"optimizer": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.5}},
    "lion": {"optimizer": {"name": "lion", "weight_decay": 0.2}},
    "rmsprop": {"optimizer": "rmsprop"},
    "adamw": {"optimizer": {"name": "adamw", "weight_decay": 0.1}, "schedule": "cosine"},
    **{
        name: {"model": {"hidden_layers": [6, 5], "activation": name}}
        for name in ("sigmoid", "tanh", "gelu", "silu", "leaky_relu", "identity")
    },
}  # fmt: skip


def story(tmp_path: Path, sections: Mapping[str, object] | None = None, step: int = 3, example: int = 0) -> Explanation:
    mapping: dict[str, object] = {
        "name": "told",
        "data": {"dataset": {"name": "shapes", "train": 100, "test": 10}, "scaling": "standardize"},
        "model": {"hidden_layers": [6]},
        "training": {"batch_size": 20},
    }
    workplace = Workplace(tmp_path, tmp_path, threads=1)
    config = config_from_mapping(mapping | dict(sections or {}))
    return explain(config, workplace, Display(quiet=True), sample=2, step=step, example=example)


def printed_equations(text: str) -> list[tuple[str, str, float]]:
    """Name, numbers and result of every equation, as the terminal shows them."""
    lines = text.splitlines()
    found = []
    for index, line in enumerate(lines):
        match = re.match(r"  (\S+) = ", line)
        if match and index + 2 < len(lines) and re.match(r"   +\s*= ", lines[index + 1]):
            numbers = lines[index + 1].split("= ", 1)[1]
            for shown, written in (("·", "*"), ("−", "-"), ("^", "**"), ("[", "("), ("]", ")"), ("π", "pi")):
                numbers = numbers.replace(shown, written)
            found.append((match[1], numbers, float(lines[index + 2].split("= ", 1)[1].split()[0])))
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_printed_equation_holds_for_the_printed_numbers(case: str, tmp_path: Path) -> None:
    told = story(tmp_path, CASES[case])
    equations = printed_equations(as_text(told))
    assert len(equations) == len(told.equations)
    assert len(equations) >= 9
    for name, numbers, value in equations:
        scale = max([abs(value), *(abs(float(each)) for each in re.findall(r"\d+\.\d+(?:e-?\d+)?", numbers))])
        assert evaluate(numbers) == pytest.approx(value, rel=1e-6, abs=1e-8 * scale), (name, numbers)


def test_a_wrong_number_would_be_noticed(tmp_path: Path) -> None:
    equations = printed_equations(as_text(story(tmp_path)))
    assert all(abs(evaluate(numbers) - 1.01 * value) > 1e-6 * abs(value) for _, numbers, value in equations if value)


def test_the_story_goes_forward_then_backward_then_updates(tmp_path: Path) -> None:
    assert [section.title.split("[")[0] for section in story(tmp_path).sections] == [
        "forward 0.flatten", "forward 1.dense", "forward 2.relu", "forward 3.dense", "loss",
        "backward 3.dense", "backward 2.relu", "backward 1.dense", "backward 0.flatten", "update 1.dense.weight",
    ]  # fmt: skip


def test_small_arrays_are_shown_in_full_and_large_ones_summarised(tmp_path: Path) -> None:
    section = next(section for section in story(tmp_path).sections if section.title == "forward 1.dense")
    arrays = {array.name: array for array in section.arrays}
    assert arrays["y"].values is not None
    assert np.array(arrays["y"].values).shape == (2, 6)
    assert arrays["weight"].values is None
    assert "norm" in arrays["weight"].text


def test_earlier_steps_change_what_the_step_sees(tmp_path: Path) -> None:
    first, second = ({array.name: array for array in story(tmp_path, step=step).sections[1].arrays} for step in (1, 2))
    assert first["weight"].figures != second["weight"].figures


def test_markdown_has_a_formula_for_every_equation(tmp_path: Path) -> None:
    told = story(tmp_path)
    text = as_markdown(told)
    formulas = re.findall(r"\n```math\n(.*?)\n```\n", text, re.DOTALL)
    assert len(formulas) == len(told.equations)
    for formula in formulas:
        assert formula.count("{") == formula.count("}")
        assert formula.startswith("\\begin{aligned}\n")
        assert [line.endswith(r"\\") for line in formula.splitlines()[1:-1]] == [True, True, False]
        assert all("&= " in line for line in formula.splitlines()[1:-1])


def test_the_command_writes_the_page_and_overwrites_only_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, page, mine = tmp_path / "told.yaml", tmp_path / "step.html", tmp_path / "mine.html"
    path.write_text(
        "data: {dataset: {name: shapes, train: 100, test: 10}}\n"
        "model: {hidden_layers: [3]}\ntraining: {batch_size: 9}\n"
    )
    for _ in range(2):
        main(["explain", str(path), "--html", str(page), "--markdown", str(tmp_path / "step.md"), "--threads", "1"])
    assert page.read_text().startswith("<!doctype html>")
    assert capsys.readouterr().out.endswith(f"written to {page}\nwritten to {tmp_path / 'step.md'}\n")
    main(["explain", str(path), "--threads", "1", "--json"])
    assert json.loads(capsys.readouterr().out)["examples"] == 2
    with pytest.raises(UserError, match="is drawn as SVG"):
        write_explanation(story(tmp_path), graph=tmp_path / "step.png")
    mine.write_text("my notes")
    with pytest.raises(UserError, match="not overwritten"):
        write_explanation(story(tmp_path), html=mine)
    assert mine.read_text() == "my notes"


@pytest.mark.parametrize(
    "text",
    [
        "# Notes\n\nThis page was made by nnscratch explain configs/explain.yaml\n",
        "# made by: nnscratch explain told.yaml\nname: told\n",
        'Five\nlines\nabove\nthe tag\n<meta name="generator" content="nnscratch explain">\n',
    ],
)
def test_a_file_that_only_speaks_of_explanations_is_none(text: str, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(text)
    with pytest.raises(UserError, match="not overwritten"):
        write_explanation(story(tmp_path), html=tmp_path / "step.html", markdown=file)
    assert file.read_text() == text
    assert not (tmp_path / "step.html").exists()


def test_every_form_of_an_explanation_is_known_again_for_one(tmp_path: Path) -> None:
    told, (page, text, graph) = story(tmp_path), [tmp_path / name for name in ("step.html", "step.md", "network.svg")]
    for _ in range(2):
        written = write_explanation(told, page, text, graph)
        assert (written.files, written.failure) == ((page, text, graph), None)


def test_two_explanations_do_not_go_into_one_file_and_none_into_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--html and --markdown both name") as both:
        write_explanation(story(tmp_path), html=tmp_path / "same", markdown=tmp_path / "." / "same")
    assert not (tmp_path / "same").exists()
    assert both.value.hint == "give each a file of its own"
    with pytest.raises(UsageError, match="it is a folder") as folder:
        write_explanation(story(tmp_path), markdown=tmp_path)
    assert folder.value.hint == f"name a file in it: --markdown {tmp_path / 'step.md'}"


def test_layers_of_images_are_told_too_and_those_inside_others(tmp_path: Path) -> None:
    block = {"residual": {"layers": [{"conv": 2}, "layer_norm"], "shortcut": [{"conv": {"channels": 2, "kernel": 1}}]}}
    layers = [{"conv": 2}, "batch_norm", {"max_pool": 4}, block, {"dropout": 0.5}, "global_average_pool", "dense"]
    told = story(tmp_path, {"model": {"layers": layers}}, step=1)
    titles = [section.title for section in told.sections]
    inner = ["3.residual.0.conv", "3.residual.1.layer_norm", "3.residual.shortcut.0.conv", "3.residual"]
    assert [title for title in titles if title.startswith("forward 3")] == [f"forward {path}" for path in inner]
    backward = ["3.residual.1.layer_norm", "3.residual.0.conv", "3.residual.shortcut.0.conv", "3.residual"]
    assert [title for title in titles if title.startswith("backward 3")] == [f"backward {path}" for path in backward]
    assert "Ioffe" in next(section.words for section in told.sections if section.title == "forward 1.batch_norm")
    assert not [section.title for section in told.sections if not section.equations]
    for equation in told.equations:
        assert equation.computed == pytest.approx(equation.value, rel=1e-6, abs=1e-9)
    own = {array.name for section in told.sections if section.title == "forward 3.residual" for array in section.arrays}
    assert own == {"x", "y"}


def test_muon_tells_of_a_hidden_matrix_and_of_the_output_layer(tmp_path: Path) -> None:
    told = story(tmp_path, {"optimizer": "muon"})
    titles = [section.title for section in told.sections if section.title.startswith("update")]
    assert [title.partition("[")[0] for title in titles] == ["update 1.dense.weight", "update 3.dense.weight"]


def test_what_is_told_is_what_the_update_did(tmp_path: Path) -> None:
    told = story(tmp_path, {"l2": 0.01, "training": {"batch_size": 20, "clip_norm": 0.5}})
    update = told.sections[-1]
    after = next(array for array in update.arrays if array.name == "theta after")
    assert after.values is not None
    assert update.equations[-1].name == "theta_new"
    assert update.equations[-1].value == after.values[0]


def test_a_formula_that_cannot_be_computed_is_told_with_its_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReLU, "equations", {"y": "max(x, r)", "dx": "dy"})
    with pytest.raises(FormulaError, match=r"^forward 2\.relu: a formula names r, which has no value here"):
        story(tmp_path)


def test_a_formula_that_the_code_does_not_follow_is_marked_in_every_format_and_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReLU, "equations", {"y": "max(x, 0) + 1", "dx": "dy * (y > 0)"})
    page, text = tmp_path / "step.html", tmp_path / "step.md"
    told = write_explanation(story(tmp_path), page, text)
    (wrong,) = [equation for equation in told.explanation.equations if equation.is_wrong]
    assert wrong.note == f"the formula gives {wrong.value + 1:.9g}, the code {wrong.value:.9g}"
    assert f"≠ {wrong.value:.9g}    ({wrong.note})" in as_text(told.explanation)
    assert page.read_text().count("<mo>≠</mo>") == text.read_text().count(r"\neq") == 1
    assert wrong.note in page.read_text()
    assert wrong.note in text.read_text()
    assert told.failure is not None
    assert "\nforward 2.relu: y[0," in told.failure.message
    assert wrong.note in told.failure.message


@pytest.mark.parametrize("example", [0, 7, 19])
def test_the_example_that_is_asked_for_is_the_one_that_is_told(tmp_path: Path, example: int) -> None:
    sections = {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}}
    told = story(tmp_path, sections, example=example)
    assert told.example.index == example
    entries = {"y", "dx", "dy", "L", "m", "S", "p", "q"}
    named = [equation.name for equation in told.equations if equation.name.partition("_{")[0] in entries]
    assert len([name for name in named if "_{" in name]) >= 12
    assert all(name.startswith(f"{name[0]}_{{{example}") or name[:3] in ("dx_", "dy_") for name in named if name != "L")
    assert all(name[4:].startswith(f"{example},") for name in named if name[:3] in ("dx_", "dy_"))
    (loss,) = [section for section in told.sections if section.phase == "loss"]
    y = next(array for array in loss.arrays if array.name == "y")
    assert y.shape[0] == told.examples == min(2, 20 - example)
    p = next(equation for equation in loss.equations if equation.name.startswith("p_"))
    largest = int(p.name.removesuffix("}").split(",")[1])
    shown = np.array(y.values)[0]
    assert p.value == pytest.approx(np.exp(shown[largest]) / np.exp(shown).sum(), rel=1e-6)


def test_the_example_is_named_by_its_row_and_its_class(tmp_path: Path) -> None:
    told = story(tmp_path, example=3)
    data = Shapes(train=100, test=10).load(tmp_path, None, print)
    assert data.classes is not None
    assert told.example.target == data.classes[int(data.train_targets[told.example.row])]
    assert told.example.picture is not None
    assert told.example.picture.startswith(b"\x89PNG")


def test_an_example_that_the_batch_does_not_have_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--example 20: the batch of step 3 has 20 examples, 0 to 19"):
        story(tmp_path, example=20)


def test_the_graph_holds_what_the_example_was_on_its_way(tmp_path: Path) -> None:
    block = {"residual": {"layers": [{"dense": 6}, "tanh"]}}
    told = story(tmp_path, {"model": {"layers": ["flatten", {"dense": 6}, block, "dense"]}}, example=4)
    assert [node.path for node in told.network] == ["0.flatten", "1.dense", "2.residual", "3.dense"]
    residual = told.network[2]
    inner, around = residual.chains
    assert [node.path for node in inner] == ["2.residual.0.dense", "2.residual.1.tanh"]
    assert around == ()
    assert residual.joins == "+"
    x, f, y = (np.array(view.values) for view in (residual.x, inner[-1].y, residual.y))
    assert y == pytest.approx(x + f)
    for before, after in pairwise(told.network):
        assert before.y.values == after.x.values
        assert before.dy is not None
        assert after.dx is not None
        assert before.dy.figures == after.dx.figures
    assert told.network[1].weights == (("weight", (3072, 6)), ("bias", (6,)))


def test_much_memory_is_said_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = [{"conv": {"channels": 16, "kernel": 3}}, "relu", {"max_pool": 8}, "flatten", "dense"]
    sections = {"model": {"layers": layers}, "training": {"batch_size": 90}}
    story(tmp_path, sections, step=1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("nnscratch.teaching.explain.MUCH_MEMORY", 1)
    tracemalloc.start()
    story(tmp_path, sections, step=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    said = re.search(r"all 90 examples of the batch are kept in float64: about ([\d.]+) GB", capsys.readouterr().err)
    assert said is not None
    assert float(said[1]) == pytest.approx(peak / 1e9, rel=0.4)


def test_a_training_whose_length_is_not_known_is_told_with_the_epochs_that_are_taken_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story(tmp_path, {"training": {"minutes": 1, "batch_size": 20}}, step=1)
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(r"is seen when it trains: told is a training of \d+ epochs, as training.epochs says", said)


def test_a_batch_for_which_there_is_no_memory_is_made_smaller_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = [{"conv": {"channels": 16, "kernel": 3}}, "relu", {"max_pool": 8}, "flatten", "dense"]
    model = {"layers": layers}
    monkeypatch.setattr("nnscratch.teaching.explain.available_memory", lambda: 40_000_000)
    told = story(tmp_path, {"model": model, "training": {"batch_size": 90}}, step=2)
    said = re.search(
        r"a batch of 90 examples .* told is a training with training\.batch_size=(\d+)",
        " ".join(capsys.readouterr().err.split()),
    )
    assert said is not None
    assert told.batch == int(said[1])
    assert 1 <= told.batch < 90
    monkeypatch.undo()
    again = story(tmp_path, {"model": model, "training": {"batch_size": told.batch}}, step=2)
    assert as_text(again) == as_text(told)


def test_a_network_for_which_there_is_no_memory_at_all_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnscratch.teaching.explain.available_memory", lambda: 100_000)
    with pytest.raises(UserError, match=r"one example takes about .* GB of memory in float64, and there are"):
        story(tmp_path)
