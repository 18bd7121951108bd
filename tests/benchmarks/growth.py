"""How the time of an update grows with the network, the batch and the threads: nnscratch beside PyTorch.

    python tests/benchmarks/growth.py                              all series; the picture goes to growth.png
    python tests/benchmarks/growth.py batch width --rounds 5 --picture docs/images/growth.png

An update is: a batch gathered from uint8 images, forward, loss and accuracy, backward, Adam (with L2 where networks are
dense), in PyTorch its fused one, and convolutions in its channels_last layout. The exponent e says that time grows like
value^e over the last two points of a series; where PyTorch is faster by more than a tenth, the line says so.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import dense
import networks
from side_by_side import Timing, Work, measure, serve

import nnscratch

CORES = nnscratch.cpu.available_cores()
SECONDS, RATE = 0.3, 1e11
"""Of a round's work, at about so many operations a second."""


@dataclass(frozen=True)
class Point:
    """One size: a dense network's widths, or the channels of three convolutions and the image size; batch, threads."""

    value: int
    widths: tuple[int, ...]
    batch: int
    threads: int = CORES
    image: int = 0

    @property
    def case(self) -> dense.Case:
        return dense.Case(self.widths[0], self.widths[1:], self.batch, 1, {})

    @property
    def convolutions(self) -> networks.Case:
        """Each of 3x3 and followed by ReLU, then the mean of all pixels and a dense layer."""
        layers = [each for channels in self.widths for each in (networks.conv(channels), "relu")]
        shape = (self.image, self.image, 3)
        return networks.Case([*layers, "global_average_pool", "dense"], shape, self.batch, networks.ADAM, 1)

    @property
    def flops(self) -> int:
        """Of an update, about."""
        if not self.image:
            return self.case.flops
        pairs = zip((3, *self.widths), self.widths, strict=False)
        return self.batch * 3 * sum(2 * 9 * self.image**2 * C * K for C, K in pairs)

    @property
    def updates(self) -> int:
        """How many of them take about SECONDS."""
        return max(1, round(SECONDS / (self.flops / RATE + 2e-4)))


SERIES: dict[str, tuple[str, list[Point]]] = {
    "batch": ("784-512-512-10, batch", [Point(n, (784, 512, 512), n) for n in (16, 64, 256, 1024, 4096)]),
    "width": ("784-w-w-10, batch 64, w", [Point(w, (784, w, w), 64) for w in (64, 256, 1024, 4096)]),
    "depth": ("layers of 256, batch 128", [Point(n, (784, *[256] * n), 128) for n in (1, 3, 6, 12, 24)]),
    "channels": (
        "three of 3x3 on 16x16 pixels, batch 64, channels",
        [Point(C, (C, C, C), 64, image=16) for C in (8, 16, 32, 64, 128, 256)],
    ),
    "pixels": (
        "three of 3x3, 32 channels, batch 64, image size",
        [Point(size, (32, 32, 32), 64, image=size) for size in (8, 16, 32, 64)],
    ),
    "threads": (
        "3072-512-256-10, batch 128, threads",
        [Point(n, (3072, 512, 256), 128, n) for n in sorted({1, 2, CORES} & set(range(CORES + 1)))],
    ),
}


def work(point: Point, contender: str) -> Work:
    if point.image:
        if contender == "nnscratch":
            return networks.nnscratch_work(point.convolutions, point.threads)
        return networks.torch_work(point.convolutions, point.threads, channels_last=True)
    if contender == "nnscratch":
        return dense.nnscratch_work(point.case, point.threads)
    return dense.torch_work(point.case, "fused", point.threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", nargs="*", choices=[*SERIES, []], help="left out: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--picture", type=Path, default=Path("growth.png"))
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--value", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender is not None:
        name = options.series[0]
        point = next(each for each in SERIES[name][1] if each.value == options.value)
        serve(lambda: work(point, options.contender))
        return
    print(f"ms per update, {CORES} threads, on {nnscratch.cpu.cpu_model()}")
    found = {name: timed(name, options.rounds) for name in options.series or SERIES}
    draw(found, options.picture)


def timed(name: str, rounds: int) -> list[tuple[int, dict[str, Timing]]]:
    """The timings of a series' points, printed as they come."""
    title, points = SERIES[name]
    print(f"\n{title}\n{'':>8}{'nnscratch':>12}{'PyTorch':>12}{'faster':>10}")
    found = []
    for point in points:
        commands = {
            contender: [sys.executable, __file__, name, "--contender", contender, "--value", str(point.value)]
            for contender in ("nnscratch", "PyTorch")
        }
        timings = {each.name: each for each in measure(commands, point.updates, rounds)}
        found.append((point.value, timings))
        ours, theirs = timings["nnscratch"], timings.get("PyTorch")
        line = f"{point.value:>8}{ours.median:12.3f}"
        if theirs is not None:
            ratio = ours.ratio_of(theirs)
            line += f"{theirs.median:12.3f}{ratio:9.2f}x" + ("   slower by more than a tenth" if ratio < 0.9 else "")
        print(line, flush=True)
    for contender in found[0][1]:
        (before, a), (last, b) = ((value, timings[contender].median) for value, timings in found[-2:])
        print(f"{contender}: time grows like its {math.log(b / a) / math.log(last / before):.2f}th power at the end")
    return found


def draw(found: dict[str, list[tuple[int, dict[str, Timing]]]], path: Path) -> None:
    """A panel for each series, both axes logarithmic."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, (name, points) in zip(panels, found.items(), strict=False):
        for contender, colour in (("nnscratch", "#0072B2"), ("PyTorch", "#D55E00")):
            known = [(value, timings[contender].median) for value, timings in points if contender in timings]
            panel.loglog(*zip(*known, strict=True), "o-", color=colour, label=contender) if known else None
        values = [value for value, _ in points]
        panel.set_xticks(values, [str(value) for value in values], minor=False)
        panel.set_xticks([], minor=True)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.set(title=SERIES[name][0], ylabel="ms per update")
        panel.title.set_fontsize(9)
        panel.grid(visible=True, alpha=0.3)
    for panel in panels[len(found) :]:
        panel.remove()
    panels[0].legend()
    figure.suptitle(f"Time of an update on {CORES} cores of {nnscratch.cpu.cpu_model()}", fontsize=10)
    figure.savefig(path, dpi=120)
    print(f"\n{path}; the figures:\n" + json.dumps({
        name: {value: {each: round(timing.median, 4) for each, timing in timings.items()} for value, timings in points}
        for name, points in found.items()
    }))  # fmt: skip


if __name__ == "__main__":
    main()
