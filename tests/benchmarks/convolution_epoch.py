"""Time of an epoch of a convolutional network, and its memory: nnscratch and PyTorch in channels_last.

    python tests/benchmarks/convolution_epoch.py [--batch 1024] [--threads 2] [--rounds 3] [--updates 2]

An update is: a batch gathered from uint8 images, moved and flipped, forward, loss and accuracy, backward, Nesterov SGD
with L2. The network is that of configs/cifar_cnn.yaml, trained as Jordan (2024) does without muon, on 50,000 random
images; PyTorch gets the same layers. Updates are timed; an epoch is as many of them as the images make batches.
Each contender works in a process of its own, in turns; its memory is the most that this process ever held, and what
those that it forked hold beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from in_pytorch import torch_model
from side_by_side import Timing, Work, measure, serve

import nnscratch
from nnscratch.config.assembly import Assembly, build_network
from nnscratch.config.config import Config, load_config
from nnscratch.config.data import Splits
from nnscratch.nn.layer import Layer
from nnscratch.nn.network import Network
from nnscratch.training.examples import Examples

SHAPE, CLASSES = (32, 32, 3), 10
OURS, THEIRS = "nnscratch", "channels_last"
MUST_BE_FASTER, MUST_FIT = 1.0, 2.5
"""How many times as fast as PyTorch, and in how many GB."""


def load(options: argparse.Namespace) -> Config:
    """The config without averaging, and so many epochs that the learning rate stays where its schedule starts."""
    overrides = [f"training.batch_size={options.batch}", "training.averaging=null", "training.epochs=1000000"]
    overrides += ["optimizer={sgd: {learning_rate: 1.5, momentum: 0.85, nesterov: true}}", "l2=1.33e-3"]
    return load_config(options.config, overrides)


def network_of(config: Config) -> Network:
    return build_network(config, SHAPE, CLASSES)


def updates_per_epoch(config: Config, images: int) -> int:
    return -(-images // config.training.batch_size)


def random_examples(count: int) -> Examples:
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    return Examples.all_of(images, rng.integers(0, CLASSES, count))


def nnscratch_work(config: Config, train: Examples, threads: int) -> tuple[Work, int]:
    """The updates of `nnscratch train`, and the number of parameters."""
    from nnscratch.datasets.dataset import Dataset
    from nnscratch.training.progress import StepResult

    classes = tuple(map(str, range(CLASSES)))
    dataset = Dataset("random", train.inputs, train.targets, None, None, classes, "random numbers")
    network = network_of(config)
    results = Assembly(config, dataset, Splits(train, None, None), network).trainer(threads).run(train)

    def work(updates: int) -> None:
        while updates:
            updates -= isinstance(next(results), StepResult)

    return work, network.parameters.size


def torch_work(config: Config, train: Examples, threads: int) -> tuple[Work, int]:
    """The same updates in PyTorch, and the number of parameters."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    labels = torch.from_numpy(train.targets)
    network = network_of(config)
    model = torch_model(network).to(memory_format=torch.channels_last)
    optimizer = torch_optimizer(config, len(labels), network.layers, list(model))
    augmented = torch_augmentation(config, train)
    smoothing = config.loss.build().label_smoothing
    totals = torch.zeros(2)

    def shuffled() -> Iterator[torch.Tensor]:
        while True:
            yield from torch.randperm(len(labels)).split(config.training.batch_size)

    batches = shuffled()

    def work(updates: int) -> None:
        for _ in range(updates):
            rows = next(batches)
            t = labels[rows]
            y = model(augmented(rows))
            loss = torch.nn.functional.cross_entropy(y, t, label_smoothing=smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            totals[0] += loss.detach()
            totals[1] += (y.argmax(1) == t).sum()

    # Frozen weights are parameters; the 1 that PyTorch multiplies by where a batch_norm has no scale is none.
    return work, sum(p.numel() for p in model.parameters() if p.requires_grad or p.ndim > 1)


def torch_optimizer(config: Config, images: int, layers: list[Layer], modules: list):
    """SGD with the config's rates and L2; what shares both is updated together."""
    import torch

    steps = updates_per_epoch(config, images)
    factor = config.schedule.build()(0, config.training.epochs * steps, steps, [])
    sgd, l2 = config.optimizer.build(), config.l2.build().coefficient(config.training.batch_size)
    groups: dict[tuple[float, float], list] = {}
    for layer, module in zip(layers, modules, strict=True):
        for name, parameter in module.named_parameters():
            scale = getattr(layer, "shift_learning_rate" if layer.name == "batch_norm" else "learning_rate_scale")
            if parameter.requires_grad:
                groups.setdefault((scale, l2 if name == "weight" else 0.0), []).append(parameter)
    return torch.optim.SGD(
        [
            {"params": parameters, "lr": sgd.learning_rate * factor * scale, "weight_decay": decay}
            for (scale, decay), parameters in groups.items()
        ],
        momentum=sgd.momentum,
        nesterov=sgd.nesterov,
        fused=True,
    )


def torch_augmentation(config: Config, train: Examples) -> Callable:
    """rows -> a batch of scaled images in channels_last, moved with reflection at the edges, a random half flipped.

    Where the config says so, each has a square hole. One gather of whole pixels, which was faster than padding and then
    cropping the images of each shift together.
    """
    import torch

    from nnscratch.training.augmentation.changes import Cutout
    from nnscratch.training.augmentation.movements import AlternatingFlip, Translate

    flip, translate, *holes = (each.build() for each in config.data.augment)
    known = isinstance(flip, AlternatingFlip) and isinstance(translate, Translate)
    if not known or len(holes) > 1 or not all(isinstance(each, Cutout) for each in holes):
        sys.exit("this benchmark knows `augment: [alternating_flip, translate: N, cutout: N]` only, the last or not")
    affine = config.data.scaling.build().fit(train)
    multiplier, offset = torch.from_numpy(affine.multiplier), torch.from_numpy(affine.offset)
    H, W, C = SHAPE
    pixels, shifts = torch.from_numpy(train.inputs).view(-1, C), 2 * translate.pixels + 1
    padded = torch.nn.functional.pad(torch.arange(float(W)).view(1, W), (translate.pixels,) * 2, "reflect")
    windows = padded.view(-1).long().unfold(0, W, 1)  # a row per shift: the places that its pixels come from

    def hole(N: int, size: int, length: int) -> torch.Tensor:
        """Which rows, or columns, of each image are in its hole."""
        start = torch.randint(length, (N, 1)) - size // 2
        return (torch.arange(length) >= start) & (torch.arange(length) < start + size)

    def augmented(rows: torch.Tensor) -> torch.Tensor:
        N = len(rows)
        down, across = windows[torch.randint(shifts, (2, N))]
        across = torch.where(torch.rand(N, 1) < 0.5, across.flip(1), across)
        source = ((rows[:, None] * H + down) * W)[:, :, None] + across[:, None, :]
        x = pixels.index_select(0, source.view(-1)).view(N, H, W, C).float()
        x = x.mul_(multiplier).add_(offset)
        for each in holes:
            inside = hole(N, each.size, H)[:, :, None] & hole(N, each.size, W)[:, None, :]
            x.masked_fill_(inside[:, :, :, None], 0)
        return x.permute(0, 3, 1, 2)

    return augmented


CONTENDERS = {OURS: nnscratch_work, THEIRS: torch_work}


def held_by_children() -> int:
    """The bytes that processes which this one forked do not share with it."""
    listed = [each.read_text().split() for each in Path("/proc/self/task").glob("*/children")]
    maps = [Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() for pids in listed for pid in pids]
    return sum(1024 * int(line.split()[1]) for lines in maps for line in lines if line.startswith("Private_"))


def contend(options: argparse.Namespace) -> None:
    """The contender's process: works as asked, then leaves its parameters and the most bytes it held in the report."""
    import resource

    parameters, work = 0, None  # which keeps what it forked until that has been asked, too

    def make() -> Work:
        nonlocal parameters, work
        work, parameters = CONTENDERS[options.contender](
            load(options), random_examples(options.images), options.threads
        )
        return work

    serve(make)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit + held_by_children()
    options.report.write_text(json.dumps({"parameters": parameters, "peak": peak}))


def compare(options: argparse.Namespace) -> None:
    """Prints a row per contender, and what was to be reached. Exits when they do not train the same network."""
    config = load(options)
    network, steps = network_of(config), updates_per_epoch(config, options.images)
    contenders = [OURS, THEIRS]
    if find_spec("torch") is None:
        contenders.remove(THEIRS)
        print("PyTorch is not installed (pip install '.[benchmarks]'): the figures of nnscratch alone")
    print(
        f"{config.name}, {network.parameters.size:,} parameters, batch {config.training.batch_size}, "
        f"{options.threads} threads, on {nnscratch.cpu.cpu_model()}; an epoch is {steps} updates"
    )
    arguments = ["--threads", str(options.threads), "--batch", str(config.training.batch_size)]
    arguments += ["--config", str(options.config), "--images", str(options.images)]
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.json" for name in contenders}
        commands = {
            name: [sys.executable, __file__, "--contender", name, "--report", str(file), *arguments]
            for name, file in files.items()
        }
        timings = {timing.name: timing for timing in measure(commands, options.updates, options.rounds)}
        reports = {name: json.loads(files[name].read_text()) for name in timings}
    print(f"{'':>16}{'ms/update':>12}{'s/epoch':>10}{'peak GB':>10}{'parameters':>12}")
    for name, timing in timings.items():
        peak, parameters = reports[name]["peak"] / 1e9, reports[name]["parameters"]
        print(f"{name:>16}{timing.median:12.1f}{timing.median * steps / 1e3:10.1f}{peak:10.2f}{parameters:12,}")
    if len({report["parameters"] for report in reports.values()}) > 1:
        sys.exit("the contenders do not train the same network: their numbers of parameters differ")
    judge(timings, reports[OURS]["peak"] / 1e9)


def judge(timings: dict[str, Timing], gigabytes: float) -> None:
    """Prints the ratio and the memory with what was to be reached."""
    if THEIRS in timings:
        ours, theirs = timings[OURS], timings[THEIRS]
        best = min(theirs.milliseconds) / min(ours.milliseconds)
        ratio = ours.ratio_of(theirs)
        print(
            f"nnscratch is {ratio:.2f}x as fast as PyTorch {THEIRS} (at best {best:.2f}x); "
            f"more than {MUST_BE_FASTER:.0f}x is {_verdict(ratio > MUST_BE_FASTER)}"
        )
    print(f"nnscratch held {gigabytes:.2f} GB; less than {MUST_FIT:g} GB is {_verdict(gigabytes < MUST_FIT)}")


def _verdict(reached: bool) -> str:
    return "reached" if reached else "NOT reached"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).parents[2]
    parser.add_argument("--config", type=Path, default=root / "configs" / "cifar_cnn.yaml")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--images", type=int, default=50_000, help="in an epoch")
    parser.add_argument("--threads", type=int, default=nnscratch.cpu.available_cores())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=2, help="in a round")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        contend(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
