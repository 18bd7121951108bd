"""Checkpoint files: what was saved comes back, and whatever else a file may be is refused."""

from __future__ import annotations

import io
import json
import math
import pickle
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnscratch.config.config import config_from_mapping
from nnscratch.errors import DivergenceError, UserError
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers import Dense
from nnscratch.nn.losses import MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.parameters import Parameters
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.runs.checkpoint import DIGEST_LENGTH, FORMAT, Checkpoint, load_checkpoint
from nnscratch.runs.header import Header
from nnscratch.runs.loaded import load_run
from nnscratch.runs.training_state import Best, last_checkpoint
from nnscratch.training.optimizers import Adam
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import affine
from nnscratch.training.trainer import Trainer

SAVED = Checkpoint(
    {"kind": "last", "note": "ä", "third": 1 / 3},
    {
        "parameters/0.dense.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scaling/offset": np.array(0.5, np.float32),
    },
)


def signed(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP file with these members and the digest that a checkpoint must have: what anybody could make."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = b"0" * DIGEST_LENGTH
    return resigned(buffer.getvalue())


def resigned(contents: bytes) -> bytes:
    body = contents[:-DIGEST_LENGTH]
    return body + sha256(body).hexdigest().encode()


def npy(array: Any, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=allow_pickle)
    return buffer.getvalue()


def header(**values: Any) -> bytes:
    return npy(np.frombuffer(json.dumps({"format": FORMAT, **values}).encode(), np.uint8))


def test_what_was_saved_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(SAVED.encode())
    loaded = load_checkpoint(tmp_path / "a.npz")
    assert loaded.header == {**SAVED.header, "format": FORMAT}
    assert loaded.arrays.keys() == SAVED.arrays.keys()
    for name, array in loaded.arrays.items():
        assert array.tobytes() == np.asarray(SAVED.arrays[name]).tobytes()
        assert array.shape == np.shape(SAVED.arrays[name])


def test_a_checkpoint_is_an_npz_file_that_numpy_reads_without_pickle(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(SAVED.encode())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert archive["parameters/0.dense.weight"].sum() == 15


def test_equal_checkpoints_are_equal_files() -> None:
    assert SAVED.encode() == Checkpoint(dict(SAVED.header), dict(SAVED.arrays)).encode()


def test_every_flipped_byte_is_reported(tmp_path: Path) -> None:
    contents = SAVED.encode()
    file = tmp_path / "a.npz"
    for index in range(len(contents)):
        file.write_bytes(contents[:index] + bytes([contents[index] ^ 1]) + contents[index + 1 :])
        with pytest.raises(UserError, match="damaged or not a checkpoint: its checksum does not fit"):
            load_checkpoint(file)


def test_every_cut_is_reported(tmp_path: Path) -> None:
    contents = SAVED.encode()
    for length in range(len(contents)):
        (tmp_path / "a.npz").write_bytes(contents[:length])
        with pytest.raises(UserError, match="damaged or not a checkpoint"):
            load_checkpoint(tmp_path / "a.npz")


class Evil:
    """A pickle of it writes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.file,))


def test_pickled_objects_are_refused_and_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "run by the pickle"
    evil = np.array([Evil(victim)], dtype=object)
    file = tmp_path / "evil.npz"
    file.write_bytes(signed({"header.npy": header(), "x.npy": npy(evil, allow_pickle=True)}))
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        load_checkpoint(file)
    file.write_bytes(resigned(pickle.dumps(Evil(victim)) + b"0" * DIGEST_LENGTH))
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        load_checkpoint(file)
    assert not victim.exists()


def shape_of(shape: str, content: bytes = b"") -> bytes:
    """An array file that claims that shape."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


HOSTILE = {
    "compressed": (signed({"header.npy": header()}, zipfile.ZIP_DEFLATED), "compressed data"),
    "no header": (signed({"x.npy": npy(np.zeros(2, np.float32))}), "header"),
    "header is a list": (signed({"header.npy": npy(np.frombuffer(b"[1]", np.uint8))}), "not a mapping"),
    "header is deep": (signed({"header.npy": npy(np.frombuffer(b"[" * 100_000, np.uint8))}), "recursion"),
    "header is no JSON": (signed({"header.npy": npy(np.frombuffer(b"{", np.uint8))}), ""),
    "no array file": (signed({"header.npy": header(), "x.npy": b"not an array"}), ""),
    "terabytes": (signed({"header.npy": header(), "x.npy": shape_of("(1 << 40,)")}), ""),
    "petabytes": (signed({"header.npy": header(), "x.npy": shape_of(f"({1 << 50},)")}), ""),
    "negative shape": (signed({"header.npy": header(), "x.npy": shape_of("(-1,)", b"0000")}), ""),
    "other numbers": (signed({"header.npy": header(), "x.npy": npy(np.zeros(2))}), "x holds float64, not float32"),
    "text": (signed({"header.npy": header(), "x.npy": npy(np.array(["a"]))}), "x holds <U1, not float32"),
    "nan": (signed({"header.npy": header(), "x.npy": npy(np.float32("nan"))}), "x holds numbers that are not finite"),
    "not a ZIP file": (resigned(b"plain text" + b"0" * DIGEST_LENGTH), ""),
    "empty": (b"", "checksum"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_with_a_right_checksum_is_refused(name: str, tmp_path: Path) -> None:
    contents, reason = HOSTILE[name]
    (tmp_path / "a.npz").write_bytes(contents)
    with pytest.raises(UserError, match=rf"damaged or not a checkpoint: .*{reason}"):
        load_checkpoint(tmp_path / "a.npz")


def test_every_flipped_bit_of_an_arrays_header_is_a_checkpoint_or_a_user_error(tmp_path: Path) -> None:
    contents = npy(np.zeros(7, np.float32))
    for bit in range(8 * 128):
        spoiled = bytearray(contents)
        spoiled[bit // 8] ^= 1 << bit % 8
        (tmp_path / "a.npz").write_bytes(signed({"header.npy": header(), "x.npy": bytes(spoiled)}))
        with suppress(UserError):
            load_checkpoint(tmp_path / "a.npz")


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    # Ten directory entries for one member: a small file that would expand tenfold.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("header.npy", header())
        archive.writestr("x.npy", npy(np.zeros(1000, np.float32)))
        for index in range(10):
            copy = zipfile.ZipInfo(f"x{index}.npy")
            for field in ("CRC", "compress_size", "file_size", "header_offset"):
                setattr(copy, field, getattr(archive.getinfo("x.npy"), field))
            archive.filelist.append(copy)
        archive.comment = b"0" * DIGEST_LENGTH
    (tmp_path / "a.npz").write_bytes(resigned(buffer.getvalue()))
    with pytest.raises(UserError, match="its members overlap"):
        load_checkpoint(tmp_path / "a.npz")


@given(st.binary(max_size=200), st.integers(0, 10_000))
@settings(max_examples=200, deadline=None)
def test_noise_with_a_right_checksum_is_a_checkpoint_or_a_user_error(noise: bytes, place: int) -> None:
    contents = SAVED.encode()[:-DIGEST_LENGTH]
    place %= len(contents)
    spoiled = contents[:place] + noise + contents[place + len(noise) :]
    file = io.BytesIO(resigned(spoiled + b"0" * DIGEST_LENGTH))

    class Memory:
        """A path, as far as loading needs one."""

        parent = Path("/nonexistent")

        def is_fifo(self) -> bool:
            return False

        def read_bytes(self) -> bytes:
            return file.getvalue()

    try:
        load_checkpoint(Memory())  # type: ignore[arg-type]  # no path, but read as one
    except UserError as error:
        assert "damaged" in str(error) or "format" in str(error)  # noqa: PT017  (any other error fails the test)


def test_another_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(signed({"header.npy": header(format=99)}))
    with pytest.raises(UserError, match=f"checkpoint format 99; this version reads format {FORMAT}"):
        load_checkpoint(tmp_path / "a.npz")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "none.npz")
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        load_checkpoint(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A small finished run that keeps its last two checkpoints."""
    config = config_from_mapping(
        {
            "name": "run",
            "data": {"dataset": {"name": "shapes", "train": 60, "test": 20}},
            "model": {"hidden_layers": [4]},
            "training": {"epochs": 2, "batch_size": 30, "averaging": "ema", "checkpoint_every": 1, "keep_last": 2},
        }
    )
    return train(config, Workplace(tmp_path, tmp_path / "runs", 1, plots=False), Display(quiet=True)).run


def spoil(run: Path, header: Mapping[str, Any] | None = None, arrays: Mapping[str, Array | None] | None = None) -> None:
    """Rewrites last.npz with other values; None takes an array away."""
    file = run / "checkpoints" / "last.npz"
    saved = load_checkpoint(file)
    changed = {**saved.arrays, **(arrays or {})}
    kept = {name: array for name, array in changed.items() if array is not None}
    file.write_bytes(Checkpoint({**saved.header, **(header or {})}, kept).encode())


def resume_error(run: Path, tmp_path: Path) -> str:
    with pytest.raises(UserError) as caught:
        resume(run, 3, Workplace(tmp_path, tmp_path / "runs", 1, plots=False), Display(quiet=True))
    return str(caught.value)


SPOILED: list[tuple[dict[str, Any], dict[str, Array | None], str]] = [
    ({}, {"parameters/1.dense.weight": np.zeros((2, 2), np.float32)}, "1.dense.weight has shape (2, 2)"),
    ({}, {"parameters/1.dense.weight": None}, "missing 1.dense.weight"),
    ({}, {"trained/9.dense.weight": np.zeros(1, np.float32)}, "unknown 9.dense.weight"),
    ({}, {"optimizer/mean/3.dense.bias": None}, "missing 3.dense.bias"),
    ({}, {"best/1.dense.bias": np.zeros(9, np.float32)}, "1.dense.bias has shape (9,)"),
    ({}, {"best_state": np.zeros(3, np.float32)}, "best_state has shape (3,)"),
    ({}, {"scaling/offset": None}, "it lacks scaling/offset"),
    ({}, {"scaling/multiplier": np.zeros((7, 7, 7, 7), np.float32)}, "scaling/multiplier has shape (7, 7, 7, 7)"),
    ({"progress": None}, {}, "the progress must have the fields"),
    ({"progress": {"epoch": 1}}, {}, "the progress must have the fields"),
    ({"best_epoch": "first"}, {}, "in its header, best_epoch is 'first'"),
    ({"best_epoch": 99}, {}, "its counters contradict each other"),
    ({"optimizer_steps": None}, {}, "its counters contradict each other"),
    ({"config": None}, {}, "in its header, config is None"),
    ({"classes": ["a", "b"]}, {}, "in its header, there are 2 classes for 10 outputs"),
    ({"kind": "other"}, {}, "in its header, kind is 'other'"),
    ({"config": "name: [1"}, {}, "config"),
    ({"dataset": 3}, {}, "trained on other data"),
    ({"kind": "best"}, {}, "holds weights alone"),
]


@pytest.mark.parametrize(("header", "arrays", "reason"), SPOILED, ids=[reason for _, _, reason in SPOILED])
def test_a_checkpoint_that_does_not_fit_its_run_is_refused_by_name(
    header: dict[str, Any], arrays: dict[str, Array | None], reason: str, run: Path, tmp_path: Path
) -> None:
    spoil(run, header, arrays)
    before = (run / "metrics.jsonl").read_bytes()
    assert reason in resume_error(run, tmp_path)
    assert (run / "metrics.jsonl").read_bytes() == before, "a refused resume changes nothing"


@pytest.mark.parametrize(
    "change",
    [{"epoch": "1"}, {"epoch": -1}, {"step": 1.5}, {"seen": True}, {"history": []}, {"history": [1, 2]}, {"extra": 1}],
    ids=str,
)
def test_wrong_counters_are_refused(change: dict[str, Any], run: Path, tmp_path: Path) -> None:
    progress = load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]
    spoil(run, {"progress": {**progress, **change}})
    assert "the progress" in resume_error(run, tmp_path)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400])
def test_a_history_that_is_not_finite_is_refused(value: float, run: Path, tmp_path: Path) -> None:
    progress = load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]
    history = [{**row, "val_loss": value} for row in progress["history"]]
    spoil(run, {"progress": {**progress, "history": history}})
    assert "a row that is not finite numbers" in resume_error(run, tmp_path)


@pytest.mark.parametrize("name", ["train_loss", "train_seconds"])
def test_a_history_that_lacks_what_is_counted_on_is_refused(name: str, run: Path, tmp_path: Path) -> None:
    progress = load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]
    history = [{key: value for key, value in row.items() if key != name} for row in progress["history"]]
    spoil(run, {"progress": {**progress, "history": history}})
    assert f"a row without {name}" in resume_error(run, tmp_path)


def test_a_damaged_last_checkpoint_names_the_one_to_continue_from(run: Path, tmp_path: Path) -> None:
    last = run / "checkpoints" / "last.npz"
    last.unlink()
    last.write_bytes(b"nothing of use")
    message = resume_error(run, tmp_path)
    assert f"nnscratch train --resume {run}/checkpoints/step-000000004.npz" in message


def test_weights_that_are_not_finite_are_never_saved() -> None:
    network = Network([Dense(1)], (2,))
    network.initialize(RandomStreams(0))
    recipe = Recipe(MeanSquaredError(), Adam(), epochs=1, batch_size=1)
    trainer = Trainer(network, recipe, affine(1, 0), RandomStreams(0))
    header = Header(
        kind="last", best_epoch=0, config="", input_shape=(2,), outputs=1, classes=None, target_names=None,
        feature_names=None, images=False,
    )  # fmt: skip
    last_checkpoint(trainer, Best(), header)
    recipe.optimizer.state["mean_square"][1] = np.inf
    with pytest.raises(DivergenceError, match="the optimizer's mean_square"):
        last_checkpoint(trainer, Best(), header)
    network.parameters.named()["0.dense.weight"][0] = np.nan
    with pytest.raises(DivergenceError, match=r"the weights 0\.dense\.weight"):
        last_checkpoint(trainer, Best(), header)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"classes": ["a", "b"]}, "2 classes for 10 outputs"),
        ({"feature_names": ["a"]}, "1 names for 3072 inputs"),
        ({"target_names": ["a"]}, "1 names for 10 targets"),
        ({"best_epoch": None}, "best_epoch is None"),
        ({"input_shape": [0, 1]}, "no network takes"),
        ({"outputs": 10**30}, "classes for"),
        (
            {"input_shape": [3072], "network": {"layers": [], "includes_softmax": True, "views": "flip"}},
            r"views are of pictures, not of inputs of shape \(3072,\)",
        ),
        ({"classes": ["a" * 10**6, *"bcdefghij"]}, "a name of 1,000,000 letters: 'aaaaaaaaaaaaaaaaaaaa'"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused_by_what_is_wrong(
    changed: dict[str, Any], reason: str, run: Path, tmp_path: Path
) -> None:
    spoil(run, changed)
    with pytest.raises(UserError, match=f"in its header, .*{reason}"):
        load_run(run, "last")
    assert re.search(reason, resume_error(run, tmp_path))


def test_counters_that_no_training_reaches_are_refused(run: Path, tmp_path: Path) -> None:
    progress = load_checkpoint(run / "checkpoints" / "last.npz").header["progress"]
    spoil(run, {"progress": {**progress, "updates": 10**30}})
    assert "the progress has updates 1000000000" in resume_error(run, tmp_path)


@pytest.mark.parametrize("is_kept", [True, False], ids=["record", "config alone"])
def test_a_network_far_larger_than_the_weights_is_refused_before_there_is_memory_for_it(
    is_kept: bool, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = load_checkpoint(run / "checkpoints" / "last.npz").header
    config, network = header["config"], header["network"]
    large = config.replace("hidden_layers: [4]", "hidden_layers: [24000, 24000]")
    assert large != config
    layers = [*network["layers"][:1], {"name": "dense", "units": 24000}, {"name": "dense", "units": 10}]
    spoil(run, {"config": large, "network": {**network, "layers": layers} if is_kept else None})
    (run / "config.yaml").write_text(large)
    monkeypatch.setattr(Parameters, "allocate", None)
    with pytest.raises(UserError, match="these weights are not of this network"):
        load_run(run, "last")
    assert "these weights are not of this network" in resume_error(run, tmp_path)
