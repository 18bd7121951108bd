"""Fixtures that several test folders share: small trained runs among them."""

from __future__ import annotations

import gc
import os

# On a busy machine two BLAS threads that wait for each other are slower than one; tests about threads set their own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from nnscratch.component import Component
from nnscratch.config.config import config_from_mapping
from nnscratch.config.plugins import PREFIX
from nnscratch.datasets.sources.shapes import Shapes
from nnscratch.experiment.train import train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace

# How long an example takes says how busy the machine is, and nothing else.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# In the background of a script Ctrl-C is ignored, under nohup the end of a terminal, also by what is started from here;
# tests send both.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)

ROOT = Path(__file__).resolve().parent.parent

# Tests that run side by side (pytest-xdist) have a core each: threads of both would wait for each other.
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
if CORES and WORKER.isdecimal():
    os.sched_setaffinity(0, {sorted(CORES)[int(WORKER) % len(CORES)]})


FEW = 20_000
"""Pictures that are remembered: 60 MB, once for each that differ."""

LARGE = ("cifar_cnn", "cifar_cnn_small", "cifar_mlp", "fashion_cnn")


def sampled(configs: Iterable[Path]) -> list[Any]:
    """Configs as a test's cases: of the largest networks, which others stand for, only those that are exhaustive."""
    return [
        pytest.param(path, id=path.stem, marks=[pytest.mark.exhaustive] if path.stem in LARGE else [])
        for path in configs
    ]


def pytest_collection_finish() -> None:
    """Looking for garbage among all that is loaded by then, and stays, would take a tenth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture
def every_core() -> Iterator[int]:
    """Gives the test all cores there are, and their number."""
    if not CORES:
        yield os.cpu_count() or 1
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    yield len(CORES)
    os.sched_setaffinity(0, own)


@pytest.fixture(scope="session", autouse=True)
def _few_shapes_are_drawn_once() -> Iterator[None]:
    """Hundreds of tests train on the same few pictures: each is drawn once a process."""
    draw, drawn = Shapes._draw_split, dict[tuple[object, ...], tuple[Any, Any]]()

    def draw_once(shapes: Shapes, split: int, count: int) -> tuple[Any, Any]:
        what = shapes.seed, shapes.difficulty, split, count
        if count > FEW or what not in drawn:
            images, labels = draw(shapes, split, count)
            if count > FEW:
                return images, labels
            drawn[what] = images, labels
        images, labels = drawn[what]
        return images.copy(), labels.copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shapes, "_draw_split", draw_once)
        patch.setattr(Shapes, "draw_anew", draw, raising=False)
        yield


@pytest.fixture
def shapes_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the drawing itself."""
    monkeypatch.setattr(Shapes, "_draw_split", Shapes.draw_anew)  # type: ignore[attr-defined]  # kept there above


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Where prepared datasets would be."""
    return Path(os.environ.get("NNSCRATCH_DATA_DIR") or ROOT / "data")


@pytest.fixture(scope="session")
def public_data(data_dir: Path) -> Callable[[str], Path]:
    """public_data(folder): where that dataset lies under its public name; skips the test where it does not."""

    def find(folder: str) -> Path:
        if not (data_dir / folder).is_dir():
            pytest.skip(f"needs {folder} in {data_dir} (see data/README.md)")
        return data_dir / folder

    return find


@pytest.fixture(scope="session")
def oracle() -> Callable[[str], Any]:
    """oracle(module): another library's answer to compare with; skips the test where that library is not installed."""

    def find(module: str) -> Any:
        library = module.partition(".")[0].replace("sklearn", "scikit-learn")
        return pytest.importorskip(module, reason=f"needs {library} to compare with: pip install -e '.[oracle]'")

    return find


SHAPES: dict[str, Any] = {
    "name": "shapes",
    "seed": 3,
    "data": {"dataset": {"name": "shapes", "train": 200, "test": 50}, "validation": 0.2, "scaling": "standardize"},
    "model": {"hidden_layers": [8]},
    "training": {"epochs": 3, "batch_size": 20},
}


def train_quietly(settings: dict[str, Any], runs_dir: Path, *, plots: bool = False) -> Path:
    """Trains on one thread and gives the run's folder."""
    workplace = Workplace(data_dir=runs_dir / "data", runs_dir=runs_dir, threads=1, plots=plots)
    return train(config_from_mapping(settings), workplace, Display(quiet=True)).run


@pytest.fixture(scope="session")
def _trained_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_quietly(SHAPES, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def shapes_run(_trained_shapes: Path, tmp_path: Path) -> Path:
    """A classifier of images, trained for three epochs without plots; a copy that the test may change."""
    return Path(shutil.copytree(_trained_shapes, tmp_path / "runs" / "shapes"))


def write_table(path: Path, rows: int = 120) -> None:
    """A CSV file to learn y = 2 a - b and z = a from, with an extra column."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, rows))
    lines = [f"{one:.6f},{two:.6f},{2 * one - two:.6f},{one:.6f}" for one, two in zip(a, b, strict=True)]
    path.write_text("\n".join(["a,b,y,z", *lines]) + "\n")


@pytest.fixture
def regression_run(tmp_path: Path) -> Path:
    """A linear regression of two targets on two features of a CSV file, almost solved."""
    write_table(tmp_path / "table.csv")
    settings = {
        "name": "regression",
        "data": {"dataset": {"name": "csv", "target": ["y", "z"]}, "path": str(tmp_path / "table.csv")},
        "model": {"hidden_layers": []},
        "loss": "mean_squared_error",
        "optimizer": {"name": "adam", "learning_rate": 0.1},
        "training": {"epochs": 30, "batch_size": 20},
    }
    return train_quietly(settings, tmp_path / "runs")


@pytest.fixture(autouse=True)
def _no_plugin_outlives_its_test() -> Iterator[None]:
    """What a test imported as a plugin is out of the catalogues after it, whatever test comes next in this process."""
    yield
    modules = [name for name in sys.modules if name.startswith(PREFIX)]
    if modules:
        for component in every_component(Component):
            if component.__module__.startswith(PREFIX) and "name" in vars(component):
                del component.name
        for name in modules:
            del sys.modules[name]


def every_component(base: type[Component]) -> Iterator[type[Component]]:
    """All classes below that one."""
    for subclass in base.__subclasses__():
        yield subclass
        yield from every_component(subclass)
