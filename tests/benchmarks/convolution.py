"""Time of five 3x3 convolutions, forward and backward: nnscratch and PyTorch in both of its layouts.

    python tests/benchmarks/convolution.py [--batch 256] [--threads 2] [--rounds 7]

Each contender works in a process of its own, in turns. GFLOP/s count the operations of the plain formula for everybody:
an algorithm that needs fewer may show more than the machine has.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from side_by_side import Timing, Work, measure, serve

import nnscratch

SHAPES = ((31, 24, 64), (15, 64, 64), (15, 64, 256), (7, 256, 256), (3, 256, 256))
"""Image size, channels in, channels out."""

CONTENDERS = ("nnscratch", "channels_last", "default")
MUSTS = {"channels_last": 0.9, "default": 1.3}


def nnscratch_work(size: int, C: int, K: int, batch: int, threads: int) -> Work:
    import numpy as np

    from nnscratch.host.machine import share_threads
    from nnscratch.nn.layers import Conv
    from nnscratch.nn.network import Network
    from nnscratch.nn.random_streams import RandomStreams

    network = Network([Conv(K)], (size, size, C))
    network.initialize(RandomStreams(0))
    network.skip_input_gradient(False)
    share_threads(network, threads)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, size, size, C), dtype=np.float32)
    dy = rng.standard_normal((batch, size, size, K), dtype=np.float32)

    def work(updates: int) -> None:
        for _ in range(updates):
            network.forward(x, training=True)
            network.backward(dy)

    work(1)
    return work


def torch_work(size: int, C: int, K: int, batch: int, threads: int, channels_last: bool) -> Work:
    import torch

    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    layer = torch.nn.Conv2d(C, K, 3, padding=1).to(memory_format=layout)
    x = torch.randn(batch, C, size, size).contiguous(memory_format=layout).requires_grad_()
    dy = torch.randn(batch, K, size, size).contiguous(memory_format=layout)

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
    parser.add_argument("--shape", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender is None:
        compare(options.batch, options.threads, options.rounds)
        return
    size, C, K = options.shape
    if options.contender == "nnscratch":
        serve(lambda: nnscratch_work(size, C, K, options.batch, options.threads))
    else:
        last = options.contender == "channels_last"
        serve(lambda: torch_work(size, C, K, options.batch, options.threads, last))


def compare(batch: int, threads: int, rounds: int) -> None:
    """Prints a row per convolution, and the ratios of the sums over all of them."""
    print(f"forward and backward, batch {batch}, {threads} threads, on {nnscratch.cpu.cpu_model()}")
    print("GFLOP/s at the median:")
    print(f"{'':>16}" + "".join(f"{name:>16}" for name in CONTENDERS))
    sums: dict[str, list[float]] = {}
    for size, C, K in SHAPES:
        options = [f"--batch={batch}", f"--threads={threads}", "--shape", str(size), str(C), str(K)]
        commands = {name: [sys.executable, __file__, "--contender", name, *options] for name in CONTENDERS}
        timings = measure(commands, 1, rounds)
        work = 3 * 2 * 9 * C * K * size**2 * batch
        rates = {timing.name: work / timing.median / 1e6 for timing in timings}
        print(f"{f'{size}: {C} to {K}':>16}" + "".join(f"{rates.get(name, float('nan')):16.0f}" for name in CONTENDERS))
        for timing in timings:
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
