"""Time of convolutions, forward and backward: nnscratch and PyTorch in both of its layouts.

Five of 3x3, whose ratio is held, then those of other kernels, strides and groups that people write.

    python tests/benchmarks/convolution.py [--batch 256] [--threads 2] [--rounds 7]

Each contender works in a process of its own, in turns. GFLOP/s count the operations of the plain formula for everybody:
an algorithm that needs fewer may show more than the machine has.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from side_by_side import Timing, Work, measure, serve

import nnscratch


class Shape(NamedTuple):
    """A convolution of square images, padded to `same` size."""

    size: int
    C: int
    K: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1

    def __str__(self) -> str:
        what = f"{self.kernel}x{self.kernel}" + (f" stride {self.stride}" if self.stride > 1 else "")
        return f"{self.size}: {self.C} to {self.K}, {what}" + (f", {self.groups} groups" if self.groups > 1 else "")

    @property
    def outputs(self) -> int:
        return -(-self.size // self.stride)

    @property
    def operations(self) -> int:
        """Of the plain formula, forward and backward, for an image."""
        return 3 * 2 * self.kernel**2 * self.C * self.K * self.outputs**2 // self.groups


SHAPES = (Shape(31, 24, 64), Shape(15, 64, 64), Shape(15, 64, 256), Shape(7, 256, 256), Shape(3, 256, 256))
OTHERS = (
    Shape(16, 64, 128, kernel=1),
    Shape(16, 64, 128, kernel=1, stride=2),
    Shape(16, 32, 64, kernel=5),
    Shape(32, 32, 64, stride=2),
    Shape(16, 64, 128, stride=2),
    Shape(8, 256, 512, stride=2),
    Shape(4, 512, 512, stride=2),
    Shape(32, 16, 16),
    Shape(32, 3, 32),
    Shape(16, 64, 64, groups=64),
    Shape(8, 256, 256, groups=256),
    Shape(32, 64, 64, stride=2, groups=64),
    Shape(16, 128, 128, groups=4),
    Shape(16, 128, 128, groups=32),
)

UPDATES = 4  # one after another, as in a training
CONTENDERS = ("nnscratch", "channels_last", "default")
MUSTS = {"channels_last": 0.9, "default": 1.3}


def nnscratch_work(shape: Shape, batch: int, threads: int) -> Work:
    import numpy as np

    from nnscratch.host.machine import share_threads
    from nnscratch.nn.layers import Conv
    from nnscratch.nn.network import Network
    from nnscratch.nn.random_streams import RandomStreams

    size, C, K, kernel, stride, groups = shape
    network = Network([Conv(K, kernel, stride, kernel // 2, groups=groups)], (size, size, C))
    network.initialize(RandomStreams(0))
    network.skip_input_gradient(C == 3)  # as a network's first layer does
    share_threads(network, threads)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, size, size, C), dtype=np.float32)
    dy = rng.standard_normal((batch, shape.outputs, shape.outputs, K), dtype=np.float32)

    def work(updates: int) -> None:
        for _ in range(updates):
            network.forward(x, training=True)
            network.backward(dy)

    work(1)
    return work


def torch_work(shape: Shape, batch: int, threads: int, channels_last: bool) -> Work:
    import torch

    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    size, C, K, kernel, stride, groups = shape
    layer = torch.nn.Conv2d(C, K, kernel, stride, kernel // 2, groups=groups).to(memory_format=layout)
    x = torch.randn(batch, C, size, size).contiguous(memory_format=layout).requires_grad_(C != 3)
    dy = torch.randn(batch, K, shape.outputs, shape.outputs).contiguous(memory_format=layout)

    def work(updates: int) -> None:
        for _ in range(updates):
            x.grad = None
            layer.zero_grad()
            layer(x).backward(dy)

    work(1)
    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=nnscratch.cpu.available_cores())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--shape", type=int, nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender is None:
        compare(options.batch, options.threads, options.rounds)
        return
    shape = Shape(*options.shape)
    if options.contender == "nnscratch":
        serve(lambda: nnscratch_work(shape, options.batch, options.threads))
    else:
        last = options.contender == "channels_last"
        serve(lambda: torch_work(shape, options.batch, options.threads, last))


def compare(batch: int, threads: int, rounds: int) -> None:
    """Prints a row per convolution, and the ratios of the sums over the first five."""
    print(f"forward and backward, batch {batch}, {threads} threads, on {nnscratch.cpu.cpu_model()}")
    print("GFLOP/s at the median; how much faster than PyTorch's better layout:")
    print(f"{'':>30}" + "".join(f"{name:>15}" for name in CONTENDERS))
    sums: dict[str, list[float]] = {}
    for shape in (*SHAPES, *OTHERS):
        options = [f"--batch={batch}", f"--threads={threads}", "--shape", *map(str, shape)]
        commands = {name: [sys.executable, __file__, "--contender", name, *options] for name in CONTENDERS}
        timings = measure(commands, UPDATES, rounds)
        rates = {timing.name: shape.operations * batch / timing.median / 1e6 for timing in timings}
        row = f"{shape!s:>30}" + "".join(f"{rates.get(name, float('nan')):15.0f}" for name in CONTENDERS)
        ours, *theirs = sorted(timings, key=lambda timing: timing.name != "nnscratch")
        print(row + (f"{min(ours.ratio_of(each) for each in theirs):7.2f}x" if theirs else ""), flush=True)
        for timing in timings if shape in SHAPES else ():
            total = sums.setdefault(timing.name, [0.0] * rounds)
            sums[timing.name] = [a + b for a, b in zip(total, timing.milliseconds, strict=True)]
    totals = {name: Timing(name, tuple(values)) for name, values in sums.items()}
    ours = totals["nnscratch"]
    for name, total in totals.items():
        line = f"{name:>16} {total.median:8.1f} ms, at best {min(total.milliseconds):8.1f}"
        if name in MUSTS:
            best = min(total.milliseconds) / min(ours.milliseconds)
            line += (
                f"; nnscratch is {ours.ratio_of(total):.2f}x as fast (at best {best:.2f}x; to reach: {MUSTS[name]}x)"
            )
        print(line)
    spread = statistics.stdev(ours.milliseconds) / statistics.mean(ours.milliseconds) if rounds > 1 else 0.0
    print(f"spread of ours between rounds: {spread:.0%}")


if __name__ == "__main__":
    main()
