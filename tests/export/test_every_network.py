"""Every shipped config, every layer with every option, and networks that nobody chose: each export answers as the run.

Whoever wrote a network in one of these formats and asks it gets the run's answers to within 1e-5.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnscratch.export.export  # noqa: F401  (makes the formats known)
from nnscratch.component import catalogue
from nnscratch.config.assembly import assemble
from nnscratch.config.config import config_from_mapping, load_config
from nnscratch.datasets.dataset import Dataset
from nnscratch.export.export import export
from nnscratch.export.format import Format
from nnscratch.export.numpy_layers import lines
from nnscratch.export.onnx_layers import nodes
from nnscratch.export.proof import Proof, random_examples
from nnscratch.nn.layer import Layer
from nnscratch.nn.network import Network
from nnscratch.runs.loaded import LoadedRun
from nnscratch.training.progress import StepResult
from nnscratch.training.scaling import affine
from tests.export.conftest import Make, loaded_run
from tests.export.conftest import settings as layer_settings

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = [path for path in sorted(CONFIGS.rglob("*.yaml")) if "sweep" not in path.stem]
FORMATS = ("onnx", "safetensors", "numpy")


@pytest.fixture(autouse=True)
def libraries() -> None:
    for library in ("onnx", "onnxruntime", "safetensors"):
        pytest.importorskip(library)


def proofs(loaded: LoadedRun, folder: Path, number: int = 12) -> list[Proof]:
    """The proof in each format; an export that answers otherwise raises."""
    examples = random_examples(loaded, number)
    return [export(catalogue(Format)[name](), loaded, folder / name, examples).proof for name in FORMATS]


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_a_shipped_config_answers_alike_after_one_step(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Network, "fit_to", lambda *_: None)  # whitening takes long, and all weights are alike here
    changes = ["batch_size=8", "monitor=null", "early_stopping=null"]
    config = load_config(path, ["data.validation=0", *(f"training.{change}" for change in changes)])
    shape = config.data.dataset.component.example_shape or (32, 32, 3)
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (20, *shape), np.uint8)
    targets = np.arange(20) % 10
    names = tuple(f"class {number}" for number in range(10))
    dataset = Dataset("random", inputs, targets, None, None, names, "nowhere")
    assembly = assemble(config, dataset)
    trainer = assembly.trainer(1)
    for result in trainer.run(assembly.splits.train, None):
        assert isinstance(result, StepResult)
        break
    parameters = trainer.network.parameters
    weights = parameters.named(), parameters.named_state()
    loaded = loaded_run(tmp_path, config, shape, 10, weights=weights, scaling=trainer.affine)
    assert all(proof.examples == 3 for proof in proofs(loaded, tmp_path, 3))


IMAGES: dict[str, list[Any]] = {
    "dense": [{"dense": {"units": 4, "bias": False}}, "flatten", "dense"],
    "conv": [{"conv": {"channels": 4, "kernel": 3}}],
    "conv without bias": [{"conv": {"channels": 2, "kernel": 5, "bias": False}}],
    "conv of even kernel": [{"conv": {"channels": 3, "kernel": 2}}],
    "conv of even kernel, stride 3": [{"conv": {"channels": 3, "kernel": 4, "stride": 3}}],
    "conv of stride 2": [{"conv": {"channels": 3, "stride": 2}}],
    "conv of stride 2, valid": [{"conv": {"channels": 3, "stride": 2, "padding": "valid"}}],
    "conv of stride 3, valid": [{"conv": {"channels": 3, "kernel": 2, "stride": 3, "padding": "valid"}}],
    "conv of padding 2": [{"conv": {"channels": 3, "kernel": 3, "stride": 2, "padding": 2}}],
    "conv of kernel 1": [{"conv": {"channels": 3, "kernel": 1}}],
    "conv of 2 groups": [{"conv": 4}, {"conv": {"channels": 6, "groups": 2, "stride": 2}}],
    "conv of 2 groups without bias": [{"conv": 4}, {"conv": {"channels": 2, "groups": 2, "bias": False}}],
    "conv of groups of one": [{"conv": 4}, {"conv": {"channels": 4, "groups": 4}}, {"conv": 3}],
    "batch_norm": [{"conv": 4}, "batch_norm"],
    "batch_norm without scale": [{"batch_norm": {"scale": False, "epsilon": 0.01}}],
    "batch_norm without shift": [{"batch_norm": {"shift": False}}],
    "batch_norm of neither": [{"batch_norm": {"scale": False, "shift": False}}],
    "layer_norm": [{"conv": 4}, {"layer_norm": {"epsilon": 0.01}}],
    "max_pool": [{"max_pool": 2}],
    "max_pool that overlaps": [{"max_pool": {"size": 3, "stride": 2}}],
    "max_pool with gaps": [{"max_pool": {"size": 2, "stride": 3}}],
    "average_pool": [{"average_pool": 3}],
    "average_pool that overlaps": [{"average_pool": {"size": 3, "stride": 1}}],
    "global_average_pool": [{"conv": 5}, "global_average_pool"],
    "residual": [{"residual": [{"conv": 3}, "relu"]}],
    "residual with a shortcut": [
        {"residual": {"layers": [{"conv": 4}, "relu"], "shortcut": [{"conv": {"channels": 4, "kernel": 1}}]}}
    ],
    "residual in residual": [{"residual": [{"residual": [{"conv": 3}, "tanh"]}, "relu", {"dropout": 0.5}]}],
    "residual of nothing": [{"residual": ["identity"]}],
    "scale": [{"scale": 0.125}],
    "dropout": [{"dropout": 0.5}],
    "relu": ["relu"],
    "leaky_relu": [{"leaky_relu": 0.2}],
    "sigmoid": [{"scale": 40}, "sigmoid"],
    "tanh": ["tanh"],
    "gelu": [{"scale": 3}, "gelu"],
    "silu": [{"scale": 3}, "silu"],
    "softmax": ["softmax"],
    "identity": ["identity"],
}


@pytest.mark.parametrize("case", IMAGES)
def test_a_layer_answers_alike_with_every_option(case: str, make: Make, tmp_path: Path) -> None:
    layers = IMAGES[case]
    if case == "dense":
        layers = ["flatten", *layers[:1], "dense"]
    elif case == "global_average_pool":
        layers = [*layers, "dense"]
    else:
        layers = [*layers, "flatten", "dense"]
    proofs(make(layers, (9, 8, 3)), tmp_path)


def test_every_layer_has_its_way_into_every_format() -> None:
    own = {layer for layer in catalogue(Layer).values() if layer.__module__.startswith("nnscratch.")}
    assert own == set(nodes._ways) == set(lines._ways)
    assert {name.partition(" ")[0] for name in IMAGES} | {"flatten"} == {layer.name for layer in own}


@pytest.mark.parametrize("views", ["flip", "flip_translate"])
def test_views_are_averaged_in_the_export_too(views: str, make: Make, tmp_path: Path) -> None:
    config = {"evaluation": {"test_time_augmentation": views}}
    proofs(make([{"conv": 4}, "relu", "flatten", "dense"], (6, 5, 1), config=config), tmp_path)


@pytest.mark.parametrize("ending", [["dense"], ["dense", "sigmoid"], ["dense", {"scale": -1.0}, "relu"]])
def test_probabilities_without_softmax_are_the_runs(ending: list[Any], make: Make, tmp_path: Path) -> None:
    config = {"loss": "mean_squared_error"}
    proofs(make(["flatten", *ending], (4, 4, 1), config=config), tmp_path)


def test_where_no_output_is_positive_all_classes_are_equally_likely(make: Make, tmp_path: Path) -> None:
    loaded = make(["flatten", "dense", "relu", {"scale": -1.0}], (4, 4, 1), config={"loss": "mean_squared_error"})
    proofs(loaded, tmp_path)


@pytest.mark.parametrize("names", [None, ("a", "label", "/x", "")])
def test_a_table_answers_alike_by_columns_and_by_rows(
    names: tuple[str, ...] | None, make: Make, tmp_path: Path
) -> None:
    proofs(make([{"dense": 5}, "relu", "dense"], (4,), images=False, feature_names=names), tmp_path)


def test_the_temperature_of_a_calibrated_run_is_exported(make: Make, tmp_path: Path) -> None:
    loaded = make(["flatten", "dense"], (4, 4, 1), temperature=2.5)
    proofs(loaded, tmp_path)
    assert "/ 2.5" in (tmp_path / "numpy" / "model.py").read_text()


def test_a_regression_answers_in_its_own_units(make: Make, tmp_path: Path) -> None:
    targets = affine(np.array([1e-3, 4.0]), np.array([-5e2, 1.0]))
    loaded = make(
        [{"dense": 5}, "relu", "dense"], (4,), outputs=2, images=False, regression=True, target_affine=targets,
        config={"loss": "mean_squared_error"},
    )  # fmt: skip
    assert all(proof.is_regression for proof in proofs(loaded, tmp_path))


def test_columns_that_are_pictures_without_names_keep_their_shape(make: Make, tmp_path: Path) -> None:
    proofs(make([{"conv": 2}, "flatten", "dense"], (4, 3, 1), images=False), tmp_path)
    named = make([{"conv": 2}, "flatten", "dense"], (2, 2, 1), images=False, feature_names=("a", "b", "c", "d"))
    (tmp_path / "named").mkdir()
    proofs(named, tmp_path / "named")


ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu", "softmax", "identity")
anywhere = st.one_of(
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(["batch_norm", "layer_norm"]),
    st.builds(lambda rate: {"dropout": rate}, st.sampled_from([0.1, 0.5])),
    st.builds(lambda factor: {"scale": factor}, st.sampled_from([0.5, -2.0])),
)
padded = st.builds(
    lambda channels, kernel, bias: {"conv": {"channels": channels, "kernel": kernel, "bias": bias}},
    st.integers(1, 4), st.integers(1, 5), st.booleans(),
)  # fmt: skip
shrinking = st.builds(
    lambda kernel, stride, padding: {"conv": {"channels": 2, "kernel": kernel, "stride": stride, "padding": padding}},
    st.integers(1, 3), st.integers(1, 3), st.sampled_from(["same", "valid", 0, 1]),
)  # fmt: skip
pools = st.builds(
    lambda kind, size, stride: {kind: {"size": size, "stride": stride}},
    st.sampled_from(["max_pool", "average_pool"]), st.integers(1, 2), st.sampled_from([None, 1, 2]),
)  # fmt: skip
blocks = st.lists(anywhere, min_size=1, max_size=3).map(lambda inner: {"residual": inner})
convolutional = st.lists(st.one_of(anywhere, padded, blocks), max_size=4)
ends = st.sampled_from([["flatten"], ["global_average_pool"], [{"max_pool": 2}, "flatten"]])
dense = st.lists(st.one_of(anywhere, st.integers(1, 6).map(lambda units: {"dense": units})), max_size=3)


@settings(max_examples=15)
@given(
    front=convolutional, middle=st.lists(st.one_of(shrinking, pools), max_size=1), end=ends, back=dense,
    shape=st.tuples(st.integers(6, 9), st.integers(6, 9), st.sampled_from([1, 3])),
    views=st.sampled_from(["none", "flip", "flip_translate"]),
    loss=st.sampled_from(["cross_entropy", "mean_squared_error"]),
)  # fmt: skip
def test_any_network_answers_alike(
    front: list[Any],
    middle: list[Any],
    end: list[Any],
    back: list[Any],
    shape: tuple[int, int, int],
    views: str,
    loss: str,
) -> None:
    if end[0] != "flatten" and end[0] != "global_average_pool" and middle:
        end = ["flatten"]
    with tempfile.TemporaryDirectory() as name:
        more = {"loss": loss, "evaluation": {"test_time_augmentation": views}}
        config = layer_settings([*front, *middle, *end, *back, "dense"], **more)
        proofs(loaded_run(Path(name), config, shape), Path(name))


def test_the_config_of_these_networks_is_an_ordinary_one() -> None:
    assert config_from_mapping(layer_settings(["flatten", "dense"]).to_dict()).model.layers is not None
