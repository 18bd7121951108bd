"""Runs that are served: of pictures, and of a table with numbers, text, dates and gaps."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.results.model import Model
from nnscratch.runs.loaded import load_run
from nnscratch.serve.limits import Limits
from tests.conftest import train_quietly
from tests.serve.clients import Server, served

Ask = Callable[..., tuple[int, dict[str, Any]]]


def ask(port: int, body: bytes | str = b"", kind: str = "", path: str = "/predict", method: str = "POST") -> Any:
    """The status and the JSON of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Content-Type": kind} if kind else {}
        connection.request(method, path, body.encode() if isinstance(body, str) else body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")
    finally:
        connection.close()


@contextmanager
def in_process(model: Model, limits: Limits) -> Iterator[int]:
    """The port of a server in this process, with limits of its own."""
    from nnscratch.serve.app import Service
    from nnscratch.serve.serve import server_for

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = server_for(Service(model, limits, 1))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture(scope="session")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier on a table whose columns are a number with gaps, text, yes or no, and a date."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    lines = ["age,city,member,joined,bought"]
    for row in range(120):
        age, city, member = rng.integers(18, 80), rng.choice(["Oslo", "Bergen"]), rng.choice(["yes", "no"])
        joined = np.datetime64("2021-01-01") + int(rng.integers(0, 900))
        bought = "buys" if (age < 45) == (member == "yes") else "leaves"
        lines.append(f"{'' if row % 29 == 0 else age},{city},{member},{joined},{bought}")
    (folder / "shop.csv").write_text("\n".join(lines) + "\n")
    settings = {
        "name": "shop",
        "data": {"dataset": {"name": "csv", "target": "bought"}, "path": str(folder / "shop.csv")},
        "model": {"hidden_layers": [8]},
        "training": {"epochs": 4, "batch_size": 16},
    }
    return train_quietly(settings, folder / "runs")


@pytest.fixture(scope="session")
def shapes_model(_trained_shapes: Path) -> Model:
    """The network of pictures, in this process."""
    return Model(load_run(_trained_shapes))


@pytest.fixture(scope="session")
def table_model(table_run: Path) -> Model:
    """The network of the table, in this process."""
    return Model(load_run(table_run))


@pytest.fixture(scope="session")
def pictures_server(_trained_shapes: Path) -> Iterator[Server]:
    """The network of pictures, served by the command."""
    pytest.importorskip("uvicorn", reason="needs uvicorn and starlette: pip install -e '.[serve]'")
    with served(_trained_shapes) as server:
        yield server
        assert server.process.poll() is None, "the server has ended"


@pytest.fixture(scope="session")
def table_server(table_run: Path) -> Iterator[Server]:
    """The network of the table, served by the command."""
    pytest.importorskip("uvicorn", reason="needs uvicorn and starlette: pip install -e '.[serve]'")
    with served(table_run) as server:
        yield server
        assert server.process.poll() is None, "the server has ended"
