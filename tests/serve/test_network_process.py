"""The process that computes: it answers as the network does, and neither outlives the server nor hides its own end."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.errors import UserError
from nnscratch.nn.compute.buffers import Array
from nnscratch.results.model import Model
from nnscratch.runs.loaded import load_run
from nnscratch.serve.limits import Refusal
from nnscratch.serve.network_process import ANSWER, ERROR, HEAD, NetworkProcess, answer
from tests.serve.clients import served
from tests.serve.conftest import ask

ROW = '{"age": 40, "city": "Oslo", "member": "yes", "joined": "2022-01-03"}'
PLUGIN = """
import os
from nnscratch.nn.layers.activations import ReLU

class Loud(ReLU):
    name = "loud"

    def forward(self, x, training):
        os.system("echo this is no answer")
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


def is_gone(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or ") Z " in status.read_text()


def test_it_answers_as_the_network_does(table_model: Model, shapes_model: Model) -> None:
    rng = np.random.default_rng(0)
    for model, kinds in ((table_model, ("<f4", ">f4", "<f8")), (shapes_model, ("|u1", ">u2"))):
        stored = rng.integers(0, 200, (70, *model.loaded.input_shape))
        with NetworkProcess(model.loaded, 1) as network:
            network.wait_until_ready()
            for rows in (*(stored.astype(kind) for kind in kinds), stored[:0].astype(kinds[0])):
                np.testing.assert_array_equal(network.outputs(rows), model.outputs_or_not_finite(rows))
            assert not network.has_ended
        assert network.has_ended


def test_other_weights_or_scaling_than_the_servers_are_refused(table_run: Path) -> None:
    for where in ("weights", "scaling"):
        loaded = load_run(table_run)
        changed = loaded.network.parameters.values if where == "weights" else loaded.affine.offset
        changed[0] += 1
        with NetworkProcess(loaded, 1) as network, pytest.raises(UserError, match=r"best.npz was written meanwhile"):
            network.wait_until_ready()


def test_a_checkpoint_that_is_gone_is_told_without_a_traceback(
    table_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(table_run, tmp_path / "run")
    loaded = load_run(tmp_path / "run")
    loaded.checkpoint.unlink()
    with NetworkProcess(loaded, 1) as network, pytest.raises(UserError, match="ended before it was ready"):
        network.wait_until_ready()
    told = capfd.readouterr().err
    assert told.startswith("error: there is no checkpoint")
    assert "Traceback" not in told


def test_what_it_runs_into_is_told_with_its_place_and_it_goes_on(
    table_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.ones((2, *table_model.loaded.input_shape), np.float32)
    asked = HEAD.pack(b"<f4", len(rows)) + rows.tobytes()
    expected = table_model.outputs_or_not_finite(rows).tobytes()

    class Requests(io.BytesIO):
        """The second body finds no memory at first."""

        bodies = 0

        def read(self, size: int | None = -1) -> bytes:
            self.bodies += size == rows.nbytes
            if size == rows.nbytes and self.bodies == 2:
                raise MemoryError("for the rows")
            return super().read(size)

    def fails_first(model: Model, stored: Array) -> Array:
        monkeypatch.undo()
        raise ArithmeticError("in the layer")

    monkeypatch.setattr(Model, "outputs_or_not_finite", fails_first)
    answers = io.BytesIO()
    answer(table_model, Requests(asked * 3), answers)
    told = answers.getvalue()
    for error in ("in fails_first\n    raise ArithmeticError", "MemoryError: for the rows"):
        kind, size = HEAD.unpack(told[: HEAD.size])
        assert kind.rstrip(b"\0") == ERROR
        assert error in told[HEAD.size : HEAD.size + size].decode()
        told = told[HEAD.size + size :]
    assert told == HEAD.pack(ANSWER, len(expected)) + expected


def test_what_is_half_read_is_never_taken_for_another_answer(
    table_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.ones((2, *table_model.loaded.input_shape), np.float32)
    with NetworkProcess(table_model.loaded, 1) as network:
        network.wait_until_ready()
        read = network._read
        heads: list[bytes] = []

        def fails_after_the_head(size: int) -> bytes:
            if heads:
                raise MemoryError
            heads.append(read(size))
            return heads[0]

        monkeypatch.setattr(network, "_read", fails_after_the_head)
        with pytest.raises(MemoryError):
            network.outputs(rows)
        monkeypatch.undo()
        with pytest.raises(Refusal, match="has ended"):
            network.outputs(rows)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_when_it_is_killed_every_request_is_told_and_so_is_who_watches(table_run: Path) -> None:
    with served(table_run) as server:
        (process,) = children(server.process.pid)
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: ask(server.port, path="/health", method="GET")[0] == 503)
        for _ in range(2):
            status, told = ask(server.port, ROW)
            assert (status, "the network's process has ended" in told["error"]) == (503, True)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_it_ends_when_the_server_is_killed(table_run: Path) -> None:
    with served(table_run) as server:
        (process,) = children(server.process.pid)
        server.process.kill()
        wait_until(lambda: is_gone(process))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_signal_to_both_answers_what_was_accepted(table_run: Path) -> None:
    """A service manager signals every process of a service."""
    with served(table_run) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        (process,) = children(server.process.pid)
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(ROW)}\r\n\r\n"
        client.sendall(head.encode() + ROW[:9].encode())
        wait_until(lambda: ask(server.port, path="/health", method="GET")[1]["requests"] == 1)
        for each in (server.process.pid, process):
            os.kill(each, signal.SIGTERM)
        time.sleep(0.2)
        client.sendall(ROW[9:].encode())
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert server.process.wait(20) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_second_ctrl_c_ends_it_whatever_it_computes(table_run: Path) -> None:
    with served(table_run) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        (process,) = children(server.process.pid)
        os.kill(process, signal.SIGSTOP)
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(ROW)}\r\n\r\n"
        client.sendall((head + ROW).encode())
        wait_until(lambda: ask(server.port, path="/health", method="GET")[1]["waiting"] == 1)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        server.process.wait(10)
        assert is_gone(process)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_ctrl_c_while_it_starts_leaves_nothing_and_no_traceback(table_run: Path) -> None:
    command = [sys.executable, "-X", "dev", "-m", "nnscratch", "serve", str(table_run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        wait_until(lambda: bool(children(server.pid)))
        (process,) = children(server.pid)
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=20)
    assert server.returncode == 130
    assert errors.splitlines()[:1] == ["error: interrupted"]
    assert "Traceback" not in errors
    assert "ResourceWarning" not in errors
    # An interrupt inside Popen leaves nobody to kill it: it ends when it comes to read from a server that is gone.
    wait_until(lambda: is_gone(process))


def test_a_run_with_plugins_is_served_where_they_have_been_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        status, told = ask(server.port, b"P6 32 32 255\n" + bytes(3072), "image/x-portable")
        assert (status, "label" in json.dumps(told)) == (200, True)
        if sys.platform.startswith("linux"):
            assert children(server.process.pid) == []
