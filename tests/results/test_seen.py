"""Pictures of what a network makes of one or two features, of its best weights and over the epochs."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnscratch.cli import main
from nnscratch.config.config import load_config
from nnscratch.errors import Interrupted
from nnscratch.experiment.observer import Observer, Training
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.nn.layers.activations import ReLU
from nnscratch.nn.layers.dense import Dense
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.report.plane import Plane
from nnscratch.report.style import new_figure
from nnscratch.results.evaluate import load_data
from nnscratch.results.seen import seen
from nnscratch.results.space import Space
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.frames import read_frames
from nnscratch.runs.loaded import load_run
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import affine


def trained(folder: Path, data: str, epochs: int, *more: str) -> Path:
    loss = "mean_squared_error" if "sine" in data or "prices" in data else "cross_entropy"
    (folder / "seen.yaml").write_text(
        f"data: {data}\nmodel: {{hidden_layers: [5]}}\nloss: {loss}\ntraining: {{epochs: {epochs}, batch_size: 20}}\n"
    )
    main(["train", str(folder / "seen.yaml"), "--runs-dir", str(folder), "--threads", "1", "--quiet", *more])
    return folder / "seen"


def frames_of(gif: Path) -> list[np.ndarray]:
    with Image.open(gif) as film:
        shown = []
        for index in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(index)
            shown.append(np.asarray(film.convert("RGB")))
        return shown


def drawn(run: Path, folder: Path) -> str:
    """The name of the picture, which is drawn alone, for every width, with its film."""
    loaded, display = load_run(run), Display(quiet=True)
    _, splits = load_data(loaded, Workplace(folder), display)
    picture = seen(loaded, splits.train)
    assert picture is not None
    assert picture.film is not None
    picture.draw(path=run / "plots" / "wide.png")
    picture.draw(path=run / "plots" / "narrow.svg", width=4.0)
    picture.film(path=run / "plots" / "film.gif")
    return picture.name


def test_two_features_end_in_a_boundary_with_its_film_and_both_are_on_the_page(tmp_path: Path) -> None:
    run = trained(tmp_path, "{dataset: {name: spiral, train: 60, test: 20}}", 3)
    with Image.open(run / "plots" / "boundary.png") as picture:
        assert min(picture.size) > 800
    shown = frames_of(run / "plots" / "boundary.gif")
    assert len(shown) == 4  # before training, and after each of three epochs
    assert all(not np.array_equal(one, other) for one, other in pairwise(shown))
    assert tuple(shown[0][0, 0]) == (255, 255, 255)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "What it learned" in page
    assert "data:image/gif;base64," in page


@pytest.mark.parametrize(("table", "name"), [("plane", "boundary"), ("line", "fit"), ("prices", "surface")])
def test_a_table_of_two_features_or_one_is_seen_as_well(tmp_path: Path, table: str, name: str) -> None:
    rows = [(a, b, "$in" if a + b > 9 else "外", a * b) for a in range(10) for b in range(10)]
    texts = {
        "plane": "width $,高さ,label\n" + "".join(f"{a},{b},{label}\n" for a, b, label, _ in rows),
        "line": "width,label\n" + "".join(f"{a}.{b},{label}\n" for a, b, label, _ in rows),
        "prices": "width,height,price\n" + "".join(f"{a},{b},{product}.5\n" for a, b, _, product in rows),
    }
    path = tmp_path / f"{table}.csv"
    path.write_text(texts[table])
    run = trained(tmp_path, f"{{dataset: csv, path: {path}}}", 2, "--no-plots")
    assert drawn(run, tmp_path) == name
    assert len(frames_of(run / "plots" / "film.gif")) == 3


def test_the_axes_have_the_numbers_of_the_file_also_of_a_column_that_is_far_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    cells = [(1_700_000_000 + 10 * n, n % 7, n % 3) for n in range(60)]
    path.write_text("when,width,price\n" + "".join(f"{when},{width},{price}.5\n" for when, width, price in cells))
    run = trained(tmp_path, f"{{dataset: csv, path: {path}}}", 1, "--no-plots")
    loaded = load_run(run)
    _, splits = load_data(loaded, Workplace(tmp_path), Display(quiet=True))
    picture = seen(loaded, splits.train)
    assert picture is not None
    assert isinstance(picture.draw, partial)
    plane = picture.draw.args[0]
    assert set(plane.points[:, 0].tolist()) <= {float(when) for when, _, _ in cells}
    assert plane.x[0] < min(plane.points[:, 0]) < max(plane.points[:, 0]) < plane.x[-1] < 1_700_000_700
    assert set(plane.points[:, 1].tolist()) == set(range(7))
    figure = picture.draw(path=run / "plots" / "wide.png")
    assert "when − 1,700,000,000" in [axes.get_xlabel() for axes in figure.axes]


def test_a_curve_is_fitted_and_filmed(tmp_path: Path) -> None:
    run = trained(tmp_path, "{dataset: {name: sine, train: 60, test: 20}}", 3, "--no-plots")
    assert drawn(run, tmp_path) == "fit"
    assert len(frames_of(run / "plots" / "film.gif")) == 4


def test_data_of_more_features_has_neither_picture_nor_frames(tmp_path: Path) -> None:
    path = tmp_path / "three.csv"
    path.write_text("a,b,c,label\n" + "".join(f"{n},{n * n},{n % 3},{'xy'[n % 2]}\n" for n in range(40)))
    run = trained(tmp_path, f"{{dataset: csv, path: {path}}}", 1, "--no-plots")
    assert not (run / "logs" / "frames.jsonl").exists()
    loaded = load_run(run)
    _, splits = load_data(loaded, Workplace(tmp_path), Display(quiet=True))
    assert seen(loaded, splits.train) is None


def test_more_classes_than_can_be_told_apart_are_not_drawn_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("a,b,label\n" + "".join(f"{n},{n * n},class{n % 11}\n" for n in range(66)))
    run = trained(tmp_path, f"{{dataset: csv, path: {path}}}", 1, "--no-plots")
    assert not (run / "logs" / "frames.jsonl").exists()
    assert "no picture" in (run / "logs" / "train.log").read_text()


class StopAt(Observer):
    """Asks for an end after so many epochs, as Ctrl-C does."""

    def __init__(self, epoch: int) -> None:
        self.stop, self._epoch = StopRequest(), epoch

    def begin(self, training: Training) -> None:
        self._training = training

    def epoch(self, result: object, is_best: bool) -> None:
        if self._training.trainer.progress.epoch == self._epoch:
            self.stop.ask("interrupted")


def test_a_training_that_was_stopped_and_resumed_has_the_film_of_one_that_was_not(tmp_path: Path) -> None:
    data = "{dataset: {name: moons, train: 40, test: 10}}"
    whole = trained(tmp_path, data, 6, "--no-plots")
    workplace, stopping = Workplace(tmp_path, tmp_path, 1, plots=False), StopAt(3)
    config = load_config(tmp_path / "seen.yaml", ["name=stopped"])
    with pytest.raises(Interrupted):
        train(config, workplace, Display(quiet=True), observers=[stopping], stop=stopping.stop)
    assert [frame.epoch for frame in read_frames(RunDirectory(tmp_path / "stopped"))] == [0, 1, 2, 3]
    resume(tmp_path / "stopped", None, workplace, Display(quiet=True))
    frames = read_frames(RunDirectory(whole))
    assert [frame.epoch for frame in frames] == [0, 1, 2, 3, 4, 5, 6]
    assert read_frames(RunDirectory(tmp_path / "stopped")) == frames


def test_units_are_seen_before_and_after_their_activation() -> None:
    network = Network([Dense(3), ReLU(), Dense(2)], (2,))
    network.initialize(RandomStreams(0))
    x = np.array([[-1, 0], [3, 4]], np.float32)
    space = Space.of(Examples.all_of(x, np.array([0, 1])), 2)
    assert space is not None
    scaled = affine(0.5, 1.0)
    found = space.hidden(network, scaled)
    assert found is not None
    sums, y = found
    layer = network.layers[0]
    assert isinstance(layer, Dense)
    expected = ((space.grid * 0.5 + 1) @ layer.W + layer.b).reshape(80, 80, 3)
    assert sums == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(y, np.maximum(sums, 0))
    assert space.outputs(network, scaled) == pytest.approx(network.forward(space.grid * 0.5 + 1).reshape(80, 80, 2))


def test_a_network_without_a_hidden_layer_has_no_units() -> None:
    network = Network([Dense(2)], (2,))
    network.initialize(RandomStreams(0))
    space = Space.of(Examples.all_of(np.zeros((2, 2), np.float32), np.array([0, 1])), 2)
    assert space is not None
    assert space.hidden(network, affine(1.0, 0.0)) is None


def test_the_line_runs_where_two_classes_are_equally_probable() -> None:
    x, y = np.linspace(0, 4, 41), np.linspace(0, 2, 21)
    p = 1 / (1 + np.exp(-3 * (np.meshgrid(x, y)[0] - 1.25)))
    plane = Plane(x, y, np.zeros((1, 2)), np.zeros(1, int), ("x", "y"), ("left", "right"))
    axes = new_figure(3).add_subplot()
    picture, line = plane.paint(axes, np.stack([1 - p, p], axis=-1))
    (points,) = line.allsegs[0]
    assert points[:, 0] == pytest.approx(1.25, abs=1e-3)
    colours = picture.get_array()
    assert colours[0, 0, 2] > colours[0, 0, 0]  # blue on the left
    assert colours[0, -1, 0] > colours[0, -1, 2]  # vermillion on the right
    assert colours[0, 12].min() > colours[0, 0].min()  # fainter near the line
