"""How long one answer takes: `model.predict` of one picture beside onnxruntime on the same network's export.

    python tests/benchmarks/prediction.py [cifar fashion cifar_cnn ...] [--rounds 15] [--answers 2000]

From the bytes of one picture to the name of its class, one thread each, in processes of their own that take turns. The
weights are random: they make no difference to the time. The reference MLPs must answer within 1.5x of onnxruntime's
time; convolutional networks are reported.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from side_by_side import Work, measure, serve

import nnscratch
from nnscratch.config.config import load_config
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.loaded import LoadedRun
from nnscratch.runs.network_record import NetworkRecord
from nnscratch.training.scaling import UNCHANGED, affine

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
CASES = {
    "cifar": ("reference/cifar_notebook", (32, 32, 3), 1.5),
    "fashion": ("reference/fashion_notebook", (28, 28, 1), 1.5),
    "cifar_cnn_small": ("cifar_cnn_small", (32, 32, 3), None),
    "cifar_cnn": ("cifar_cnn", (32, 32, 3), None),
    "fashion_cnn": ("fashion_cnn", (28, 28, 1), None),
}
CONTENDERS = ("nnscratch", "onnxruntime")


def run_of(case: str, folder: Path) -> LoadedRun:
    """The case's network with random weights, as a run would have it."""
    name, shape, _ = CASES[case]
    config = load_config(CONFIGS / f"{name}.yaml")
    record = NetworkRecord.of(config)
    network = record.build(shape, 10)
    network.initialize(RandomStreams(0))
    checkpoint = folder / "best.npz"
    checkpoint.write_bytes(bytes(64))
    classes = tuple(f"class {number}" for number in range(10))
    return LoadedRun(
        RunDirectory(folder), checkpoint, 0, config.to_yaml(), record, network, affine(1 / 255, -0.5), UNCHANGED,
        shape, 10, classes, classes, None, True, None,
    )  # fmt: skip


def contender(case: str, name: str) -> Work:
    folder = Path(tempfile.mkdtemp())
    loaded = run_of(case, folder)
    picture = np.random.default_rng(0).integers(0, 256, (1, *loaded.input_shape), np.uint8)
    if name == "nnscratch":
        model = nnscratch.Model(loaded)

        def answer() -> object:
            return model.predict(picture)
    else:
        from nnscratch.export.onnx import ONNX, start

        ONNX().write(loaded, folder / "model.onnx")
        session = start(folder / "model.onnx", threads=1)

        def answer() -> object:
            return session.run(["label"], {"images": picture})

    def work(answers: int) -> None:
        for _ in range(answers):
            answer()

    return work


def compare(case: str, rounds: int, answers: int) -> bool:
    """Prints both medians; whether ours is within what the case asks for, or there is nothing to compare with."""
    _, _, most = CASES[case]
    command = [sys.executable, __file__, case, "--contender"]
    timings = {each.name: each for each in measure({name: [*command, name] for name in CONTENDERS}, answers, rounds)}
    ours = timings["nnscratch"]
    line = f"{case}: nnscratch {1e3 * ours.median:.1f} us"
    if "onnxruntime" not in timings:
        print(line)
        return True
    theirs = timings["onnxruntime"]
    ratio = 1 / ours.ratio_of(theirs)
    asked = "" if most is None else f"; at most {most}x"
    print(f"{line}, onnxruntime {1e3 * theirs.median:.1f} us: {ratio:.2f}x of its time{asked}")
    return most is None or ratio <= most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", choices=[*CASES, []])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--answers", type=int, default=2000)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cases = arguments.case or list(CASES)
    if arguments.contender:
        serve(lambda: contender(cases[0], arguments.contender))
        return
    slow = []
    for case in cases:
        answers = arguments.answers // 40 if "cnn" in case else arguments.answers  # which take milliseconds each
        if not compare(case, arguments.rounds, max(1, answers)):
            slow.append(case)
    if slow:
        sys.exit(f"too slow: {', '.join(slow)}")


if __name__ == "__main__":
    main()
