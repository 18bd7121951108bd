"""Time per update of dense networks: nnscratch, PyTorch at its best settings, JAX, scikit-learn, and the limit.

    python tests/benchmarks/dense.py                  all three networks
    python tests/benchmarks/dense.py cifar --rounds 9
    python tests/benchmarks/dense.py fashion --without compile jax

An update is: a batch gathered from uint8 images, forward, loss and accuracy, backward, Adam with L2. PyTorch, JAX and
scikit-learn are optional (`pip install '.[benchmarks]'`); those that are missing are left out.
The limit is the update's matrix products at this machine's measured peak plus one pass over the optimizer's memory.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from side_by_side import Timing, Work, measure, serve

import nnscratch

EXAMPLES = 50_000
"""As many as CIFAR-10 has for training: of each epoch a number of updates are measured layer by layer, too."""
CORES = nnscratch.cpu.available_cores()


@dataclass(frozen=True)
class Case:
    """A network and its batch size, and what is to be reached against whom."""

    inputs: int
    hidden: tuple[int, ...]
    batch: int
    updates: int
    musts: dict[str, float]

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.inputs, *self.hidden, 10)

    @property
    def parameters(self) -> int:
        return sum((a + 1) * b for a, b in zip(self.widths, self.widths[1:], strict=False))

    @property
    def flops(self) -> int:
        """Of one update: forward, dW and dx, no dx for the first layer."""
        products = [2 * self.batch * a * b for a, b in zip(self.widths, self.widths[1:], strict=False)]
        return 3 * sum(products) - products[0]


CASES = {
    "cifar": Case(3072, (512, 256), 128, 100, {"PyTorch": 1.4, "JAX": 1.0, "scikit-learn": 2.5}),
    "fashion": Case(784, (128, 128, 128), 64, 600, {"PyTorch": 1.3, "JAX": 0.95, "scikit-learn": 1.8}),
    "wide": Case(3072, (1024, 1024, 1024), 512, 20, {"PyTorch": 1.5, "JAX": 0.95}),
}
RATE, L2 = 1e-3, 1e-4


def make_data(case: Case):
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (EXAMPLES, case.inputs), dtype=np.uint8), rng.integers(0, 10, EXAMPLES)


def nnscratch_work(case: Case, threads: int = CORES) -> Work:
    from nnscratch.host import machine
    from nnscratch.nn import regularization
    from nnscratch.nn.layers import Dense, ReLU
    from nnscratch.nn.losses import CrossEntropy
    from nnscratch.nn.network import Network
    from nnscratch.nn.random_streams import RandomStreams
    from nnscratch.training.examples import Examples
    from nnscratch.training.optimizers import Adam
    from nnscratch.training.progress import StepResult
    from nnscratch.training.recipe import Recipe
    from nnscratch.training.scaling import Unit
    from nnscratch.training.trainer import Trainer

    inputs, targets = make_data(case)
    train = Examples.all_of(inputs, targets)
    layers = [layer for width in case.hidden for layer in (Dense(width), ReLU())]
    network = Network([*layers, Dense()], (case.inputs,), outputs=10)
    streams = RandomStreams(0)
    network.initialize(streams)
    workers = machine.share_threads(network, threads)
    recipe = Recipe(CrossEntropy(), Adam(RATE), epochs=10**9, batch_size=case.batch, l2=regularization.L2(L2))
    results = Trainer(network, recipe, Unit().fit(train), streams, workers).run(train)

    def work(updates: int) -> None:
        while updates:
            updates -= isinstance(next(results), StepResult)

    return work


def torch_work(case: Case, variant: str, threads: int = CORES) -> Work:
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    raw_inputs, raw_targets = make_data(case)
    inputs, targets = torch.from_numpy(raw_inputs), torch.from_numpy(raw_targets)
    layers: list[torch.nn.Module] = []
    for a, b in zip(case.widths, case.widths[1:], strict=False):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    groups = [
        {"params": [p for p in model.parameters() if p.ndim == 2], "weight_decay": L2},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    options = {"default": {"foreach": False}, "foreach": {"foreach": True}}.get(variant, {"fused": True})
    optimizer = torch.optim.Adam(groups, lr=RATE, **options)

    def loss_of(x, t):
        y = model(x.float().div_(255))
        return torch.nn.functional.cross_entropy(y, t), (y.argmax(1) == t).sum()

    compute = torch.compile(loss_of) if variant == "compile" else loss_of
    state = {"order": torch.randperm(EXAMPLES), "at": 0}
    totals = torch.zeros(2)

    def work(updates: int) -> None:
        for _ in range(updates):
            if state["at"] + case.batch > EXAMPLES:
                state["order"], state["at"] = torch.randperm(EXAMPLES), 0
            rows = state["order"][state["at"] : state["at"] + case.batch]
            state["at"] += case.batch
            loss, correct = compute(inputs[rows], targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            totals[0] += loss.detach()
            totals[1] += correct

    return work


def jax_work(case: Case) -> Work:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    inputs, targets = make_data(case)
    rng = np.random.default_rng(0)
    shapes = list(zip(case.widths, case.widths[1:], strict=False))
    weights = [jnp.asarray(rng.standard_normal(s).astype(np.float32) * np.sqrt(2 / s[0])) for s in shapes]
    parameters = {"W": weights, "b": [jnp.zeros(s[1], jnp.float32) for s in shapes]}
    optimizer = optax.adam(RATE)

    def loss_of(p, x, t):
        h = x.astype(jnp.float32) / 255
        for index, (W, b) in enumerate(zip(p["W"], p["b"], strict=True)):
            h = h @ W + b
            if index < len(shapes) - 1:
                h = jax.nn.relu(h)
        loss = optax.softmax_cross_entropy_with_integer_labels(h, t).mean()
        return loss, jnp.sum(jnp.argmax(h, axis=1) == t)

    def update(p, state, totals, x, t):
        (loss, correct), g = jax.value_and_grad(loss_of, has_aux=True)(p, x, t)
        g = {"W": [a + L2 * W for a, W in zip(g["W"], p["W"], strict=True)], "b": g["b"]}
        changes, state = optimizer.update(g, state)
        return optax.apply_updates(p, changes), state, totals + jnp.stack([loss, correct])

    compiled = jax.jit(update, donate_argnums=(0, 1, 2))
    held = [parameters, optimizer.init(parameters), jnp.zeros(2)]
    shuffle = np.random.default_rng(0)
    place = {"order": shuffle.permutation(EXAMPLES), "at": 0}

    def work(updates: int) -> None:
        for _ in range(updates):
            if place["at"] + case.batch > EXAMPLES:
                place["order"], place["at"] = shuffle.permutation(EXAMPLES), 0
            rows = place["order"][place["at"] : place["at"] + case.batch]
            place["at"] += case.batch
            held[:] = compiled(*held, inputs[rows], targets[rows])
        jax.block_until_ready(held)

    return work


def sklearn_work(case: Case) -> Work:
    import warnings

    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)
    inputs, targets = make_data(case)

    def work(updates: int) -> None:
        # One epoch of exactly that many updates: fit has less overhead for each than partial_fit.
        rows = np.random.default_rng(0).integers(0, EXAMPLES, updates * case.batch)
        model = MLPClassifier(case.hidden, batch_size=case.batch, alpha=L2, learning_rate_init=RATE, max_iter=1)
        model.fit(inputs[rows].astype(np.float32) / 255, targets[rows])

    return work


def limit(case: Case) -> float:
    """Milliseconds: the products at the measured peak, and one pass over what Adam reads and writes (7 vectors)."""
    import numpy as np

    from nnscratch.host import machine
    from nnscratch.nn.compute.workers import Workers

    machine.set_blas_threads(CORES)
    size = 2048
    a, b, out = (np.ones((size, size), np.float32) for _ in range(3))
    peak = 2 * size**3 / min(_time(lambda: np.matmul(a, b, out=out)) for _ in range(8))
    numbers = 7 * case.parameters
    source, target = np.ones(numbers // 2, np.float32), np.empty(numbers // 2, np.float32)
    pieces = [slice(start, start + (1 << 17)) for start in range(0, len(source), 1 << 17)]
    workers = Workers(CORES)
    copy = min(_time(lambda: workers.run(lambda p: np.copyto(target[p], source[p]), pieces)) for _ in range(8))
    print(f"  GEMM peak {peak / 1e9:.0f} GFLOP/s; memory {2 * source.nbytes / copy / 1e9:.1f} GB/s at this size")
    return 1e3 * (case.flops / peak + copy)


def _time(function) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


CONTENDERS = {
    "nnscratch": nnscratch_work,
    "PyTorch default": lambda case: torch_work(case, "default"),
    "PyTorch foreach": lambda case: torch_work(case, "foreach"),
    "PyTorch fused": lambda case: torch_work(case, "fused"),
    "PyTorch compile": lambda case: torch_work(case, "compile"),
    "JAX": jax_work,
    "scikit-learn": sklearn_work,
}


def compare(name: str, rounds: int, without: list[str]) -> bool:
    """Prints the table of one network; whether every must is reached."""
    case = CASES[name]
    print(f"\n{'-'.join(map(str, case.widths))}, batch {case.batch}, Adam with L2, {CORES} cores")
    commands = {
        each: [sys.executable, __file__, name, "--contender", each]
        for each in CONTENDERS
        if not any(part.lower() in each.lower() for part in without)
    }
    timings = {timing.name: timing for timing in measure(commands, case.updates, rounds)}
    ours = timings["nnscratch"]
    bound = limit(case)
    print(f"  {'':18}{'ms/update':>10}{'nnscratch is':>14}")
    for timing in sorted(timings.values(), key=lambda each: each.median):
        faster = "" if timing is ours else f"{ours.ratio_of(timing):8.2f}x"
        print(f"  {timing.name:18}{timing.median:10.3f}{faster:>14}")
    print(f"  {'limit':18}{bound:10.3f}{'':6}{bound / ours.median:7.0%} of it reached")
    torch_timings = [timing for each, timing in timings.items() if each.startswith("PyTorch")]
    if torch_timings:
        timings["PyTorch"] = Timing(
            "PyTorch", tuple(map(min, zip(*(t.milliseconds for t in torch_timings), strict=True)))
        )
    reached = True
    for rival, must in case.musts.items():
        if rival in timings:
            ratio = ours.ratio_of(timings[rival])
            reached &= ratio >= must
            verdict = "reached" if ratio >= must else "NOT reached"
            print(f"  {ratio:.2f}x {rival} at its best in every round; {must}x is {verdict}")
    return reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="networks to compare; left out: all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without", nargs="*", default=[], help="contenders to leave out")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        serve(lambda: CONTENDERS[options.contender](CASES[options.case[0]]))
        return
    results = [compare(name, options.rounds, options.without) for name in options.case or CASES]
    avx512 = nnscratch.cpu.cpu_flags() >= nnscratch.cpu.AVX512_FLAGS
    if not avx512:
        print("\nThis CPU has no AVX-512: the figures are printed, not required.")
    sys.exit(0 if all(results) or not avx512 else 1)


if __name__ == "__main__":
    main()
