"""What is chosen for BLAS before NumPy is imported."""

from __future__ import annotations

import os
import subprocess
import sys

from nnscratch.cpu import AVX512_FLAGS, choose

ZEN5 = AVX512_FLAGS | {"avx2", "fma"}
HASWELL = frozenset({"avx2", "fma"})


def test_avx512_kernels_are_chosen_on_a_cpu_that_has_them() -> None:
    assert choose(ZEN5, {}, False).environment["OPENBLAS_CORETYPE"] == "SkylakeX"


def test_no_kernel_is_forced_on_a_cpu_without_avx512() -> None:
    assert "OPENBLAS_CORETYPE" not in choose(HASWELL, {}, False).environment
    assert "OPENBLAS_CORETYPE" not in choose(frozenset(), {}, False).environment


def test_three_of_the_four_avx512_features_are_not_enough() -> None:
    for flag in AVX512_FLAGS:
        assert "OPENBLAS_CORETYPE" not in choose(ZEN5 - {flag}, {}, False).environment


def test_what_the_user_set_is_kept() -> None:
    choice = choose(ZEN5, {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_THREAD_TIMEOUT": "4"}, False)
    assert choice.environment == {}
    assert any("Haswell" in reason for reason in choice.reasons)


def test_nothing_is_set_when_numpy_came_first_and_the_reason_says_so() -> None:
    choice = choose(ZEN5, {}, True)
    assert choice.environment == {}
    assert "NumPy was imported before nnscratch" in choice.reasons[0]


def test_workers_sleep_soon_after_a_product() -> None:
    assert choose(HASWELL, {}, False).environment == {"OPENBLAS_THREAD_TIMEOUT": "20"}


def test_importing_nnscratch_sets_the_variables_of_the_process() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    program = (
        "import nnscratch, os; print(os.environ.get('OPENBLAS_THREAD_TIMEOUT'), nnscratch.cpu.CHOICE.reasons != ())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["20", "True"]
