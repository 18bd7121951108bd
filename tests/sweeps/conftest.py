"""Sweep files, `nnscratch sweep` as a process, and a PostgreSQL server: what the tests of sweeps share."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CONFIG = {
    "seed": 3,
    "data": {"dataset": {"name": "shapes", "train": 200, "test": 50}, "validation": 0.2, "scaling": "standardize"},
    "model": {"hidden_layers": [8]},
    "training": {"epochs": 3, "batch_size": 20, "checkpoint_every": 1},
}
SWEEP: dict[str, Any] = {
    "name": "tiny",
    "method": "random",
    "metric": {"name": "val_accuracy", "goal": "maximize"},
    "run_cap": 4,
    "parameters": {
        "optimizer.learning_rate": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "model.hidden_layers": {"values": [[8], [16, 8]]},
    },
}


@pytest.fixture(autouse=True)
def _default_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps here draw their data: a folder named from outside would stand in the commands to go on with."""
    monkeypatch.delenv("NNSCRATCH_DATA_DIR", raising=False)


def _write_sweep(folder: Path, config: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A sweep file, and the config it names, in a folder. JSON is YAML."""
    base = folder / "base.yaml"
    base.write_text(json.dumps({**CONFIG, **(config or {})}))
    command = ["${env}", "nnscratch", "train", str(base), "${args_no_hyphens}"]
    sweep = {**SWEEP, "command": command, **changes}
    path = folder / "sweep.yaml"
    path.write_text(json.dumps({key: value for key, value in sweep.items() if value is not None}))
    return path


def _command(file: Path, runs: Path, *more: str) -> list[str]:
    """`nnscratch sweep` as a process of its own."""
    command = [sys.executable, "-m", "nnscratch", "sweep", str(file), "--runs-dir", str(runs), "--threads", "1"]
    return [*command, "--no-plots", "--json", *more]


def _start_sweep(file: Path, runs: Path, *more: str) -> subprocess.Popen[str]:
    """Starts it; standard output will hold the JSON object."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    return subprocess.Popen(
        _command(file, runs, *more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,  # so that Ctrl-C can be sent to all of it, as a terminal does
    )


def _finish_sweep(process: subprocess.Popen[str], seconds: float = 120.0) -> dict[str, Any]:
    """The JSON object of a sweep that ends well."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def _outcome(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What must be equal in two runs of the same sweep."""
    keys = ("number", "parameters", "status", "value")
    return [tuple(trial[key] for key in keys) for trial in result["trials"]]


def _program(name: str) -> str | None:
    found = shutil.which(name)
    if found is None:
        installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        found = str(installed[-1]) if installed else None
    return found


def _other_user() -> str | None:
    """PostgreSQL refuses to run as root; whom to run it as then."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL of its own with an empty database."""

    url: str
    stop: Callable[[], None]
    start: Callable[[], None]


@contextmanager
def _postgresql_server() -> Iterator[Server]:
    """A running server; skips the test, saying why, where that is not possible."""
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("needs psycopg2: pip install -e '.[postgresql]'")
    initdb, server = _program("initdb"), _program("pg_ctl")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed (no initdb, no pg_ctl)")
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = _other_user()
        if user is None:
            pytest.skip("running as root, and there is no user postgres or nobody to run PostgreSQL as")
        as_user = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="nnscratch-postgresql-"))
    try:
        if as_user:
            shutil.chown(folder, as_user["user"])
        run = {"cwd": folder, "check": True, "capture_output": True, "timeout": 120, **as_user}
        data = str(folder / "data")
        options = f"-h '' -k {folder} -c fsync=off"  # a socket in the folder: no port that another may take first
        control = [server, "-D", data, "-l", str(folder / "log"), "-w", "-t", "60"]

        def start() -> None:
            subprocess.run([*control, "-o", options, "start"], **run)

        def stop() -> None:
            subprocess.run([*control, "-m", "immediate", "stop"], **run)

        try:
            subprocess.run([initdb, "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"], **run)
            start()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"PostgreSQL does not start here: {error.stderr.decode(errors='replace')[-300:]}")
        try:
            yield Server(f"postgresql://tester@/postgres?host={folder}", stop, start)
        finally:
            stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def write_sweep() -> Callable[..., Path]:
    """write_sweep(folder, config changes, **changes of the sweep): the file of a sweep of four tiny trials."""
    return _write_sweep


@pytest.fixture
def start_sweep() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """start_sweep(file, runs_dir, *options): a running process; what still runs after the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(file: Path, runs: Path, *more: str) -> subprocess.Popen[str]:
        started.append(_start_sweep(file, runs, *more))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def finish_sweep() -> Callable[..., dict[str, Any]]:
    """finish_sweep(process): the JSON object of a sweep that ends well."""
    return _finish_sweep


@pytest.fixture
def outcome() -> Callable[[dict[str, Any]], list[tuple[Any, ...]]]:
    """outcome(result): what two runs of one sweep must agree in."""
    return _outcome


@pytest.fixture
def postgresql_server() -> Iterator[Server]:
    """A running PostgreSQL: its url, stop(), start()."""
    with _postgresql_server() as server:
        yield server


@pytest.fixture
def postgresql(postgresql_server: Server) -> str:
    """The URL of an empty database on a server of its own."""
    return postgresql_server.url
