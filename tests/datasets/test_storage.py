from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nnscratch.datasets.dataset import Array
from nnscratch.datasets.memory import available_memory
from nnscratch.datasets.sources.image_folder import ImageFolder
from nnscratch.datasets.sources.npz import NPZ
from nnscratch.datasets.storage import Storage, cached_rows
from nnscratch.errors import DataError

X = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
Y = np.arange(50) % 5


def filling(out: Array) -> Mapping[str, Any]:
    out[:] = np.arange(out.size).reshape(out.shape)
    return {"rows": len(out), "seen": ["a"]}


def never(out: Array) -> Mapping[str, Any]:
    raise AssertionError("read again")


def storage(folder: Path, in_memory: bool | None = False, keep: bool = True) -> Storage:
    return Storage(in_memory, folder, keep, lambda text: None)


def test_rows_are_written_once_and_mapped_afterwards(tmp_path: Path) -> None:
    made, found = storage(tmp_path).rows((5, 3), np.float32, "key", filling)
    again, same = storage(tmp_path).rows((5, 3), np.float32, "key", never)
    assert np.array_equal(made, np.arange(15).reshape(5, 3))
    assert np.array_equal(again, made)
    assert found == same == {"rows": 5, "seen": ["a"]}
    assert not again.flags.writeable
    with pytest.raises(AssertionError, match="read again"):
        storage(tmp_path).rows((5, 3), np.float32, "another key", never)
    assert not [file for file in tmp_path.iterdir() if file.name.endswith(".part")]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells what is mapped")
def test_a_cache_is_mapped_by_nobody_while_it_is_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, moved = os.replace, list[Path]()

    def replace_unmapped(source: Path, target: Path) -> None:
        assert str(source) not in Path("/proc/self/maps").read_text()
        moved.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_unmapped)
    made, _ = storage(tmp_path).rows((5, 3), np.float32, "key", filling)
    assert np.array_equal(made, np.arange(15).reshape(5, 3))
    assert [each.suffix for each in moved] == [".rows", ".json"]


def test_a_cache_goes_when_its_source_has_gone_and_the_next_is_written(tmp_path: Path) -> None:
    said: list[str] = []
    kept = []
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
        own = Storage(False, tmp_path / "cache", True, said.append, tmp_path / name)
        kept.append(own.rows((5, 3), np.float32, name, filling)[0])
        if name == "b":
            (tmp_path / "a").unlink()
    own.rows((5, 3), np.float32, "c", never)
    assert cached_rows(tmp_path / "cache") == (2, 2 * 60)
    assert [text for text in said if "removed" in text] == [
        f"0.0 MB of decoded rows are removed, as {tmp_path}/a is gone"
    ]
    assert kept[0].sum() == 105, "who has it mapped keeps it"
    assert len(list((tmp_path / "cache").iterdir())) == 6


def test_a_cache_that_is_cut_short_or_damaged_is_made_again(tmp_path: Path) -> None:
    for suffix, contents in ((".rows", b"cut"), (".json", b"{"), (".json", b'{"rows": 5}'), (".json", b"[" * 99_999)):
        storage(tmp_path).rows((5, 3), np.float32, "key", filling)
        next(tmp_path.glob(f"*{suffix}")).write_bytes(contents)
        rows, _ = storage(tmp_path).rows((5, 3), np.float32, "key", filling)
        assert rows.sum() == 105


def test_nothing_is_written_or_read_through_a_link_or_a_pipe_in_the_place_of_a_cache(tmp_path: Path) -> None:
    victim, cache = tmp_path / "victim", tmp_path / "cache"
    victim.write_text("mine")
    storage(cache).rows((5, 3), np.float32, "key", filling)
    (name,) = (file.stem for file in cache.glob("*.rows"))
    for suffix, put in ((".json", os.mkfifo), (".rows", os.mkfifo), (".json", lambda file: file.symlink_to(victim))):
        file = cache / f"{name}{suffix}"
        file.unlink()
        put(file)
        assert storage(cache).rows((5, 3), np.float32, "key", filling)[0].sum() == 105
    for file in cache.iterdir():
        file.unlink()
    (cache / f"{name}.writing").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        storage(cache).rows((5, 3), np.float32, "key", filling)
    assert victim.read_text() == "mine"


def test_without_keeping_nothing_stays_on_the_disk(tmp_path: Path) -> None:
    rows, _ = storage(tmp_path / "cache", keep=False).rows((5, 3), np.float32, "key", filling)
    assert rows.sum() == 105
    assert not (tmp_path / "cache").exists()


def test_a_disk_without_room_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no room for"):
        storage(tmp_path).rows((1 << 50, 1 << 10), np.uint8, "key", never)
    assert not list(tmp_path.glob("*.part"))


def _make(folder: Path, calls: Any) -> None:
    def slow(out: Array) -> Mapping[str, Any]:
        with calls.get_lock():
            calls.value += 1
        time.sleep(0.3)
        return filling(out)

    rows, _ = storage(folder).rows((5, 3), np.float32, "key", slow)
    assert rows.sum() == 105


