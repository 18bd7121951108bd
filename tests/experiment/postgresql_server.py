"""A PostgreSQL server of its own for a test: private cluster, free port on 127.0.0.1, gone afterwards."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


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


@contextmanager
def postgresql_server() -> Iterator[str]:
    """The URL of an empty database; skips the test, saying why, where that is not possible."""
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("psycopg2 is not installed: pip install 'nnscratch[postgresql]'")
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
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        run = {"cwd": folder, "check": True, "capture_output": True, "timeout": 120, **as_user}
        data = str(folder / "data")
        try:
            subprocess.run([initdb, "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"], **run)
            options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
            log = str(folder / "log")
            subprocess.run([server, "-D", data, "-l", log, "-w", "-t", "60", "-o", options, "start"], **run)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"PostgreSQL does not start here: {error.stderr.decode(errors='replace')[-300:]}")
        try:
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([server, "-D", data, "-m", "immediate", "-w", "stop"], **run)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
