"""A served network under 64 clients, beside one thread that calls `model.predict` row by row.

    python tests/benchmarks/serving.py [dense table ...] [--clients 64] [--seconds 20]

The clients ask from a process of its own on the same machine, one request after the other, and check every label. No
answer may be wrong, no request may fail, and more rows a second must be answered than row by row in a notebook, where
`model.predict` gets what a client sends: the path of the same PNG file, which it opens and decodes, or a dict. It is
timed before and after the load, and the faster of the two counts. What it takes for pixels that somebody else has
decoded is told beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from PIL import Image

import nnscratch
from nnscratch.datasets.sources.shapes import Shapes
from tests.serve.clients import Query, load, served
from tests.serve.test_predictions import form

CONVOLUTIONAL = [
    {"conv": {"channels": 32, "kernel": 3, "padding": "same"}}, "relu", {"max_pool": 2},
    {"conv": {"channels": 64, "kernel": 3, "padding": "same"}}, "relu", {"max_pool": 2},
    "flatten", "dense",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A run, what its clients ask, and the same in a notebook: the index-th row alone, from what they send."""

    run: Path
    queries: list[Query]
    predict: Callable[[int], object]
    predict_decoded: Callable[[int], object] | None = None
    """From its pixels."""


def pictures(folder: Path, model: dict[str, object], together: int) -> Case:
    """A run on pictures, PNG files to ask for, so many together, and one by one in a notebook."""
    settings = {"name": "shapes", "data": {"dataset": {"name": "shapes", "train": 500, "test": 200}}, "model": model,
                "training": {"epochs": 1, "batch_size": 50}}  # fmt: skip
    run = nnscratch.train(settings, runs_dir=folder, threads=1, plots=False, quiet=True).path
    images = Shapes(train=500, test=200).load(Path(), None, lambda _: None).test_inputs
    files = []
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
        files.append(folder / f"{number}.png")
    loaded = nnscratch.load(run)
    labels = loaded.predict(images)
    queries = []
    for start in range(0, len(files), together):
        part = files[start : start + together]
        if together == 1:
            body, kind = part[0].read_bytes(), "image/png"
        else:
            body, kind = form({file.name: file.read_bytes() for file in part})
        queries.append(Query(body, kind, tuple(labels[start : start + together])))
    return Case(
        run,
        queries,
        lambda index: loaded.predict(files[index % len(files)]),
        lambda index: loaded.predict(images[index % len(images)][None]),
    )


def table(folder: Path) -> Case:
    """A run on a table with text, an object of JSON for each row, and the same in a notebook."""
    rng = np.random.default_rng(0)
    names, kinds = ["a", "b", "c", "kind"], ["red", "green", "blue"]
    cells = [[*np.round(rng.normal(size=3), 3).tolist(), kinds[rng.integers(3)]] for _ in range(640)]
    lines = [",".join(map(str, row)) for row in cells]
    target = ["up" if row[0] + row[1] > 0 else "down" for row in cells]
    text = "\n".join([",".join([*names, "t"]), *(f"{line},{t}" for line, t in zip(lines, target, strict=True))])
    (folder / "table.csv").write_text(text + "\n")
    settings = {"name": "table", "data": {"dataset": {"name": "csv", "target": "t"}, "path": str(folder / "table.csv")},
                "model": {"hidden_layers": [64, 64]}, "training": {"epochs": 2, "batch_size": 20}}  # fmt: skip
    run = nnscratch.train(settings, runs_dir=folder, threads=1, plots=False, quiet=True).path
    loaded = nnscratch.load(run)
    dicts = [dict(zip(names, row, strict=True)) for row in cells]
    labels = loaded.predict(dicts)
    queries = [
        Query(json.dumps(row).encode(), "application/json", (label,)) for row, label in zip(dicts, labels, strict=True)
    ]
    return Case(run, queries, lambda index: loaded.predict(dicts[index % len(dicts)]))


CASES: dict[str, Callable[[Path], Case]] = {
    "convolutional": lambda folder: pictures(folder, {"layers": CONVOLUTIONAL}, 1),
    "dense": lambda folder: pictures(folder, {"hidden_layers": [512, 256]}, 1),
    "convolutional, 8 together": lambda folder: pictures(folder, {"layers": CONVOLUTIONAL}, 8),
    "dense, 8 together": lambda folder: pictures(folder, {"hidden_layers": [512, 256]}, 8),
    "table": table,
}


def measure(case: str, clients: int, seconds: float) -> bool:
    """Prints what was counted; whether it is as it must be."""
    with tempfile.TemporaryDirectory() as name:
        asked = CASES[case](Path(name))
        alone = one_by_one(asked.predict, min(5.0, seconds))
        with served(asked.run) as server:
            load(server.port, asked.queries, clients, min(1.0, seconds))
            counted = load(server.port, asked.queries, clients, seconds)
            server.stop()
        alone = max(alone, one_by_one(asked.predict, min(5.0, seconds)))
        decoded = asked.predict_decoded and f", decoded {one_by_one(asked.predict_decoded, min(2.0, seconds)):,.0f}"
    rate = counted.rows / counted.seconds
    waits = ", ".join(f"{share:.0%} {1e3 * counted.quantile(share):.1f} ms" for share in (0.5, 0.95, 0.99))
    print(
        f"{case}: {rate:,.0f} rows/s for {clients} clients, row by row {alone:,.0f}: {rate / alone:.2f}x{decoded or ''}"
    )
    print(f"  statuses {dict(counted.statuses)}, {counted.wrong} wrong; answered within: {waits}", flush=True)
    return set(counted.statuses) == {200} and not counted.wrong and rate > alone


def one_by_one(predict: Callable[[int], object], seconds: float) -> float:
    """How many are answered in a second."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        predict(done)
        done += 1
    return done / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", choices=[*CASES, []])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    bad = [case for case in arguments.case or CASES if not measure(case, arguments.clients, arguments.seconds)]
    if bad:
        sys.exit(f"not as they must be: {', '.join(bad)}")


if __name__ == "__main__":
    main()
