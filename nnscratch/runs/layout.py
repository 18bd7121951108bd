"""What is where in the folder of a run: every name once. `nnscratch.cpu`, which may import nothing, repeats META."""

from __future__ import annotations

CONFIG = "config.yaml"
META = "meta.json"
METRICS = "metrics.jsonl"
METRICS_TABLE = "metrics.csv"
REPORT = "report.html"
LOG = "logs/train.log"
TRACEBACK = "logs/traceback.txt"
CHECKPOINTS = "checkpoints"
LAST = "checkpoints/last.npz"
BEST = "checkpoints/best.npz"
CHECKPOINT_SUFFIX = ".npz"
PLOTS = "plots"
PLUGINS = "plugins"
EVALUATION = "evaluation"
LOCK = ".lock"
