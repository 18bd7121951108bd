"""Starting Python once more, for code of this installation and for nothing that lies in the working directory."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TAKE_PATHS = "import json, sys\nsys.path[:] = json.loads(sys.argv.pop(1))\n"
SAFE_PATH = "PYTHONSAFEPATH"


def python_command(code: str, *arguments: str) -> list[str]:
    """The command that runs that code: it imports what this process can import, but nothing from where one stands.

    Python puts the working directory before everything else (`-c`, `-m`, an empty entry of PYTHONPATH): a file
    wandb.py or csv.py that lies there would run. Isolated (-I), it does not, and is told where to look instead.
    """
    return [sys.executable, "-I", "-c", TAKE_PATHS + code, json.dumps(_paths()), *arguments]


def module_command(module: str, *arguments: str) -> list[str]:
    """The same for `python -m module`."""
    return python_command(f"import runpy\nrunpy.run_module({module!r}, None, '__main__', True)\n", *arguments)


@contextmanager
def working_directory_left_out() -> Iterator[None]:
    """Python processes that others start inside, as multiprocessing does, import nothing from there either."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def _paths() -> list[str]:
    """Where this process imports from, its own package first; without the working directory."""
    own = str(Path(__file__).resolve().parents[2])
    others = (os.path.realpath(path) for path in sys.path if path)
    return list(dict.fromkeys([own, *(path for path in others if path != os.path.realpath(os.curdir))]))
