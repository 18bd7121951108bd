"""Weights that no training leaves, in a checkpoint with a right checksum: whoever uses them says that they are bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnscratch.config.config import config_from_mapping
from nnscratch.errors import UserError
from nnscratch.experiment.train import train
from nnscratch.export.export import export_run
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.results.evaluate import Request, evaluate_run
from nnscratch.results.model import Model
from nnscratch.results.plot import plot_run
from nnscratch.results.predict import predict_run
from nnscratch.runs.checkpoint import Checkpoint, load_checkpoint
from nnscratch.runs.loaded import load_run
from nnscratch.teaching.gradient_report import gradcheck_run
from nnscratch.teaching.run_diagnosis import diagnose

QUIET = Display(quiet=True)


@pytest.fixture(params=["classes", "numbers"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small finished run on table.csv."""
    rng = np.random.default_rng(0)
    is_regression = request.param == "numbers"
    rows = [f"{a:.3f},{b:.3f},{a if is_regression else a > 0}" for a, b in rng.normal(size=(60, 2))]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,y", *rows]))
    config = config_from_mapping(
        {
            "data": {"path": str(tmp_path / "table.csv"), "dataset": {"name": "csv", "target": "y"}, "validation": 0},
            "model": {"hidden_layers": [4]},
            "loss": "mean_squared_error" if is_regression else "cross_entropy",
            "training": {"epochs": 1},
        }
    )
    return train(config, workplace(tmp_path), QUIET).run


def workplace(folder: Path) -> Workplace:
    return Workplace(folder, folder / "runs", 1, plots=False)


def spoil(run: Path, section: str, value: float) -> None:
    for file in (run / "checkpoints").iterdir():
        saved = load_checkpoint(file)
        arrays = {
            name: np.full_like(array, value) if name.startswith(section) else array
            for name, array in saved.arrays.items()
        }
        file.write_bytes(Checkpoint(saved.header, arrays).encode())


@pytest.mark.parametrize(
    ("section", "value"), [("parameters", 1e38), ("parameters", -3.4e38), ("scaling", 3e38)], ids=str
)
def test_outputs_that_are_not_finite_are_an_error_of_every_command_and_never_a_figure(
    run: Path, section: str, value: float, tmp_path: Path
) -> None:
    spoil(run, section, value)  # a warning of NumPy's would fail the test
    with pytest.raises(UserError, match="the network's outputs are not finite"):
        evaluate_run(run, Request(), workplace(tmp_path), QUIET)
    assert not (run / "evaluation").exists()
    predictions = predict_run(run, [str(tmp_path / "table.csv")], [])
    assert any(each.error == "the network's outputs for it are not finite" for each in predictions)
    with pytest.raises(UserError, match="outputs are not finite"):
        Model(load_run(run)).predict([[1e3, 1e3], [-1e3, -1e3]])
    with pytest.raises(UserError, match="outputs are not finite"):
        export_run(run, "numpy", None, "best", workplace(tmp_path), QUIET)
    gradcheck_run(run, workplace(tmp_path), QUIET)  # as the model card does
    cause = diagnose(run, workplace(tmp_path), QUIET).findings[0]
    assert "diverged" in (cause.problem, *cause.consequences)
    assert [path.name for path in plot_run(run, "best", workplace(tmp_path), QUIET).plots] == [
        "curves.png",
        "gradient_flow.png",
        "weights.png",
    ]
