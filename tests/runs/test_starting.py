"""`model.start_from` and `model.freeze`: weights of another run, names and shapes checked, some of them kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.config.assembly import prepare
from nnscratch.config.config import config_from_mapping
from nnscratch.errors import ConfigError, DataError
from nnscratch.experiment.observer import TrainingSummary
from nnscratch.experiment.repeats import How, repeat
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.loaded import load_run
from nnscratch.runs.starting import prepare_start

LAYERS: list[Any] = [
    {"name": "conv", "channels": 16, "kernel": 3},
    "batch_norm",
    "relu",
    {"name": "max_pool", "size": 4},
    {"name": "conv", "channels": 32, "kernel": 3},
    "batch_norm",
    "relu",
    {"name": "max_pool", "size": 4},
    "flatten",
    "dense",
]
"""Its arrays: 0.conv, 1.batch_norm, 4.conv, 5.batch_norm, 9.dense."""


def trained(tmp_path: Path, display: Display | None = None, **changes: Any) -> TrainingSummary:
    settings: dict[str, Any] = {
        "data": {"dataset": {"name": "shapes", "train": 60, "test": 300, "seed": 9}, "validation": 0},
        "model": {"layers": LAYERS},
        "training": {"epochs": 2, "batch_size": 10},
    }
    for path, value in changes.items():
        section, _, field = path.partition("__")
        settings[section] = {**settings.get(section, {}), field: value} if field else value
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=False)
    return train(config_from_mapping(settings), workplace, display or Display(quiet=True))


def pretrained(tmp_path: Path, images: int = 100, epochs: int = 1) -> Path:
    data = {"name": "shapes", "train": images, "test": 10, "seed": 0}
    return trained(
        tmp_path, name="before", data={"dataset": data, "validation": 0, "scaling": "standardize"},
        training={"epochs": epochs, "batch_size": 50},
    ).run  # fmt: skip


def arrays_of(run: Path) -> dict[str, Array]:
    parameters = load_run(run).network.parameters
    return {**parameters.named(), **parameters.named_state()}


def test_six_images_a_class_are_enough_for_a_network_that_has_seen_others(tmp_path: Path) -> None:
    pretrained(tmp_path, images=1000, epochs=4)
    scratch = trained(tmp_path, name="scratch", training__epochs=10)
    start = {"start_from": "before", "freeze": ["0.conv", "1.batch_norm"], "layers": LAYERS}
    tuned = trained(tmp_path, name="tuned", training__epochs=10, model=start)
    assert scratch.test is not None
    assert tuned.test is not None
    assert scratch.test.accuracy is not None
    assert tuned.test.accuracy is not None
    assert tuned.test.accuracy > scratch.test.accuracy + 0.1


def test_what_is_frozen_keeps_every_bit_and_the_rest_learns(tmp_path: Path) -> None:
    before = arrays_of(pretrained(tmp_path))
    frozen = ["0.conv.weight", "1.batch_norm", "4.conv"]
    run = trained(tmp_path, name="tuned", model__start_from="before", model__freeze=frozen, l2={"strength": 0.1}).run
    after = arrays_of(run)
    kept = {name for name in before if np.array_equal(before[name], after[name])}
    assert kept == {
        "0.conv.weight", "1.batch_norm.scale", "1.batch_norm.shift", "1.batch_norm.running_mean",
        "1.batch_norm.running_variance", "4.conv.weight", "4.conv.bias",
    }  # fmt: skip


def test_untrained_epochs_leave_the_run_it_starts_from_and_say_that_nothing_was_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pretrained(tmp_path)
    assert "nothing was trained" not in capsys.readouterr().out
    run = trained(tmp_path, Display(), name="tuned", model__start_from=str(before), training__epochs=0).run
    assert "\n0 epochs: nothing was trained, the figures are of the weights it began with\n" in capsys.readouterr().out
    expected, found = load_run(before), load_run(run)
    np.testing.assert_array_equal(found.network.parameters.values, expected.network.parameters.values)
    x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    scaled = [each.affine.apply(x, np.empty(x.shape, np.float32)) for each in (expected, found)]
    np.testing.assert_array_equal(scaled[0], scaled[1])
    origin = RunDirectory(run).read_meta().started_from
    assert origin is not None
    assert (origin.run, origin.epoch) == (str(before), 1)


def test_every_array_that_does_not_fit_is_named_at_once_with_what_to_write(tmp_path: Path) -> None:
    pretrained(tmp_path)
    layers = [*LAYERS[:4], {"name": "conv", "channels": 8, "kernel": 3}, *LAYERS[5:8], "flatten", "dropout", "dense"]
    with pytest.raises(ConfigError) as raised:
        trained(tmp_path, name="tuned", model={"layers": layers, "start_from": "before"})
    told = str(raised.value)
    assert "4.conv.weight has shape (3, 3, 16, 32) in before, here (3, 3, 16, 8)" in told
    assert "before has no 10.dense.weight" in told
    assert "before has 9.dense.weight, the network has not" in told
    assert "fresh: [4.conv, 5.batch_norm, 10.dense]" in told
    assert not (tmp_path / "runs" / "tuned").exists()


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ({"freeze": ["1.batchnorm"]}, "there is no layer or weight `1.batchnorm`; did you mean 1.batch_norm?"),
        ({"start_from": {"run": "before", "fresh": ["9.dens"]}}, "no layer or weight `9.dens`; did you mean 9.dense?"),
        ({"start_from": {"run": "before", "fresh": ["9.dense"]}, "freeze": ["9.dense"]}, "would never learn anything"),
        ({"freeze": ["0.conv", "1.batch_norm", "4.conv", "5.batch_norm", "9.dense"]}, "leaves nothing to train"),
    ],
)
def test_names_that_mean_nothing_are_refused(model: dict[str, Any], problem: str, tmp_path: Path) -> None:
    pretrained(tmp_path)
    with pytest.raises(ConfigError) as raised:
        trained(tmp_path, name="tuned", model={"layers": LAYERS, **model})
    assert problem in str(raised.value)


def test_a_run_that_is_not_there_is_an_error_of_the_config(tmp_path: Path) -> None:
    pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"model\.start_from: befor is not a run"):
        trained(tmp_path, model__start_from="befor")


def write_table(path: Path, classes: str) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{a:.4f},{b:.4f},{classes[int(a + b > 0)]}" for a, b in rng.normal(size=(80, 2))]
    path.write_text("\n".join(["a,b,kind", *lines]) + "\n")


def test_other_classes_and_another_scaling_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(tmp_path / "one.csv", "xy")
    write_table(tmp_path / "two.csv", "pq")
    data = {"dataset": {"name": "csv", "target": "kind"}, "path": str(tmp_path / "one.csv"), "scaling": "standardize"}
    model = {"hidden_layers": [4]}
    trained(tmp_path, name="before", data=data, model=model)
    data = {**data, "path": str(tmp_path / "two.csv"), "scaling": "none"}
    capsys.readouterr()
    trained(tmp_path, Display(), name="kept", data=data, model={**model, "start_from": "before"})
    told = capsys.readouterr().out
    assert "its outputs were x, y, here they are p, q" in told
    assert "data.scaling does not count" in told
    last = [name for name in arrays_of(tmp_path / "runs" / "kept") if name.endswith(".weight")][-1].rpartition(".")[0]
    model["start_from"] = {"run": "before", "fresh": [last]}  # type: ignore[assignment]  # JSON
    trained(tmp_path, Display(), name="anew", data=data, model=model)
    told = capsys.readouterr().out
    assert "its outputs were" not in told
    assert f"anew: {last}.weight, {last}.bias" in told


def write_prices(path: Path, rows: int, scale: float, target: str = "price") -> None:
    rng = np.random.default_rng(rows)
    lines = [f"{a:.4f},{scale * (3 + a):.4f}" for a in rng.normal(size=rows)]
    path.write_text("\n".join([f"size,{target}", *lines]) + "\n")


def said_of(run: Path, x: Array) -> Array:
    loaded = load_run(run)
    return loaded.values(loaded.outputs_of(x))


def test_targets_are_scaled_as_the_last_layer_knows_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that weights which say 3 + size say it here, too, where targets have another mean and deviation."""
    write_prices(tmp_path / "one.csv", 200, 1.0)
    write_prices(tmp_path / "two.csv", 50, 1000.0)
    model: dict[str, Any] = {"hidden_layers": []}
    data = {"dataset": {"name": "csv", "target": "price"}, "path": str(tmp_path / "one.csv"), "validation": 0.2}
    before = trained(tmp_path, name="before", data=data, model=model, loss="mean_squared_error").run
    data["path"] = str(tmp_path / "two.csv")
    model["start_from"] = "before"
    capsys.readouterr()
    kept = trained(
        tmp_path, Display(), name="kept", data=data, model=model, loss="mean_squared_error", training={"epochs": 0}
    ).run
    told = " ".join(capsys.readouterr().out.split())
    assert "targets are scaled as there, since 1.dense knows them so: data.target_scaling does not count" in told
    assert "targets of another size or spread were learned: are these in the same unit?" in told
    sizes = np.linspace(-1, 1, 5, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(said_of(kept, sizes), said_of(before, sizes))
    model["start_from"] = {"run": "before", "fresh": ["1.dense"]}
    anew = trained(
        tmp_path, Display(), name="anew", data=data, model=model, loss="mean_squared_error", training={"epochs": 0}
    ).run
    assert "targets are scaled as there" not in capsys.readouterr().out
    assert load_run(anew).target_affine.multiplier < 0.01 * load_run(before).target_affine.multiplier


def test_targets_of_another_name_are_scaled_by_their_own_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_prices(tmp_path / "one.csv", 200, 1.0)
    write_prices(tmp_path / "two.csv", 50, 1000.0, "rent")
    data = {"dataset": {"name": "csv", "target": "price"}, "path": str(tmp_path / "one.csv"), "validation": 0.2}
    before = trained(tmp_path, name="before", data=data, model={"hidden_layers": []}, loss="mean_squared_error").run
    data = {**data, "dataset": {"name": "csv", "target": "rent"}, "path": str(tmp_path / "two.csv")}
    model = {"hidden_layers": [], "start_from": "before"}
    capsys.readouterr()
    after = trained(tmp_path, Display(), name="after", data=data, model=model, loss="mean_squared_error").run
    told = capsys.readouterr().out
    assert "its outputs were price, here they are rent" in told
    assert "targets are scaled as there" not in told
    assert load_run(after).target_affine.multiplier < 0.01 * load_run(before).target_affine.multiplier


def test_a_start_from_a_run_that_trained_on_what_is_held_out_here_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path / "one.csv", "xy")
    data: dict[str, Any] = {"dataset": {"name": "csv", "target": "kind"}, "path": str(tmp_path / "one.csv")}
    model: dict[str, Any] = {"hidden_layers": [4]}
    trained(tmp_path, name="before", data={**data, "validation": 0.25}, model=model)
    model["start_from"] = "before"
    capsys.readouterr()
    trained(tmp_path, Display(), name="same", data={**data, "validation": 0.25}, model=model)
    assert "that before trained on" not in capsys.readouterr().err
    trained(tmp_path, Display(), name="other", data={**data, "validation": 0.25}, model=model, seed=7)
    told = " ".join(capsys.readouterr().err.split())
    train = {run: {each.tobytes() for each in held(tmp_path / "runs" / run)[0]} for run in ("before", "other")}
    seen = sum(each.tobytes() in train["before"] for each in held(tmp_path / "runs" / "other")[1])
    assert 0 < seen < 16
    assert f"{seen} of 16 validation inputs are among those that before trained on" in told


