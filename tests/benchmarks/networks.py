"""Time of an update of convolutional networks as people write them: nnscratch and PyTorch in both of its layouts.

    python tests/benchmarks/networks.py                       all of them
    python tests/benchmarks/networks.py resnet20 --rounds 9

An update is: a batch gathered from uint8 images and standardized, forward, loss and accuracy, backward, and the
optimizer's step, which in PyTorch is the fused one. Each contender works in a process of its own, in turns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from in_pytorch import torch_model
from side_by_side import Work, measure, serve

import nnscratch
from nnscratch.config.assembly import Assembly, build_network
from nnscratch.config.config import Config, config_from_mapping
from nnscratch.config.data import Splits
from nnscratch.training.examples import Examples

CLASSES, IMAGES = 10, 10_000
CONTENDERS = ("nnscratch", "channels_last", "default")
SGD = {"sgd": {"learning_rate": 0.01, "momentum": 0.9}}
ADAM = {"adam": {"learning_rate": 0.001}}


@dataclass(frozen=True)
class Case:
    """A network, the images it is given, and the batch and optimizer it is mostly trained with."""

    layers: list[Any]
    shape: tuple[int, int, int]
    batch: int
    optimizer: dict[str, Any]
    updates: int

    @property
    def config(self) -> Config:
        """Endless, and without validation."""
        training = {"epochs": 1_000_000, "batch_size": self.batch}
        sections = {"data": {"dataset": "shapes", "validation": 0}, "model": {"layers": self.layers}}
        return config_from_mapping({**sections, "optimizer": self.optimizer, "training": training})


def conv(channels: int, kernel: int = 3, **how: Any) -> dict[str, Any]:
    return {"conv": {"channels": channels, "kernel": kernel, **how}}


def normed(channels: int, kernel: int = 3, **how: Any) -> list[Any]:
    """A convolution without bias and batch norm, which has one."""
    return [conv(channels, kernel, bias=False, **how), "batch_norm"]


def resnet() -> Iterator[Any]:
    """He et al. 2016, section 4.2, with n = 3: 20 layers."""
    yield from (*normed(16), "relu")
    for channels in (16, 32, 64):
        for block in range(3):
            grows = channels > 16 and block == 0
            stride = 2 if grows else 1
            around = normed(channels, 1, stride=2) if grows else []
            inside = [*normed(channels, stride=stride), "relu", *normed(channels)]
            yield {"residual": {"layers": inside, "shortcut": around}}
            yield "relu"
    yield from ("global_average_pool", "dense")


def mobilenet() -> Iterator[Any]:
    """Blocks of Howard et al. 2017, table 1: a depthwise convolution and one of 1x1, for small images."""
    yield from (*normed(32), "relu")
    channels = 32
    for outputs, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        yield from (*normed(channels, stride=stride, groups=channels), "relu", *normed(outputs, 1), "relu")
        channels = outputs
    yield from ("global_average_pool", "dense")


def vgg() -> Iterator[Any]:
    """Simonyan & Zisserman 2015, its first blocks, with batch norm, for small images."""
    for channels in (64, 128, 256):
        yield from (*normed(channels), "relu", *normed(channels), "relu", {"max_pool": 2})
    yield from ("flatten", {"dense": 256}, "relu", "dense")


LENET = [conv(6, 5), "relu", {"max_pool": 2}, conv(16, 5, padding="valid"), "relu", {"max_pool": 2}, "flatten"]
LENET += [{"dense": 120}, "relu", {"dense": 84}, "relu", "dense"]
TUTORIAL = [conv(32, padding="valid"), "relu", {"max_pool": 2}, conv(64, padding="valid"), "relu", {"max_pool": 2}]
TUTORIAL += [conv(64, padding="valid"), "relu", "flatten", {"dense": 64}, "relu", "dense"]
GREY, COLOURED = (28, 28, 1), (32, 32, 3)
CASES = {
    "lenet5": Case(LENET, GREY, 64, ADAM, 60),
    "tutorial": Case(TUTORIAL, COLOURED, 64, ADAM, 20),
    "resnet20": Case(list(resnet()), COLOURED, 128, SGD, 3),
    "mobilenet": Case(list(mobilenet()), COLOURED, 128, SGD, 3),
    "vgg": Case(list(vgg()), COLOURED, 64, SGD, 1),
}


def examples(case: Case) -> Examples:
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, *case.shape), dtype=np.uint8)
    return Examples.all_of(images, rng.integers(0, CLASSES, IMAGES))


def nnscratch_work(case: Case, threads: int) -> Work:
    from nnscratch.datasets.dataset import Dataset
    from nnscratch.training.progress import StepResult

    train = examples(case)
    classes = tuple(map(str, range(CLASSES)))
    dataset = Dataset("random", train.inputs, train.targets, None, None, classes, "random numbers")
    network = build_network(case.config, case.shape, CLASSES)
    results = Assembly(case.config, dataset, Splits(train, None, None), network).trainer(threads).run(train)

    def work(updates: int) -> None:
        while updates:
            updates -= isinstance(next(results), StepResult)

    return work


def torch_work(case: Case, threads: int, channels_last: bool) -> Work:
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    train = examples(case)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = torch_model(build_network(case.config, case.shape, CLASSES)).to(memory_format=layout)
    affine = case.config.data.scaling.build().fit(train)
    multiplier, offset = torch.from_numpy(affine.multiplier), torch.from_numpy(affine.offset)
    inputs, targets = torch.from_numpy(train.inputs), torch.from_numpy(train.targets)
    settings = next(iter(case.optimizer.values()))
    if "momentum" in settings:
        optimizer = torch.optim.SGD(model.parameters(), settings["learning_rate"], settings["momentum"], fused=True)
    else:
        optimizer = torch.optim.Adam(model.parameters(), settings["learning_rate"], fused=True)
    totals = torch.zeros(2)

    def shuffled() -> Iterator[torch.Tensor]:
        while True:
            yield from torch.randperm(IMAGES).split(case.batch)

    batches = shuffled()

    def work(updates: int) -> None:
        for _ in range(updates):
            rows = next(batches)
            x = inputs.index_select(0, rows).float().mul_(multiplier).add_(offset).permute(0, 3, 1, 2)
            t, y = targets[rows], model(x.contiguous(memory_format=layout))
            loss = torch.nn.functional.cross_entropy(y, t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            totals[0] += loss.detach()
            totals[1] += (y.argmax(1) == t).sum()

    return work


WORKS = {
    "nnscratch": nnscratch_work,
    "channels_last": partial(torch_work, channels_last=True),
    "default": partial(torch_work, channels_last=False),
}


def compare(names: list[str], threads: int, rounds: int) -> None:
    """Prints a row per network."""
    print(f"ms per update at the median, {threads} threads, on {nnscratch.cpu.cpu_model()}")
    print(f"{'':>12}{'batch':>7}" + "".join(f"{name:>15}" for name in CONTENDERS) + "   faster than PyTorch's better")
    for name in names:
        case = CASES[name]
        commands = {
            each: [sys.executable, __file__, name, "--contender", each, f"--threads={threads}"] for each in WORKS
        }
        timings = {timing.name: timing for timing in measure(commands, case.updates, rounds)}
        row = f"{name:>12}{case.batch:>7}"
        row += "".join(f"{timings[each].median:15.2f}" if each in timings else f"{'-':>15}" for each in CONTENDERS)
        theirs = [timing for each, timing in timings.items() if each != "nnscratch"]
        ratios = [timings["nnscratch"].ratio_of(each) for each in theirs]
        print(row + (f"{min(ratios):30.2f}x" if ratios else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(CASES)}; none: all")
    parser.add_argument("--threads", type=int, default=nnscratch.cpu.available_cores())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.networks) - set(CASES):
        parser.error(f"there is no network {', '.join(sorted(unknown))} (there are: {', '.join(CASES)})")
    names = options.networks or list(CASES)
    if options.contender:
        serve(lambda: WORKS[options.contender](CASES[names[0]], options.threads))
    else:
        compare(names, options.threads, options.rounds)


if __name__ == "__main__":
    main()
