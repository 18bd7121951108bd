"""Downloads end to end, against a server on 127.0.0.1 whose behaviour each test scripts, request by request."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.datasets.deadline import Deadline
from nnscratch.datasets.download import Patience, RemoteFile, fetch
from nnscratch.datasets.formats.idx import idx_bytes
from nnscratch.datasets.inventory import fetch as fetch_dataset
from nnscratch.datasets.sources.cifar10 import BINARY_ARCHIVE, BINARY_FILES, BINARY_FOLDER, CIFAR10, RECORD
from nnscratch.datasets.sources.fashion_mnist import FashionMNIST
from nnscratch.datasets.sources.grey_images import IDX_FILES, GreyImages
from nnscratch.datasets.sources.mnist import MNIST
from nnscratch.datasets.unfinished import remove_leftovers, unfinished
from nnscratch.errors import DataError, UsageError

BODY = bytes(range(256)) * 40
QUICK = Patience(attempts=3, timeout=5.0, backoff=0.01)
Answer = Callable[[BaseHTTPRequestHandler], None]


class ScriptedServer:
    """Answers each path by its list of answers in turn, the last one again and again; counts the requests."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.requests.append(self.path)
                answers = owner.answers.get(self.path, [])
                if not answers:
                    self.send_error(404)
                    return
                (answers.pop(0) if len(answers) > 1 else answers[0])(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """The client hangs up on purpose in some tests."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def content(body: bytes, send: int | None = None, claim: int | None = None, pause: float = 0.0) -> Answer:
    """200 with a body: only its first `send` bytes, another Content-Length, or a pause after every byte."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body) if claim is None else claim))
        request.end_headers()
        if pause:
            for index in range(len(body)):
                request.wfile.write(body[index : index + 1])
                time.sleep(pause)
        else:
            request.wfile.write(body if send is None else body[:send])

    return answer


def status(code: int) -> Answer:
    return lambda request: request.send_error(code)


def redirect(address: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", address)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def silence(request: BaseHTTPRequestHandler) -> None:
    time.sleep(60)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("NNSCRATCH_MIRROR", raising=False)
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


def remote(server: ScriptedServer, *paths: str, body: bytes = BODY) -> RemoteFile:
    """The file data.bin with that body, at these addresses of the server."""
    return RemoteFile(
        "data.bin", tuple(server.address(path) for path in paths), len(body), hashlib.sha256(body).hexdigest()
    )


def test_a_download_arrives_whole_and_tells_its_progress(
    server: ScriptedServer, tmp_path: Path, said: list[str]
) -> None:
    server.answers["/a"] = [content(BODY)]
    steps: list[tuple[str, int, int]] = []
    folder = tmp_path / "deep" / "er"
    fetch([remote(server, "/a")], folder, said.append, lambda *step: steps.append(step), QUICK)
    assert (folder / "data.bin").read_bytes() == BODY
    assert steps[-1] == ("data.bin", len(BODY), len(BODY))
    assert [path.name for path in folder.iterdir()] == ["data.bin"]
    assert "data.bin" in said[0]
    assert str(folder) in said[0]


def test_a_file_that_is_there_is_neither_fetched_nor_changed(
    server: ScriptedServer, tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "data.bin").write_bytes(b"mine")
    fetch([remote(server, "/a")], tmp_path, said.append, patience=QUICK)
    assert (tmp_path / "data.bin").read_bytes() == b"mine"
    assert server.requests == []


def test_a_cut_transfer_is_retried(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    server.answers["/a"] = [content(BODY, send=1000), content(BODY, send=0), content(BODY)]
    fetch([remote(server, "/a")], tmp_path, said.append, patience=QUICK)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert len(server.requests) == 3
    assert "cut after 1,000 of 10,240 bytes" in said[1]


def test_a_transfer_that_is_always_cut_leaves_no_file(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    server.answers["/a"] = [content(BODY, send=1000)]
    with pytest.raises(DataError, match="cut after 1,000 of 10,240 bytes"):
        fetch([remote(server, "/a")], tmp_path, said.append, patience=QUICK)
    assert len(server.requests) == QUICK.attempts
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_checksum_is_not_kept_and_the_next_address_is_tried(
    server: ScriptedServer, tmp_path: Path, said: list[str]
) -> None:
    server.answers["/bad"] = [content(bytes(len(BODY)))]
    server.answers["/good"] = [content(BODY)]
    fetch([remote(server, "/bad", "/good")], tmp_path, said.append, patience=QUICK)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert server.requests == ["/bad", "/good"]
    assert "wrong checksum" in said[1]


def test_a_wrong_checksum_everywhere_leaves_no_file(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    server.answers["/bad"] = [content(bytes(len(BODY)))]
    with pytest.raises(DataError, match="wrong checksum"):
        fetch([remote(server, "/bad")], tmp_path, said.append, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_more_bytes_than_expected_are_refused(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    server.answers["/a"] = [content(BODY + b"x")]
    with pytest.raises(DataError, match="more than the 10,240 bytes"):
        fetch([remote(server, "/a")], tmp_path, said.append, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_404_goes_to_the_next_address_without_a_second_attempt(
    server: ScriptedServer, tmp_path: Path, said: list[str]
) -> None:
    server.answers["/good"] = [content(BODY)]
    fetch([remote(server, "/gone", "/good")], tmp_path, said.append, patience=QUICK)
    assert server.requests == ["/gone", "/good"]
    assert "HTTP 404" in said[1]


def test_503_is_tried_again_and_then_succeeds(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    server.answers["/a"] = [status(503), status(503), content(BODY)]
    fetch([remote(server, "/a")], tmp_path, said.append, patience=QUICK)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert len(server.requests) == 3


def test_a_redirect_is_followed(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    server.answers["/a"] = [redirect("/b")]
    server.answers["/b"] = [content(BODY)]
    fetch([remote(server, "/a")], tmp_path, said.append, patience=QUICK)
    assert (tmp_path / "data.bin").read_bytes() == BODY


def test_a_redirect_loop_ends(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    server.answers["/a"] = [redirect("/b")]
    server.answers["/b"] = [redirect("/a")]
    with pytest.raises(DataError, match="HTTP 302"):
        fetch([remote(server, "/a")], tmp_path, said.append, patience=QUICK)
    assert len(server.requests) < 25


def test_a_redirect_to_a_local_file_is_refused(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(BODY)
    server.answers["/a"] = [redirect(secret.as_uri())]
    with pytest.raises(DataError, match="HTTP 302"):
        fetch([remote(server, "/a")], tmp_path / "into", said.append, patience=QUICK)
    assert not (tmp_path / "into").exists() or list((tmp_path / "into").iterdir()) == []


def test_a_redirect_to_ftp_whose_servers_have_no_deadline_is_refused(server: ScriptedServer, tmp_path: Path) -> None:
    server.answers["/a"] = [redirect("ftp://127.0.0.1:9/x")]
    with pytest.raises(DataError, match="it leads to ftp, which is not followed"):
        fetch([remote(server, "/a")], tmp_path, print, patience=QUICK)


def test_a_server_that_says_nothing_is_given_up(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    server.answers["/a"] = [silence]
    start = time.monotonic()
    with pytest.raises(DataError, match=r"no answer within 0\.2 s"):
        fetch([remote(server, "/a")], tmp_path, said.append, patience=Patience(timeout=0.2))
    assert time.monotonic() - start < 30


def test_a_server_that_dribbles_bytes_is_given_up(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    server.answers["/slow"] = [content(BODY, pause=0.02)]
    server.answers["/good"] = [content(BODY)]
    patience = Patience(timeout=0.2, slowest=100_000)
    fetch([remote(server, "/slow", "/good")], tmp_path, said.append, patience=patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert "too slow" in said[1]


def test_offline_the_error_names_files_folder_addresses_and_the_way_out(tmp_path: Path, said: list[str]) -> None:
    with socket.socket() as taken:  # by us, so that nobody listens there
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/data.bin"
        files = [RemoteFile(name, (address,), 10, "00") for name in ("one.gz", "two.gz")]
        with pytest.raises(DataError) as caught:
            fetch(files, tmp_path, said.append, patience=QUICK, hint="`nnscratch train configs/quickstart.yaml`")
    text = str(caught.value)
    for part in ("one.gz", "two.gz", str(tmp_path), address, "refused", "configs/quickstart.yaml"):
        assert part in text
    assert caught.value.exit_code == 4


def test_addresses_other_than_http_are_refused(tmp_path: Path, said: list[str]) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(BODY)
    file = RemoteFile("data.bin", (source.as_uri(),), len(BODY), hashlib.sha256(BODY).hexdigest())
    with pytest.raises(DataError, match="not an http or https address"):
        fetch([file], tmp_path / "into", said.append, patience=QUICK)


def test_a_mirror_from_the_environment_comes_first(
    server: ScriptedServer, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNSCRATCH_MIRROR", server.address("/mirror/"))
    server.answers["/mirror/data.bin"] = [content(BODY)]
    fetch([remote(server, "/a")], tmp_path, said.append, patience=QUICK)
    assert server.requests == ["/mirror/data.bin"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(server: ScriptedServer, tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write to"):
        fetch([remote(server, "/a")], tmp_path / "file" / "data", said.append, patience=QUICK)


def test_a_full_disk_leaves_no_file(
    server: ScriptedServer, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    server.answers["/a"] = [content(BODY)]
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        fetch([remote(server, "/a")], tmp_path, said.append, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_fetching_one_file_at_once_both_succeed(server: ScriptedServer, tmp_path: Path) -> None:
    server.answers["/a"] = [content(BODY[:300], pause=0.002)]
    file = remote(server, "/a", body=BODY[:300])
    program = (
        "from pathlib import Path\n"
        "from nnscratch.datasets.download import RemoteFile, fetch\n"
        f"fetch([{file!r}], Path({str(tmp_path)!r}), print)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert (tmp_path / "data.bin").read_bytes() == BODY[:300]
    assert [path.name for path in tmp_path.iterdir()] == ["data.bin"]


@pytest.mark.parametrize("source", [FashionMNIST, MNIST])
def test_grey_images_are_downloaded_when_nothing_is_there(
    source: type[GreyImages], server: ScriptedServer, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    files = []
    for name, shape in zip(IDX_FILES, ((6, 28, 28), (6,), (4, 28, 28), (4,)), strict=True):
        body = gzip.compress(idx_bytes(rng.integers(0, 10, shape, dtype=np.uint8)))
        server.answers[f"/{name}.gz"] = [content(body)]
        digest = hashlib.sha256(body).hexdigest()
        files.append(RemoteFile(f"{name}.gz", (server.address(f"/{name}.gz"),), len(body), digest))
    monkeypatch.setattr(source, "downloads", tuple(files))
    monkeypatch.setattr(source, "counts", (6, 4))
    dataset = source().load(tmp_path, None, said.append)
    assert dataset.train_inputs.shape == (6, 28, 28, 1)
    assert len(server.requests) == 4
    source().load(tmp_path, None, said.append)
    assert len(server.requests) == 4


def test_cifar10_is_downloaded_and_unpacked_when_nothing_is_there(
    server: ScriptedServer, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source" / BINARY_FOLDER
    source.mkdir(parents=True)
    for name in BINARY_FILES:
        (source / name).write_bytes(bytes(3 * RECORD))
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as archive:
        archive.add(source, BINARY_FOLDER)
    body = (tmp_path / "packed.tar.gz").read_bytes()
    server.answers["/c"] = [content(body)]
    file = RemoteFile(BINARY_ARCHIVE, (server.address("/c"),), len(body), hashlib.sha256(body).hexdigest())
    monkeypatch.setattr(CIFAR10, "downloads", (file,))
    monkeypatch.setattr(CIFAR10, "examples_per_batch", 3)
    data = tmp_path / "data"
    listing = fetch_dataset("cifar10", data, said.append)
    assert [found.format for found in listing.found] == ["binary batches"]
    assert (data / "archives" / BINARY_ARCHIVE).is_file()
    dataset = CIFAR10().load(data, None, said.append, download=False)
    assert dataset.train_inputs.shape == (15, 32, 32, 3)
    assert fetch_dataset("cifar10", data, said.append).available
    assert server.requests == ["/c"]


def test_fetching_what_is_not_downloaded_is_a_usage_error(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(UsageError, match="csv is not downloaded"):
        fetch_dataset("csv", tmp_path, said.append)
    with pytest.raises(UsageError, match="did you mean cifar10"):
        fetch_dataset("cifar", tmp_path, said.append)


def test_an_address_that_does_not_answer_leaves_no_empty_folders(tmp_path: Path, said: list[str]) -> None:
    file = RemoteFile("file.gz", ("http://127.0.0.1:9/file.gz",), len(BODY), hashlib.sha256(BODY).hexdigest())
    with pytest.raises(DataError, match=r"cannot download file\.gz"):
        fetch([file], tmp_path / "data" / "fashion-mnist", said.append, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_mirrors_password_is_not_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(
        "NNSCRATCH_MIRROR",
        "http://me:S3CRET@127.0.0.1:9/a https://S3CRET@127.0.0.1:9/b "
        "me:S3CRET@127.0.0.1:9/c http://me:pa@S3CRET@127.0.0.1:9/d http://me:S3CRET/e HTTP://S3CRET@127.0.0.1/f "
        "http://me:S3CRET@[x http://me:S3CRET@\u2100x",
    )
    told: list[str] = []
    with pytest.raises(DataError, match=r"http://\*\*\*@127.0.0.1:9/a/x") as caught:
        fetch([RemoteFile("x", (), 1, "0" * 64)], tmp_path, told.append, patience=QUICK)
    assert "S3CRET" not in "".join([str(caught.value), *told])


def dribble(pieces: Iterator[bytes]) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.1)

    return serve


SLOW: dict[str, Callable[[], Iterator[bytes]]] = {
    "status line": lambda: chain([b"HTTP/1.1 "], repeat(b"2")),
    "header": lambda: chain([b"HTTP/1.1 200 OK\r\nx: "], repeat(b"y")),
    "100 Continue": lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunk size": lambda: chain([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"], repeat(b"0")),
    "trailers": lambda: chain(
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"], repeat(b"x: y\r\n")
    ),
    "body": lambda: chain([b"HTTP/1.1 200 OK\r\n\r\n"], repeat(b"a")),
}


HANDSHAKE = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"
"""The beginning of a TLS record of 16,384 bytes."""

SLOW_SECURE: dict[str, Callable[[], Iterator[bytes]]] = {
    "silence": lambda: repeat(b""),
    "handshake": lambda: chain([HANDSHAKE], repeat(b"a")),
}
SLOW_PROXY: dict[str, Callable[[], Iterator[bytes]]] = {
    "silence": lambda: repeat(b""),
    "status line": SLOW["status line"],
    "header": SLOW["header"],
    "endless headers": lambda: chain([b"HTTP/1.1 200 OK\r\n"], repeat(b"x: y\r\n")),
    "handshake behind it": lambda: chain([b"HTTP/1.1 200 OK\r\n\r\n", HANDSHAKE], repeat(b"a")),
}


@contextmanager
def slow_server(pieces: Callable[[], Iterator[bytes]]) -> Iterator[str]:
    """A server that answers every connection with those pieces, a tenth of a second apart: `127.0.0.1:port`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=dribble(pieces()), args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def given_up_on(address: str, tmp_path: Path) -> None:
    file, patience = RemoteFile("x", (address,), 1000, "0" * 64), Patience(attempts=1, timeout=0.4, slowest=1e6)
    began = time.monotonic()
    with pytest.raises(DataError, match=r"too slow|cut|no answer within"):
        fetch([file], tmp_path, print, patience=patience)
    assert time.monotonic() - began < 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", SLOW)
def test_a_server_that_dribbles_anything_is_given_up_at_the_deadline(what: str, tmp_path: Path) -> None:
    with slow_server(SLOW[what]) as server:
        given_up_on(f"http://{server}/x", tmp_path)


@pytest.mark.parametrize("what", SLOW_SECURE)
def test_a_secure_server_that_stalls_in_its_handshake_is_given_up_at_the_deadline(what: str, tmp_path: Path) -> None:
    with slow_server(SLOW_SECURE[what]) as server:
        given_up_on(f"https://{server}/x", tmp_path)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("what", SLOW_PROXY)
def test_a_proxy_that_stalls_is_given_up_at_the_deadline(
    what: str, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slow_server(SLOW_PROXY[what]) as proxy:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(f"{scheme}_proxy", f"http://{proxy}")
        given_up_on(f"{scheme}://example.invalid/x", tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from nnscratch.datasets.unfinished import unfinished
with unfinished(Path(sys.argv[1]), folder=len(sys.argv) > 2) as path:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_process_left_goes_at_once_and_what_is_being_written_stays(folder: bool, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "x"), *["folder"][: int(folder)]], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with unfinished(tmp_path / "x", folder) as alive, unfinished(tmp_path / "other") as other:
        remove_leftovers(tmp_path, "x")
        assert set(tmp_path.iterdir()) == {alive, other}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_download_that_is_told_to_stop_leaves_nothing(
    name: str, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(request: BaseHTTPRequestHandler) -> None:
        content(BODY, claim=FashionMNIST.downloads[0].size)(request)
        request.wfile.flush()
        deadline = time.monotonic() + 20
        while not list(tmp_path.rglob("*.part")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)  # it is open by then, and waits for more
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(0.5)

    server.answers[f"/{FashionMNIST.downloads[0].name}"] = [half]
    monkeypatch.setenv("NNSCRATCH_MIRROR", server.address(""))
    with pytest.raises(SystemExit) as ended:
        main(["data", "fetch", "fashion_mnist", "--data-dir", str(tmp_path)])
    assert ended.value.code == 130
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_download_removes_what_a_killed_one_left_also_when_nothing_is_missing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    (tmp_path / ".x.1-0a.part").write_bytes(b"half")
    fetch([RemoteFile("x", ("nowhere",), 1, "0" * 64)], tmp_path, print, patience=QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_large_file_that_arrives_a_byte_at_a_time_is_given_up_as_soon_as_a_small_one(tmp_path: Path) -> None:
    with slow_server(SLOW["body"]) as server:
        file = RemoteFile("x", (f"http://{server}/x",), 10**9, "0" * 64)
        began = time.monotonic()
        with pytest.raises(DataError, match=r"too slow: \d+ of 1,000,000,000 bytes"):
            fetch([file], tmp_path, print, patience=Patience(attempts=1, timeout=0.4))
    assert time.monotonic() - began < 5


def test_bytes_that_arrive_earn_time_but_not_more_than_a_server_may_owe() -> None:
    fast, stalled = Deadline(), Deadline()
    fast.within(0.2)
    stalled.within(0.2)
    fast.earn(100.0, at_most=100.0)
    stalled.earn(100.0, at_most=0.3)
    time.sleep(0.5)
    assert not fast.is_over
    assert stalled.is_over
    fast.end()
