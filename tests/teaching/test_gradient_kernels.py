"""Right gradients pass whatever kernels multiply the matrices, and so whatever rounding there is.

OpenBLAS chooses its kernels when it is loaded, so every choice has a process of its own. A sample of kernels, configs
and seeds; `pytest -m exhaustive tests/teaching/test_gradient_kernels.py` takes all configs and more seeds.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from nnscratch.cpu import AVX512_FLAGS, cpu_flags
from nnscratch.host.machine import blas_libraries

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
KERNELS = {
    "Prescott": {"pni"},
    "Sandybridge": {"avx"},
    "Haswell": {"avx2", "fma"},
    "SkylakeX": set(AVX512_FLAGS),
}
"""Those in NumPy's wheels, and the CPU's flags that they need."""
NAMES = {"Prescott": "Katmai"}
"""What OpenBLAS calls them when it is asked, where that is another name."""
PROGRAM = """
import json, sys
from pathlib import Path
from nnscratch.config.config import load_config
from nnscratch.host.display import Display
from nnscratch.host.machine import blas_libraries
from nnscratch.host.workplace import Workplace
from nnscratch.teaching.gradient_report import gradcheck

for name, seed, samples in json.loads(sys.argv[1]):
    config = load_config(Path(name), [f"seed={seed}"])
    # Batch norm after a dense layer makes +1 and -1 of any two examples: hardly a gradient is left.
    batch_size = 2 if any(layer.name == "conv" for layer in config.build_layers()) else 4
    workplace, display = Workplace(Path("no-data-here"), threads=1), Display(quiet=True)
    report = gradcheck(config, workplace, display, samples=samples, batch_size=batch_size)
    kernels = [library["architecture"] for library in blas_libraries()]
    print(json.dumps([name, seed, kernels, report.failures, report.worst.worst]))
"""
SMALL: list[list[object]] = [["shapes_cnn.yaml", 5, 2], ["examples/residual.yaml", 5, 2], ["cifar_best.yaml", 5, 1]]
CNN = "cifar_cnn_small.yaml"
"""Where the rounding of Winograd's tiles is largest beside the gradients."""


def check(kernel: str, cases: list[list[object]]) -> None:
    missing = KERNELS[kernel] - cpu_flags()
    if platform.machine() not in ("x86_64", "AMD64") or missing:
        pytest.skip(f"this CPU has no {', '.join(sorted(missing)) or 'x86-64'}, which the {kernel} kernels need")
    if {library["internal_api"] for library in blas_libraries()} != {"openblas"}:
        pytest.skip("NumPy multiplies by another library than OpenBLAS here, whose kernels cannot be chosen")
    chosen = {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_L2_SIZE": "512"}
    paths = [[str(CONFIGS / str(name)), *rest] for name, *rest in cases]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(paths)],
        env=os.environ | chosen,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases)
    for name, seed, kernels, failures, worst in answers:
        assert kernels == [NAMES.get(kernel, kernel)], "OpenBLAS does not have these kernels, or took others"
        assert (name, seed, failures) == (name, seed, [])
        assert worst < 1e-6


@pytest.mark.parametrize("kernel", ["Prescott", "Haswell", "SkylakeX"])
def test_small_networks_pass_with_the_kernels_that_differ_most(kernel: str) -> None:
    # SciPy, which other tests import, brings an OpenBLAS of its own.
    if NAMES.get(kernel, kernel) in {each["architecture"] for each in blas_libraries() if "numpy" in each["filepath"]}:
        pytest.skip(f"these are the {kernel} kernels, with which all other tests multiply")
    check(kernel, SMALL)


@pytest.mark.parametrize("seed", [42, pytest.param(5, marks=pytest.mark.exhaustive)])
def test_a_deep_convolutional_network_passes_with_kernels_that_round_most(seed: int) -> None:
    check("Haswell", [[CNN, seed, 1]])


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_network_passes_with_every_kernel_and_many_seeds(kernel: str, seed: int) -> None:
    examples = [f"examples/{path.name}" for path in sorted((CONFIGS / "examples").glob("*.yaml"))]
    names = ["shapes_cnn.yaml", "quickstart.yaml", "cifar_best.yaml", "fashion_cnn.yaml", CNN, *examples]
    check(kernel, [[name, seed, 4] for name in names])