@pytest.mark.skipif(sys.platform == "win32", reason="needs fcntl")
def test_two_processes_make_one_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    calls = context.Value("i", 0)
    workers = [context.Process(target=_make, args=(tmp_path, calls)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert calls.value == 1


def test_pictures_and_arrays_are_the_same_mapped_as_in_memory(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for index, (pixels, label) in enumerate(zip(X, Y, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / str(label) / f"{index}.png")
    (folder / "0" / "30.png").write_bytes(b"damaged")
    np.savez(
        tmp_path / "x.npz", x=X.transpose(0, 3, 1, 2) / 255, y=Y, x_val=X[:7].transpose(0, 3, 1, 2) / 255, y_val=Y[:7]
    )
    for source, path in ((ImageFolder(size=4, unreadable="skip"), folder), (NPZ(), tmp_path / "x.npz")):
        loaded = [
            source.load(tmp_path, path, lambda text: None, in_memory=in_memory) for in_memory in (True, False, False)
        ]
        assert len({dataset.digest() for dataset in loaded}) == 1
        assert [dataset.notes for dataset in loaded[1:]] == [loaded[0].notes] * 2
        assert loaded[2].description == loaded[0].description
    assert len(list((tmp_path / "cache").glob("*.rows"))) == 2


def test_a_picture_that_has_changed_is_decoded_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(X[0]).save(tmp_path / name / "1.png")
    source = ImageFolder(size=4, test=0)
    first = source.load(tmp_path / "data", tmp_path, lambda text: None, in_memory=False)
    assert np.array_equal(first.train_inputs[1], X[0])
    Image.fromarray(X[1]).save(tmp_path / "b" / "1.png")
    os.utime(tmp_path / "b" / "1.png", ns=(1, 1))
    second = source.load(tmp_path / "data", tmp_path, lambda text: None, in_memory=False)
    assert np.array_equal(second.train_inputs[1], X[1])


def _pictures(folder: Path, value: int) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(folder / name / "1.bmp")


def _arrays(folder: Path, value: int) -> None:
    folder.mkdir()
    np.savez(folder / "x.npz", x=np.full((4, 4, 4, 3), value, np.uint8), y=[0, 1, 0, 1])


@pytest.mark.parametrize("is_copied", [False, True])
@pytest.mark.parametrize(
    ("make", "source", "name"), [(_pictures, ImageFolder(size=4, test=0), "."), (_arrays, NPZ(test=0), "x.npz")]
)
def test_data_of_the_same_names_sizes_and_times_is_not_taken_for_other_data(
    make: Any, source: Any, name: str, is_copied: bool, tmp_path: Path
) -> None:
    for folder, value in (("first", 50), ("second", 200)):
        make(tmp_path / folder, value)
        for file in (tmp_path / folder).rglob("*.*"):
            os.utime(file, ns=(1, 1))

    def first_pixel(folder: str) -> int:
        path = tmp_path / folder / name
        return int(source.load(tmp_path, path, lambda text: None, in_memory=False).train_inputs.flat[0])

    assert first_pixel("first") == 50
    if is_copied:  # over the first one, with its time
        time.sleep(0.02)  # which is more than the clock of a file system takes to tick
        shutil.copytree(tmp_path / "second", tmp_path / "first", dirs_exist_ok=True)
    assert first_pixel("first" if is_copied else "second") == 200


def test_memory_is_what_the_machine_the_container_and_the_limits_leave(tmp_path: Path) -> None:
    for name, text in {
        "proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n",
        "proc/self/cgroup": "0::/job\n",
        "sys/fs/cgroup/job/memory.max": "5000000\n",
        "sys/fs/cgroup/job/memory.current": "3000000\n",
        "sys/fs/cgroup/job/memory.stat": "anon 100\ninactive_file 1000000\nactive_file 500000\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_memory(tmp_path) == 3_500_000
    (tmp_path / "sys/fs/cgroup/job/memory.max").write_text("max\n")
    assert available_memory(tmp_path) == 8_192_000


LIMITED = """
import resource, sys
from nnscratch.cli import main
import numpy, nnscratch.experiment.train, yaml, rich.progress, pydantic
numpy.ones((512, 512), "f4") @ numpy.ones((512, 512), "f4")  # the BLAS takes its buffers
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv.pop(1)),) * 2)
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process as Linux does")
def test_a_set_three_times_as_large_as_the_memory_allowed_trains_to_the_same_weights(tmp_path: Path) -> None:
    size = 32  # MB that the process may allocate beyond its start
    x = (
        np.random.default_rng(0)
        .integers(0, 256, (3 * size << 20) // 3072 * 3072, dtype=np.uint8)
        .reshape(-1, 32, 32, 3)
    )
    y = np.arange(len(x)) % 2
    x[y == 1, :4] //= 4
    np.savez(tmp_path / "big.npz", x=x, y=y)
    config = {
        "name": "limited",
        "data": {"dataset": "npz", "path": str(tmp_path / "big.npz")},
        "model": {"hidden_layers": [4]},
        "training": {"epochs": 1, "batch_size": 128},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(config))

    def train(megabytes: int, *more: str) -> subprocess.CompletedProcess[str]:
        words = ["train", str(tmp_path / "c.yaml"), "--threads", "1", "--no-plots", *more]
        return subprocess.run(
            [sys.executable, "-c", LIMITED, str(megabytes << 20), *words],
            cwd=tmp_path,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    refused = train(size, "data.in_memory=true")
    assert refused.returncode != 0
    limited, free = train(size), train(4096, "data.in_memory=true")  # the first finds out by itself that it must map
    assert limited.returncode == free.returncode == 0, limited.stdout + limited.stderr
    assert "to be mapped, not loaded" in limited.stdout
    told = [next(line for line in run.stdout.splitlines() if "test_loss" in line) for run in (limited, free)]
    assert told[0] == told[1]