def held(run: Path) -> tuple[Array, Array]:
    """The training and validation inputs of a run on a table."""
    loaded, workplace = load_run(run), Workplace(run / "none", run.parent, threads=1)
    splits = prepare(loaded.config, workplace, Display(quiet=True)).splits
    assert splits.validation is not None
    return splits.train.inputs[splits.train.rows], splits.validation.inputs[splits.validation.rows]


def test_a_first_layer_that_starts_anew_takes_other_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And one that keeps its weights does not: it knows its columns, and no others."""
    write_table(tmp_path / "one.csv", "xy")
    text = (tmp_path / "one.csv").read_text().replace("a,b,kind", "a,c,kind", 1)
    (tmp_path / "two.csv").write_text(text)
    data: dict[str, Any] = {"dataset": {"name": "csv", "target": "kind"}, "path": str(tmp_path / "one.csv")}
    model: dict[str, Any] = {"hidden_layers": [4]}
    trained(tmp_path, name="before", data=data, model=model)
    data["path"], model["start_from"] = str(tmp_path / "two.csv"), "before"
    with pytest.raises(ConfigError, match=r"model\.start_from: before learned other columns: the column 'b'") as raised:
        trained(tmp_path, name="kept", data=data, model=model)
    assert "start_from: {run: before, fresh: [1.dense]}" in str(raised.value)
    model["start_from"] = {"run": "before", "fresh": ["1.dense"]}
    capsys.readouterr()
    trained(tmp_path, Display(), name="anew", data=data, model=model)
    assert "its table had other columns: they become features as they are here" in capsys.readouterr().out


def test_weights_that_cannot_be_read_are_a_problem_of_the_field_that_names_them(tmp_path: Path) -> None:
    before = pretrained(tmp_path)
    (tmp_path / "notes.npz").write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match=r"model\.start_from: .*notes\.npz is damaged or not a checkpoint") as raised:
        trained(tmp_path, model__start_from=str(tmp_path / "notes.npz"))
    assert raised.value.hint == "it is a run, a checkpoint of one, or a .safetensors that `nnscratch export` wrote"
    RunDirectory(before).best.unlink()
    with pytest.raises(ConfigError, match=r"model\.start_from: there is no checkpoint .*best\.npz") as raised:
        trained(tmp_path, model__start_from="before")
    assert raised.value.hint == f"of the same run, there is model.start_from={RunDirectory(before).last}"


def test_data_that_no_training_takes_is_refused_with_weights_of_a_run_too(tmp_path: Path) -> None:
    pixels, labels = np.random.default_rng(0).random((20, 4, 4)), np.arange(20) % 2
    np.savez(tmp_path / "good.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    np.savez(tmp_path / "bad.npz", x_train=255 * pixels, y_train=labels, x_test=pixels, y_test=labels)
    data = {"dataset": "npz", "path": str(tmp_path / "good.npz")}
    trained(tmp_path, name="before", data=data, model={"hidden_layers": [4]})
    data, model = {**data, "path": str(tmp_path / "bad.npz")}, {"hidden_layers": [4], "start_from": "before"}
    with pytest.raises(DataError, match="the splits hold pixels of different ranges"):
        trained(tmp_path, name="after", data=data, model=model)


def test_a_resumed_run_needs_the_one_it_started_from_no_more(tmp_path: Path) -> None:
    before = pretrained(tmp_path)
    whole = trained(
        tmp_path, name="tuned", model__start_from="before", model__freeze=["0.conv"], training__epochs=2
    ).run
    half = trained(tmp_path, name="half", model__start_from="before", model__freeze=["0.conv"], training__epochs=1).run
    before.rename(tmp_path / "elsewhere")
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=False)
    resume(half, 2, workplace, Display(quiet=True))
    one, two = arrays_of(whole), arrays_of(half)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    origin = RunDirectory(half).read_meta().started_from
    assert origin is not None
    assert origin.run == str(before)


def test_runs_of_a_group_start_from_a_run_beside_the_group(tmp_path: Path) -> None:
    before = pretrained(tmp_path)
    data = {"dataset": {"name": "shapes", "train": 60, "test": 20, "seed": 9}, "validation": 0}
    config = {"name": "g", "data": data, "model": {"layers": LAYERS, "start_from": "before"}, "training": {"epochs": 0}}
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=False)
    for _ in range(2):
        summary = repeat(config_from_mapping(config), (1, 2), None, How(), workplace, Display(quiet=True))
    assert summary.path.name == "g"
    found = arrays_of(summary.path / "seed-2")
    assert all(np.array_equal(array, found[name]) for name, array in arrays_of(before).items())


def test_a_loss_that_trained_weights_begin_with_is_not_compared_with_guessing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrained(tmp_path)
    capsys.readouterr()
    how: dict[str, Any] = {
        "seed": 2, "data__scaling": "standardize", "training": {"epochs": 1, "batch_size": 60},
        "model__layers": [*LAYERS[:-1], {"name": "dense", "weight_init": {"name": "random", "scale": 2.0}}],
    }  # fmt: skip
    trained(tmp_path, name="drawn", **how)
    assert "loss at start far from guessing" in capsys.readouterr().err
    trained(tmp_path, name="tuned", model__start_from="before", **how)
    assert "loss at start far from guessing" not in capsys.readouterr().err


def test_trained_weights_are_there_in_float64_too_for_explain_and_gradients(tmp_path: Path) -> None:
    before = pretrained(tmp_path)
    data = {"dataset": {"name": "shapes", "train": 20, "test": 10}, "validation": 0}
    config = {"data": data, "model": {"layers": LAYERS, "start_from": "before"}, "training": {"batch_size": 4}}
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1)
    assembly, origin = prepare_start(config_from_mapping(config), workplace, Display(quiet=True))
    assembly.start(np.float64)
    expected = arrays_of(before)
    for name, array in assembly.network.parameters.named().items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, expected[name])
    assert origin is not None
