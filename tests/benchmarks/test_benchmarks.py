"""The benchmarks start with the product as it is, so that no change breaks them unseen; nothing is measured here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nnscratch.config.config import load_config
from nnscratch.nn.network import Network

HERE = Path(__file__).resolve().parent
SCRIPTS = [
    "busy",
    "convolution",
    "convolution_epoch",
    "dense",
    "distributed",
    "end_to_end",
    "growth",
    "larger_than_memory",
    "networks",
    "prediction",
    "pytorch_training",
    "serving",
    "tables",
]
LIBRARIES = ["torch", "jax", "sklearn", "onnx", "onnxruntime"]
SMALLEST = {
    "dense": ["fashion"],
    "convolution": ["--batch=2", "--threads=1", "--shape", "5", "4", "4", "3", "2", "2"],
    "growth": ["channels", "--value", "8"],
    "networks": ["lenet5"],
    "prediction": ["fashion"],
    "convolution_epoch": ["--batch=4", "--images=100", "--threads=1", "--report=report.json"],
}


def test_every_script_is_tested() -> None:
    helpers = {"in_pytorch", "side_by_side"}
    assert {path.stem for path in HERE.glob("*.py") if path != Path(__file__).resolve()} == {*SCRIPTS, *helpers}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_tells_how_to_use_it_without_the_libraries_it_compares(script: str) -> None:
    without = f"import sys, runpy; sys.modules.update(dict.fromkeys({LIBRARIES}))\n"
    program = f"{without}sys.argv[1:] = ['--help']; runpy.run_path({str(HERE / script)!r} + '.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


@pytest.mark.parametrize("script", SMALLEST)
def test_our_side_of_a_benchmark_does_an_update(script: str, tmp_path: Path) -> None:
    assert seconds_of_an_update(script, "nnscratch", tmp_path) > 0


def test_the_network_of_an_epoch_is_built_in_pytorch_from_ours(oracle: Callable[[str], Any], tmp_path: Path) -> None:
    oracle("torch")
    seconds_of_an_update("convolution_epoch", "channels_last", tmp_path)
    ours = Network(load_config(HERE.parents[1] / "configs" / "cifar_cnn.yaml").build_layers(), (32, 32, 3), outputs=10)
    assert json.loads((tmp_path / "report.json").read_text())["parameters"] == ours.parameters.size


@pytest.mark.parametrize("network", ["lenet5", "tutorial", "resnet20", "mobilenet", "vgg"])
def test_networks_as_people_write_them_have_as_many_parameters_in_pytorch(
    network: str, oracle: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle("torch")
    monkeypatch.syspath_prepend(str(HERE))
    networks, in_pytorch = import_module("networks"), import_module("in_pytorch")
    case = networks.CASES[network]
    ours = networks.build_network(case.config, case.shape, networks.CLASSES)
    theirs = in_pytorch.torch_model(ours)
    assert sum(each.numel() for each in theirs.parameters()) == ours.parameters.size


def seconds_of_an_update(script: str, contender: str, folder: Path) -> float:
    command = [sys.executable, str(HERE / f"{script}.py"), "--contender", contender, *SMALLEST[script]]
    done = subprocess.run(command, input="1\n", capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    ready, seconds = done.stdout.split()
    assert ready == "ready"
    return float(json.loads(seconds))


def test_a_library_that_is_missing_is_left_out_and_named(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from side_by_side import measure, serve
if len(sys.argv) == 1:
    timings = measure({{name: [sys.executable, __file__, name] for name in ("ours", "theirs")}}, 1, 1)
    print(*(timing.name for timing in timings))
else:
    def make():
        if sys.argv[1] == "theirs":
            import a_library_that_nobody_has
        return lambda updates: None
    serve(make)
"""
    (tmp_path / "script.py").write_text(program)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ours"]
    assert done.stderr == "left out: theirs did not start: No module named 'a_library_that_nobody_has'\n"
