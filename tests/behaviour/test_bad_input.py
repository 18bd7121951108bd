"""Bad input through the front door: one message, its exit code, no traceback, no run directory."""

from __future__ import annotations

import copy
import gzip
import json
import os
import pickle
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nnscratch.cli import main
from nnscratch.config.document import MAXIMUM_BYTES
from nnscratch.datasets.formats.idx import idx_bytes
from nnscratch.datasets.sources.cifar10 import BATCHES, BINARY_FOLDER, CIFAR10, PICKLE_FOLDER, RECORD
from nnscratch.datasets.sources.fashion_mnist import CSV_FILES, CSV_FOLDER, IDX_FOLDER, FashionMNIST
from nnscratch.datasets.sources.grey_images import IDX_FILES
from nnscratch.datasets.sources.mnist import MNIST

TINY = {
    "name": "tiny",
    "data": {"dataset": {"name": "shapes", "train": 40, "test": 20}},
    "model": {"hidden_layers": [4]},
    "training": {"epochs": 1, "batch_size": 10},
}


@pytest.fixture
def failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Exit code and standard error of a training that must fail before it makes a run directory."""

    def fail(config: str | dict[str, Any], *arguments: str) -> tuple[int, str]:
        file = tmp_path / "my.yaml"
        file.write_text(config if isinstance(config, str) else json.dumps(config))
        folders = ["--runs-dir", str(tmp_path / "runs"), "--data-dir", str(tmp_path / "data")]
        with pytest.raises(SystemExit) as caught:
            main(["train", str(file), *arguments, *folders, "--threads", "1", "--no-plots"])
        error = capsys.readouterr().err
        assert isinstance(caught.value.code, int)
        assert error.startswith("error: ")
        assert "Traceback" not in error
        assert not (tmp_path / "runs").exists(), "a failed start leaves no run directory"
        return caught.value.code, error

    return fail


Failure = Callable[..., tuple[int, str]]


def tiny(path: str, value: Any) -> dict[str, Any]:
    """The tiny config with one field set by its dotted path."""
    config = copy.deepcopy(TINY)
    *parents, last = path.split(".")
    section: Any = config
    for key in parents:
        section = section.setdefault(key, {})
    section[last] = value
    return config


CONFIGS: list[tuple[str, str]] = [
    ("data: {dataset: shapes}\nmodel: {hiden_layers: [4]}", "did you mean hidden_layers"),
    ("data: {dataset: shapes}\nmodel: {hidden_layers: four}", "model.hidden_layers"),
    ("data: {dataset: shapes}\ndata: {dataset: shapes}\nmodel: {hidden_layers: [4]}", "this key is given twice"),
    ("data: {dataset: shapes}\nmodel:\n\thidden_layers: [4]", "a tab; YAML takes spaces"),
    ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "anchors and aliases"),
    ("data: {dataset: shapes}\nmodel: {hidden_layers: [4]}\nseed: no", "seed"),
    ("data: !!python/object/apply:os.system ['true']\nmodel: {hidden_layers: [4]}", "the tag"),
    ("[" * 10_000, "nested more than"),
    ("", "is empty"),
    ("just text", "is not a config"),
    ("data: {dataset: shape}\nmodel: {hidden_layers: [4]}", "did you mean shapes"),
    ("x: " + "9" * 10_000, "x"),
    ("name: ../../etc\ndata: {dataset: shapes}\nmodel: {hidden_layers: [4]}", "must be usable as a folder name"),
    ('name: "a\\u001b[31m"\ndata: {dataset: shapes}\nmodel: {hidden_layers: [4]}', "must be usable as a folder name"),
]


@pytest.mark.parametrize(("text", "message"), CONFIGS, ids=[message for _, message in CONFIGS])
def test_a_config_that_is_none_exits_with_2(text: str, message: str, failure: Failure) -> None:
    code, error = failure(text)
    assert code == 2
    assert message in error
    assert "my.yaml" in error


def test_a_hundred_megabytes_of_yaml_are_refused_unread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "big.yaml").open("wb") as file:
        file.seek(100 << 20)
        file.write(b"x")
    with pytest.raises(SystemExit) as caught:
        main(["train", str(tmp_path / "big.yaml")])
    assert caught.value.code == 2
    assert (
        capsys.readouterr().err
        == f"error: {tmp_path}/big.yaml  is larger than {MAXIMUM_BYTES // 1024} KB; is it a config?\n"
    )


FIELDS: list[tuple[str, Any, str]] = [
    ("optimizer.learning_rate", 0, "optimizer.learning_rate"),
    ("optimizer.learning_rate", -1, "optimizer.learning_rate"),
    ("optimizer.learning_rate", ".inf", "optimizer.learning_rate"),
    ("optimizer.learning_rate", ".nan", "optimizer.learning_rate"),
    ("training.batch_size", 0, "training.batch_size"),
    ("training.batch_size", -3, "training.batch_size"),
    ("training.batch_size", 1000, "larger than the training split, which has 36 examples"),
    ("training.epochs", -1, "training.epochs"),
    ("model.hidden_layers", [0], "model.hidden_layers.0"),
    ("model.hidden_layers", [-4], "model.hidden_layers.0"),
    ("data.limit", 0, "data.limit"),
    ("data.validation", 1.0, "data.validation"),
    ("data.validation", -0.1, "data.validation"),
    ("seed", -1, "seed"),
    ("loss", {"name": "cross_entropy", "class_weights": [1.0, 2.0]}, "class_weights: has 2 numbers"),
]


@pytest.mark.parametrize(("path", "value", "message"), FIELDS, ids=[f"{path}={value}" for path, value, _ in FIELDS])
def test_a_value_that_makes_no_sense_exits_with_2_and_names_the_field(
    path: str, value: Any, message: str, failure: Failure
) -> None:
    config = tiny(path, value)
    config.setdefault("optimizer", {}).setdefault("name", "adam")
    code, error = failure(yaml.safe_dump(config).replace("'.inf'", ".inf").replace("'.nan'", ".nan"))
    assert code == 2, error
    assert message in error


SHAPES: list[tuple[list[Any], str]] = [
    ([{"dense": 4}, "dense"], "model.layers.0: dense"),
    (["flatten", {"dense": 4}], "ends with an output of shape (4,), the data needs (10,)"),
    (["flatten", {"conv": {"channels": 4, "kernel": 3}}, "dense"], "model.layers.1: conv"),
    ([{"conv": {"channels": 4, "kernel": 99, "padding": 0}}, "flatten", "dense"], "model.layers.0: a kernel of 99"),
]


@pytest.mark.parametrize(("layers", "message"), SHAPES, ids=[message for _, message in SHAPES])
def test_layers_that_do_not_fit_exit_with_2_and_name_the_layer(
    layers: list[Any], message: str, failure: Failure
) -> None:
    code, error = failure({**TINY, "model": {"layers": layers}})
    assert code == 2, error
    assert message in error


DATA = "data: {dataset: {name: shapes, train: 40, test: 20}}\n"
NESTED = f"""\
{DATA}model:
  layers:
    - conv: {{channels: 4, kernel: 3}}
    - residual:
        layers: [relu, {{conv: {{channels: 3}}}}]
        shortcut:
          - max_pool: 99
    - flatten
    - dense
