"""The process that computes: it answers as the network does, and neither outlives the server nor hides its own end."""

from __future__ import annotations

import http.client
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.errors import UserError
from nnscratch.results.model import Model
from nnscratch.runs.loaded import load_run
from nnscratch.serve.limits import Refusal
from nnscratch.serve.network_process import ANSWER, ERROR, HEAD, NetworkProcess, answer
from tests.serve.clients import served
from tests.serve.conftest import ask

PLUGIN = """
import numpy as np
from nnscratch.nn.layers.activations import ReLU

class Loud(ReLU):
    name = "loud"

    def forward(self, x, training):
        print("this is no answer")
        return super().forward(x, training)
"""
CONFIG = """
name: loud
data: {dataset: {name: shapes, train: 40, test: 8}}
model: {layers: [flatten, {dense: 4}, loud, dense]}
training: {epochs: 1, batch_size: 20}
plugins: [loud.py]
"""


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def children(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_it_answers_as_the_network_does(table_model: Model, shapes_model: Model) -> None:
    rng = np.random.default_rng(0)
    for model, kinds in ((table_model, (np.float32, np.float64)), (shapes_model, (np.uint8,))):
        stored = rng.integers(0, 200, (70, *model.loaded.input_shape))
        with NetworkProcess(model.loaded, 1, False) as network:
            for kind in kinds:
                rows = stored.astype(kind)
                np.testing.assert_array_equal(network.outputs(rows), model.outputs_or_not_finite(rows))
            assert not network.has_ended
        assert network.has_ended


def test_other_weights_than_the_servers_are_refused(table_run: Path) -> None:
    loaded = load_run(table_run)
    loaded.network.parameters.values[0] += 1
    with pytest.raises(UserError, match=r"best.npz was written meanwhile"), NetworkProcess(loaded, 1, False):
        raise AssertionError("it has started")


def test_what_it_runs_into_is_told_and_it_goes_on(table_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.ones((2, *table_model.loaded.input_shape), np.float32)
    asked = HEAD.pack(b"f", len(rows)) + rows.tobytes()
    expected = table_model.outputs_or_not_finite(rows).tobytes()

    def fails_first(model: Model, stored: np.typing.NDArray[np.float32]) -> np.typing.NDArray[np.float32]:
        monkeypatch.undo()
        raise MemoryError("too much")

    monkeypatch.setattr(Model, "outputs_or_not_finite", fails_first)
    answers = io.BytesIO()
    answer(table_model, io.BytesIO(asked * 2), answers)
    told = b"MemoryError: too much"
    assert answers.getvalue() == HEAD.pack(ERROR, len(told)) + told + HEAD.pack(ANSWER, len(expected)) + expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_when_it_is_killed_every_request_is_told_and_so_is_who_watches(table_run: Path) -> None:
    with served(table_run) as server:
        (process,) = children(server.process.pid)
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: ask(server.port, path="/health", method="GET")[0] == 503)
        for _ in range(2):
            status, told = ask(server.port, '{"age": 40, "city": "Oslo", "member": "yes", "joined": "2022-01-03"}')
            assert (status, "the network's process has ended" in told["error"]) == (503, True)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_it_ends_when_the_server_is_killed(table_run: Path) -> None:
    with served(table_run) as server:
        (process,) = children(server.process.pid)
        server.process.kill()
        wait_until(lambda: not Path(f"/proc/{process}").exists() or "Z" in Path(f"/proc/{process}/stat").read_text())


def test_without_a_process_it_is_a_refusal(table_run: Path) -> None:
    network = NetworkProcess(load_run(table_run), 1, False)
    with network:
        network._process.kill()
        network._process.wait()
        with pytest.raises(Refusal, match="has ended"):
            network.outputs(np.ones((1, 9), np.float32))


def test_a_plugin_is_run_there_only_when_it_is_allowed_and_what_it_prints_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loud.py").write_text(PLUGIN)
    Path("config.yaml").write_text(CONFIG)
    main(["train", "config.yaml", "--allow-plugins", "--quiet", "--no-plots", "--threads", "1"])
    Path("loud.py").unlink()
    refused = subprocess.run(
        [sys.executable, "-m", "nnscratch", "serve", "runs/loud"], capture_output=True, text=True, check=False
    )
    assert "--allow-plugins" in refused.stderr
    with served(Path("runs/loud"), "--allow-plugins") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/predict", b"P6 32 32 255\n" + bytes(3072), {"Content-Type": "image/x-portable"})
        response = connection.getresponse()
        assert (response.status, b"label" in response.read()) == (200, True)
        connection.close()
    capsys.readouterr()
