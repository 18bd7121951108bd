"""Forward and backward of five 3x3 convolutions, against PyTorch in its default layout and in channels_last.

    python tests/benchmarks/convolution.py [--batch 256] [--threads 2] [--rounds 7]

The contestants take turns within every round, so that a busy machine slows all of them; the ratios are between the
medians and between the minima of the rounds. GFLOP/s count the multiplications of the plain formula, for everybody.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import nnscratch  # noqa: F401  (chooses the BLAS kernels before NumPy is imported)
import numpy as np
from nnscratch.experiment.machine import set_blas_threads
from nnscratch.nn.layers import Conv
from nnscratch.nn.network import Network
from nnscratch.nn.parallel import Workers
from nnscratch.nn.random_streams import RandomStreams

SHAPES = ((31, 24, 64), (15, 64, 64), (15, 64, 256), (7, 256, 256), (3, 256, 256))
"""Image size, channels in, channels out."""

Step = Callable[[], object]


def ours(size: int, C: int, K: int, N: int, threads: int) -> Step:
    """A forward and a backward pass of our layer, dx included."""
    network = Network([Conv(K, kernel=3)], (size, size, C))
    network.initialize(RandomStreams(0), workers=Workers(threads))
    network.skip_input_gradient(False)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, size, size, C), dtype=np.float32)
    dy = rng.standard_normal((N, size, size, K), dtype=np.float32)

    def step() -> None:
        network.forward(x, training=True)
        network.backward(dy)

    return step


def pytorch(size: int, C: int, K: int, N: int, channels_last: bool) -> Step:
    """The same of PyTorch's layer."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    layer = torch.nn.Conv2d(C, K, 3, padding=1).to(memory_format=layout)
    x = torch.randn(N, C, size, size).contiguous(memory_format=layout).requires_grad_()
    dy = torch.randn(N, K, size, size).contiguous(memory_format=layout)

    def step() -> None:
        x.grad = None
        layer.zero_grad()
        layer(x).backward(dy)

    return step


def seconds(step: Step) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    set_blas_threads(1)
    print(f"batch {options.batch}, {options.threads} threads, PyTorch {torch.__version__}, NumPy {np.__version__}")
    print(f"{'shape':>16} {'ours':>9} {'default':>9} {'ch. last':>9}   ms, median;  GFLOP/s of ours at best")
    names = ("ours", "default", "channels_last")
    medians, minima = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for size, C, K in SHAPES:
        steps = {
            "ours": ours(size, C, K, options.batch, options.threads),
            "default": pytorch(size, C, K, options.batch, channels_last=False),
            "channels_last": pytorch(size, C, K, options.batch, channels_last=True),
        }
        times: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(options.rounds + 1):
            for name, step in steps.items():
                times[name].append(seconds(step))
        for name in names:
            medians[name] += statistics.median(times[name][1:])
            minima[name] += min(times[name][1:])
        shown = " ".join(f"{1e3 * statistics.median(times[name][1:]):9.1f}" for name in names)
        rate = 3 * 2 * 9 * C * K * size**2 * options.batch / min(times["ours"]) / 1e9
        print(f"{f'{size}: {C} -> {K}':>16} {shown} {rate:9.0f}")
    for what, totals in (("medians", medians), ("minima", minima)):
        shown = " ".join(f"{1e3 * totals[name]:9.1f}" for name in names)
        against = ", ".join(f"{totals[name] / totals['ours']:.2f}x {name}" for name in names[1:])
        print(f"{'sum of ' + what:>16} {shown}   speed of ours: {against}")


if __name__ == "__main__":
    main()