"""


@pytest.mark.parametrize(
    ("text", "arguments", "place"),
    [
        (NESTED, [], "my.yaml:8:13  model.layers.1.shortcut.0: a window of 99 does not fit into 32 x 32 pixels"),
        (NESTED.replace("99", "1"), [], "my.yaml:5:7  model.layers.1: the residual layers turn (32, 32, 4) into"),
        (NESTED, ["model.layers.1={max_pool: 40}"], "model.layers.1: a window of 40 does not fit"),
        (NESTED, ["model.layers.0.groups=5"], "\n    model.layers.0.groups=5\n"),
        (
            NESTED.replace("    - dense", "").replace("99", "1").replace("3}}", "4}}"),
            [],
            "my.yaml:9:7  model.layers.2: ",
        ),
        (NESTED.replace("3}", "3, weight_init: whitening}").replace("4,", "56,"), [], "my.yaml:4:7  model.layers.0: "),
        (f"{DATA}model: {{hidden_layers: []}}\ntraining:\n  batch_size: 9999999\n", [], "my.yaml:4:15"),
    ],
    ids=["inside", "residual", "override", "field", "the end", "initializer", "batch"],
)
def test_what_does_not_fit_the_data_is_found_by_its_line_and_column(
    text: str, arguments: list[str], place: str, failure: Failure
) -> None:
    code, error = failure(text, *arguments)
    assert code == 2
    assert place in error
    assert len([line for line in error.splitlines() if line.strip() == "^"]) == 1


def test_a_network_larger_than_any_memory_is_one_line(failure: Failure) -> None:
    for units in (2**40, 2**62):
        code, error = failure(tiny("model.hidden_layers", [units, units]))
        assert code in (1, 2)
        assert "memory" in error or "large" in error
        assert len(error.splitlines()) <= 3


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_split_that_leaves_nothing_exits_with_4(share: float, failure: Failure) -> None:
    code, error = failure(tiny("data.validation", share))
    assert (code, "split empty" in error) == (4, True)


def cifar_binary(data: Path, **changed: bytes) -> None:
    """Six batches of two records; `changed` are the contents of some, by name."""
    folder = data / BINARY_FOLDER
    folder.mkdir(parents=True)
    for name in BATCHES:
        (folder / f"{name}.bin").write_bytes(changed.get(name, bytes(2 * RECORD)))


def cifar_pickle(data: Path, **changed: bytes) -> None:
    folder = data / PICKLE_FOLDER
    folder.mkdir(parents=True)
    good = pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}, 3)
    for name in BATCHES:
        (folder / name).write_bytes(changed.get(name, good))


def idx(data: Path, images: bytes | None = None, labels: bytes | None = None) -> None:
    folder = data / IDX_FOLDER
    folder.mkdir(parents=True)
    good_images, good_labels = (idx_bytes(np.zeros(shape, np.uint8)) for shape in ((2, 28, 28), (2,)))
    for name in IDX_FILES:
        if "images" in name:
            contents = good_images if images is None else images
        else:
            contents = good_labels if labels is None else labels
        (folder / f"{name}.gz").write_bytes(gzip.compress(contents))


def fashion_csv(data: Path, row: str) -> None:
    folder = data / CSV_FOLDER
    folder.mkdir(parents=True)
    header = ",".join(["label", *(f"pixel{index}" for index in range(1, 785))])
    good = ",".join(["0"] * 785)
    for name in CSV_FILES:
        (folder / name).write_text(f"{header}\n{good}\n{row}\n")


NEVER_MADE = Path(tempfile.gettempdir()) / f"never made {os.getpid()}"


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (NEVER_MADE,))


PUBLIC: list[tuple[str, str, Callable[[Path], None], str]] = [
    ("cifar10", "missing", lambda data: data.mkdir(), "cannot download cifar-10"),
    ("cifar10", "cut short", lambda data: cifar_binary(data, data_batch_3=bytes(RECORD)), "data_batch_3.bin"),
    ("cifar10", "too long", lambda data: cifar_binary(data, test_batch=bytes(3 * RECORD)), "test_batch.bin"),
    ("cifar10", "label out of range", lambda data: cifar_binary(data, data_batch_1=b"\x0b" * 2 * RECORD), "11"),
    ("cifar10", "hostile pickle", lambda data: cifar_pickle(data, data_batch_2=pickle.dumps(Evil())), "pathlib"),
    ("cifar10", "cut pickle", lambda data: cifar_pickle(data, data_batch_2=b"\x80\x02}q"), "data_batch_2"),
    ("mnist", "missing", lambda data: data.mkdir(), "cannot download train-images"),
    ("fashion_mnist", "missing", lambda data: data.mkdir(), "cannot download train-images"),
    ("fashion_mnist", "wrong magic number", lambda data: idx(data, images=b"\0\0\x08\x07" + bytes(100)), "magic"),
    (
        "fashion_mnist",
        "cut short",
        lambda data: idx(data, images=idx_bytes(np.zeros((2, 28, 28), np.uint8))[:-1]),
        "images",
    ),
    ("fashion_mnist", "label out of range", lambda data: idx(data, labels=idx_bytes(np.full(2, 10, np.uint8))), "10"),
    ("fashion_mnist", "a gap", lambda data: fashion_csv(data, ",".join([*["0"] * 784, ""])), ".csv:3"),
    ("fashion_mnist", "text", lambda data: fashion_csv(data, ",".join([*["0"] * 784, "x"])), "'x'"),
    ("fashion_mnist", "a ragged row", lambda data: fashion_csv(data, "1,2,3"), "3 columns"),
]


@pytest.mark.parametrize(
    ("dataset", "make", "message"),
    [(dataset, make, message) for dataset, _, make, message in PUBLIC],
    ids=[f"{dataset}: {what}" for dataset, what, _, _ in PUBLIC],
)
def test_a_bad_file_of_a_public_dataset_exits_with_4(
    dataset: str,
    make: Callable[[Path], None],
    message: str,
    tmp_path: Path,
    failure: Failure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CIFAR10, "examples_per_batch", 2)
    monkeypatch.setattr(FashionMNIST, "counts", (2, 2))
    # No network: what is missing must not be waited for.
    for source in (CIFAR10, FashionMNIST, MNIST):
        nowhere = tuple(
            type(file)(file.name, ("http://127.0.0.1:9/",), file.size, file.sha256) for file in source.downloads
        )
        monkeypatch.setattr(source, "downloads", nowhere)
    monkeypatch.setattr("nnscratch.datasets.download.time.sleep", lambda _: None, raising=False)
    make(tmp_path / "data")
    code, error = failure({**TINY, "data": {"dataset": dataset}})
    assert code == 4, error
    assert message in error


def png(size: int = 4) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (size, size)).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(folder: Path, **contents: bytes) -> Path:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for index in range(10):
            (folder / name / f"{index}.png").write_bytes(contents.get(name, png()) if index == 3 else png())
    return folder


def text_file(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def arrays(folder: Path, **named: Any) -> Path:
    np.savez(folder / "a.npz", **named)
    return folder / "a.npz"


OWN: list[tuple[str, Any, Callable[[Path], Path], str]] = [
    ("no such file", "csv", lambda folder: folder / "none.csv", "does not exist"),
    ("a name too long", "csv", lambda folder: folder / ("x" * 5000), "too long"),
    ("empty CSV", "csv", lambda folder: text_file(folder, ""), "the file is empty"),
    ("only a header", "csv", lambda folder: text_file(folder, "a,b,label\n"), "no rows"),
    ("infinity in CSV", "csv", lambda folder: text_file(folder, "a,label\n1,x\ninf,y\n"), "table.csv:3"),
    ("gaps alone in CSV", "csv", lambda folder: text_file(folder, "a,label\n?,x\n,y\n"), "every cell is a gap"),
    ("a ragged row", "csv", lambda folder: text_file(folder, "a,label\n1,x\n1,2,y\n"), "table.csv:3: 3 columns"),
    ("a million columns", "csv", lambda folder: text_file(folder, "1," * 999_999 + "1\n"), "at most 100,000"),
    ("bytes in CSV", "csv", lambda folder: text_file(folder, b"a,label\n\x00\xfe,x\n"), "zero bytes"),
    ("no table in CSV", "csv", lambda folder: folder, "train.csv"),
    ("a cut NPZ", "npz", lambda folder: text_file(folder, b"PK\x03\x04nothing", "a.npz"), "a.npz: unreadable"),
    (
        "pickles in an NPZ",
        "npz",
        lambda folder: arrays(folder, x=np.array([Evil()] * 9, object), y=np.arange(9)),
        "pickled Python objects",
    ),
    ("NPZ without targets", "npz", lambda folder: arrays(folder, x=np.zeros((9, 2))), "targets"),
    ("NPZ with NaN", "npz", lambda folder: arrays(folder, x=np.full((20, 2), np.nan), y=np.arange(20) % 2), "NaN"),
    ("NPZ of two lengths", "npz", lambda folder: arrays(folder, x=np.zeros((20, 2)), y=np.arange(19) % 2), "19"),
    ("not a picture", "image_folder", lambda folder: pictures(folder / "p", cat=b"no picture"), "3.png"),
    ("a cut picture", "image_folder", lambda folder: pictures(folder / "p", dog=png()[:-30]), "3.png"),
    ("no pictures", "image_folder", lambda folder: folder, "folder"),
    ("a file for a folder", "image_folder", lambda folder: text_file(folder, "x"), "is a file"),
]


@pytest.mark.parametrize(
    ("source", "make", "message"),
    [(source, make, message) for _, source, make, message in OWN],
    ids=[what for what, _, _, _ in OWN],
)
def test_a_bad_file_of_ones_own_exits_with_4(
    source: str, make: Callable[[Path], Path], message: str, tmp_path: Path, failure: Failure
) -> None:
    path = make(tmp_path)
    config = {**TINY, "data": {"dataset": source, "path": str(path)}}
    code, error = failure(config)
    assert code == 4, error
    assert message in error
    assert not NEVER_MADE.exists()


def test_class_names_reach_terminal_log_and_report_as_harmless_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(
        f"{index % 7},{index % 5},{name}\n" for index, name in enumerate(["<script>x</script>", "\x1b[31mred"] * 30)
    )
    file = text_file(tmp_path, f"a\x1b[2J,b,label\n{rows}")
    config = {**TINY, "name": "names", "data": {"dataset": "csv", "path": str(file)}}
    (tmp_path / "my.yaml").write_text(json.dumps(config))
    main(["train", str(tmp_path / "my.yaml"), "--runs-dir", str(tmp_path / "runs"), "--threads", "1"])
    captured = capsys.readouterr()
    run = tmp_path / "runs" / "names"
    assert "\x1b" not in captured.out + captured.err
    assert "\x1b" not in (run / "logs" / "train.log").read_text()
    report = run / "report.html"
    if report.exists():
        assert "<script" not in report.read_text()
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and run not in path.parents]
    assert sorted(path.name for path in outside) == ["my.yaml", "table.csv"]
    meta = json.loads((run / "meta.json").read_text())
    meta["dataset"]["name"], meta["status"], meta["error"] = "\x1b[1mname", "diverged", "\x1b[5mblinks"
    (run / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "\x1b[1m.csv").write_text("a\x1b[2J,b\n1,2\n")
    for words in (
        ["preflight", str(tmp_path / "my.yaml"), "--no-plots"],
        ["diagnose", str(run)],
        ["evaluate", str(run), "--split", "train", "--no-plots"],
        ["runs", "list", "--runs-dir", str(tmp_path / "runs")],
        ["predict", str(run), str(tmp_path / "\x1b[1m.csv")],
        ["predict", str(run), str(tmp_path / "\x1b[1m.csv"), "--csv"],
    ):
        with suppress(SystemExit):
            main(words)
        captured = capsys.readouterr()
        assert captured.out
        assert "\x1b" not in captured.out + captured.err
