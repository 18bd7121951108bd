"""`nnscratch serve` as a command: what it says, where it listens, and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnscratch.cli import main
from nnscratch.serve import serve
from tests.serve.clients import Server
from tests.serve.conftest import ask


def error_of(capsys: pytest.CaptureFixture[str], *words: object, code: int) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *map(str, words)])
    assert ended.value.code == code
    return capsys.readouterr().err


def test_a_taken_port_is_told_and_what_to_do(table_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = error_of(capsys, table_run, "--port", taken.getsockname()[1], code=2)
    assert "Address already in use" in told
    assert "--port 0 takes one that is free" in told


def test_an_address_that_is_not_ours_is_told(table_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot listen on 192.0.2.1" in error_of(capsys, table_run, "--host", "192.0.2.1", code=2)


def test_without_the_libraries_it_says_what_to_install(
    table_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else object())
    told = error_of(capsys, table_run, code=1)
    assert "serving needs uvicorn" in told
    assert "pip install 'nnscratch[serve]'" in told


def test_it_listens_on_the_loopback_alone_unless_told(table_server: Server) -> None:
    listening = Path("/proc/net/tcp")
    if not listening.exists():
        pytest.skip("needs /proc/net/tcp, which lists who listens where")
    places = re.findall(rf"(\w+):{table_server.port:04X} 00000000:0000", listening.read_text())
    assert places == ["0100007F"]
    assert ask(table_server.port, path="/health", method="GET")[1]["run"] == "shop"


def test_listening_everywhere_comes_with_a_warning_and_a_second_ctrl_c_cuts_off_who_hangs(table_run: Path) -> None:
    command = [sys.executable, "-m", "nnscratch", "serve", str(table_run), "--port", "0", "--host", "0.0.0.0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith(f"serving {table_run} (epoch ")
        assert "there is no password and no encryption" in process.stderr.readline()
        port = int(first.split(":")[-1].split()[0])
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
            while ask(port, path="/health", method="GET")[1]["requests"] < 1:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            told, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert told.endswith("stopped after 1 requests\n")


def test_no_piece_of_an_answer_waits_for_the_client_to_acknowledge_another() -> None:
    with (
        serve._listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
