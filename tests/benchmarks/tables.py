"""Small tables as they come, beside scikit-learn: `nnscratch init my.yaml --data FOLDER --target T`, then `train`.

    python tests/benchmarks/tables.py                         every table of ../shared/tables, five splits each
    python tests/benchmarks/tables.py --tables iris tips --seeds 1
    python tests/benchmarks/tables.py --folder mine           another folder, with a targets.json of its own

targets.json gives for each file its `target`, its `task` and, where they are known, scores of scikit-learn's MLP and
linear model. A split is scikit-learn's, 80:20 and stratified for classes, of the rows that have a target; it is written
as train.csv and test.csv, the lines as they are. The score is the accuracy or R2 on test.csv, the mean over the splits.
scikit-learn (`pip install '.[benchmarks]'`) is also trained on the very features that nnscratch makes of the columns,
standardized, which include the parts of dates. It all runs on one thread.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.config.assembly import prepare
from nnscratch.config.config import Config, load_config
from nnscratch.datasets.tables.reader import read_table
from nnscratch.experiment.train import train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.results.evaluate import Request, evaluate_run
from nnscratch.results.measured import Classified
from nnscratch.setup.fitted_starter import write_fitted

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "tables"
MARGIN = 0.03
"""So much the better of the two may be better."""
GAPS = {"", "na", "n/a", "nan", "null", "none", "?", "-", "."}


@dataclass(frozen=True)
class Row:
    """The mean scores on one table: ours, scikit-learn's as published with the table, and its own on our features."""

    table: str
    rows: int
    ours: float
    published: dict[str, float]
    here: dict[str, float]
    seconds: float

    def behind(self, others: dict[str, float]) -> float | None:
        """How much the better of the others is better; negative where ours is."""
        return max(others.values()) - self.ours if others else None


def main() -> None:
    """Prints a row of figures for each table, and whether enough of them are reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="with the tables and targets.json")
    parser.add_argument("--tables", nargs="*", help="only these, without .csv")
    parser.add_argument("--seeds", type=int, default=5, help="splits of each table")
    parser.add_argument("--alone", action="store_true", help="do not train scikit-learn again")
    given = parser.parse_args()
    targets = json.loads((given.folder / "targets.json").read_text())
    chosen = {name: each for name, each in targets.items() if not given.tables or Path(name).stem in given.tables}
    head = ("rows", "nnscratch", "MLP", "linear", "behind", "MLP here", "linear here", "behind", "s a run")
    print(f"{'table':<16}" + "".join(f"{title:>12}" for title in head))
    rows = []
    for name, about in chosen.items():
        rows.append(compare(given.folder / name, about, given.seeds, alone=given.alone))
        print(text_of(rows[-1]), flush=True)
    for what in ("published", "here"):
        behind = [row.behind(getattr(row, what)) for row in rows]
        reached = sum(each <= MARGIN for each in behind if each is not None)
        if any(each is None for each in behind):
            continue
        print(f"no more than {MARGIN} behind the better one of scikit-learn's ({what}): {reached} of {len(rows)}")


def text_of(row: Row) -> str:
    """A line of the table."""
    cells: list[str] = [f"{row.rows:,}", f"{row.ours:.3f}"]
    for others in (row.published, row.here):
        behind = row.behind(others)
        cells += [f"{others[name]:.3f}" if name in others else "-" for name in ("mlp", "linear")]
        cells.append("-" if behind is None else f"{behind:+.3f}" + ("!" if behind > MARGIN else " "))
    return f"{row.table:<16}" + "".join(f"{cell:>12}" for cell in (*cells, f"{row.seconds:.1f}"))


def compare(file: Path, about: dict[str, Any], seeds: int, *, alone: bool) -> Row:
    """The scores on one table, the means over its splits."""
    ours, seconds, here = [], [], []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            count = split(file, about["target"], about["task"], seed, folder / "data")
            started = time.perf_counter()
            config = as_it_comes(folder, about["target"])
            ours.append(score(config, folder))
            seconds.append(time.perf_counter() - started)
            if not alone:
                here.append(scikit_learn(config, folder, seed))
    means = {name: float(np.mean([each[name] for each in here])) for name in (here[0] if here else ())}
    published = {name: about[name] for name in ("mlp", "linear") if name in about}
    return Row(file.stem, count, float(np.mean(ours)), published, means, float(np.mean(seconds)))


def split(file: Path, target: str, task: str, seed: int, folder: Path) -> int:
    """Writes the lines of the split into train.csv and test.csv: how many rows have a target."""
    from sklearn.model_selection import train_test_split

    table = read_table(file)
    cells = ["" if cell is None else str(cell).strip() for cell in table.column(target)]
    known = [row for row, cell in enumerate(cells) if cell.lower() not in GAPS]
    labels = [cells[row] for row in known] if task == "classification" else None
    parts = train_test_split(known, test_size=0.2, random_state=seed, stratify=labels)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    folder.mkdir()
    for name, rows in zip(("train", "test"), parts, strict=True):
        body = [lines[int(table.lines[row]) - 1] for row in rows]
        (folder / f"{name}.csv").write_text("".join([lines[0], *(f"{line.rstrip()}\n" for line in body)]))
    return len(known)


def as_it_comes(folder: Path, target: str) -> Config:
    """The config that `nnscratch init my.yaml --data FOLDER --target T` writes."""
    path = folder / "my.yaml"
    write_fitted(path, folder / "data", [target], folder, Display(quiet=True))
    return load_config(path)


def score(config: Config, folder: Path) -> float:
    """The accuracy or R2 of `nnscratch train my.yaml` on test.csv."""
    workplace = Workplace(folder, folder / "runs", threads=1, plots=False)
    display = Display(json=True, quiet=True)
    summary = train(config, workplace, display)
    measured = evaluate_run(summary.run, Request(), workplace, display).measured
    figures = {figure.metric.name: figure.value for figure in measured.figures}
    return float(figures["accuracy" if isinstance(measured, Classified) else "r2"])


def scikit_learn(config: Config, folder: Path, seed: int) -> dict[str, float]:
    """The scores of scikit-learn's MLP and linear model on the features of the config's own rows."""
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    dataset = prepare(config, Workplace(folder, threads=1), Display(quiet=True)).dataset
    train_x, train_t = dataset.train_inputs, dataset.train_targets
    assert dataset.test_inputs is not None
    assert dataset.test_targets is not None
    models = (
        {"mlp": MLPClassifier(max_iter=500, random_state=seed), "linear": LogisticRegression(max_iter=2000)}
        if dataset.classes is not None
        else {"mlp": MLPRegressor(max_iter=500, random_state=seed), "linear": LinearRegression()}
    )
    flat = train_t if train_t.ndim == 1 else train_t[:, 0]
    test_t = dataset.test_targets if train_t.ndim == 1 else dataset.test_targets[:, 0]
    scores = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 500 passes were not enough
        for name, model in models.items():
            fitted = make_pipeline(StandardScaler(), model).fit(train_x.astype(np.float64), flat)
            scores[name] = float(fitted.score(dataset.test_inputs.astype(np.float64), test_t))
    return scores


if __name__ == "__main__":
    main()
