"""What is chosen for BLAS before NumPy is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nnscratch import cpu
from nnscratch.cpu import AVX512_FLAGS, choose, cpu_quota
from nnscratch.errors import UserError
from nnscratch.host.machine import choose_threads, too_many

ZEN5 = AVX512_FLAGS | {"avx2", "fma"}
HASWELL = frozenset({"avx2", "fma"})


@pytest.fixture
def two_cores(every_core: int) -> None:
    if every_core < 2:
        pytest.skip("one core needs no second thread")


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


def machine(root: Path, group: str, files: dict[str, str]) -> Path:
    """A root folder with the process's groups and what is said below /sys/fs/cgroup."""
    for name, text in {"proc/self/cgroup": group, **{f"sys/fs/cgroup/{each}": files[each] for each in files}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V1 = "12:memory:/docker/abc\n5:cpu,cpuacct:/docker/abc\n4:cpuset:/\n"


@pytest.mark.parametrize(
    ("group", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 0.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        ("0::/user/job\n", {"user/job/cpu.max": "max 100000\n", "user/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/user/job\n", {"user/job/cpu.max": "200000 100000\n", "user/cpu.max": "300000 100000\n"}, 2.0),
        ("0::/user\n", {"cpu.max": "100000 100000\n"}, 1.0),  # a container that knows its group by the host's name
        ("0::/../other\n", {"cpu.max": "100000 100000\n"}, 1.0),
        ("1:cpu:/\n0::/\n", {"unified/cpu.max": "25000 100000\n"}, 0.25),
        (
            V1,
            {"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "50000", "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "150000\n", "cpu,cpuacct/cpu.cfs_period_us": "50000\n"}, 3.0),
        (V1, {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        (V1, {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "0\n"}, None),
        (V1, {"memory/cpu.max": "50000 100000\n"}, None),
        ("0::/\n", {"cpu.max": "odd\n"}, None),
        ("no cgroups here", {"cpu.max": "50000 100000\n"}, 0.5),
    ],
)
def test_the_cpu_quota_of_a_container_is_read(
    group: str, files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    assert cpu_quota(machine(tmp_path, group, files)) == quota


def test_without_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("cores", "quota", "threads"),
    [(2, None, 2), (2, 0.5, 1), (2, 0.05, 1), (2, 1.25, 1), (2, 1.5, 2), (2, 8.0, 2), (16, 4.0, 4), (1, 0.5, 1)],
)
def test_threads_follow_the_quota_of_the_container_and_doctor_says_so(
    cores: int, quota: float | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "available_cores", lambda: cores)
    monkeypatch.setattr(cpu, "cpu_quota", lambda: quota)
    assert choose_threads(None) == threads
    told = " ".join(cpu.thread_reasons())
    assert (f"{quota or 0:g} of {cores} cores" in told) == (quota is not None and quota < cores)


def test_more_threads_than_cores_are_told_to_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "available_cores", lambda: 2)
    assert [too_many(1), too_many(2)] == ["", ""]
    assert too_many(16) == "16 threads on 2 cores wait for one another: --threads 2"


def test_all_threads_that_are_tried_have_ended() -> None:
    before = threading.active_count()
    assert cpu.can_start_threads(20)
    assert threading.active_count() == before


def test_where_no_thread_can_be_started_one_is_used_and_more_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    assert choose(HASWELL, {}, False, starts_threads=False).environment["OPENBLAS_NUM_THREADS"] == "1"
    asked = choose(HASWELL, {"OPENBLAS_NUM_THREADS": "2"}, False, starts_threads=False)
    assert asked.environment["OPENBLAS_NUM_THREADS"] == "1"
    assert "in place of OPENBLAS_NUM_THREADS=2" in " ".join(asked.reasons)
    monkeypatch.setattr(cpu, "available_cores", lambda: 2)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert choose_threads(None) == choose_threads(1) == 1
    assert "no more threads can be started" in " ".join(cpu.thread_reasons())
    with pytest.raises(UserError, match="2 threads cannot be started"):
        choose_threads(2)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@pytest.mark.usefixtures("two_cores")
def test_openblas_starts_where_it_can_start_no_threads(root: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    # A stack for each new thread that no address space holds: as with `ulimit -u`, but for root too.
    train = f"{sys.executable} -m nnscratch train {root}/configs/smoke.yaml --no-plots --runs-dir {tmp_path} --quiet"
    command = f"ulimit -s 136000000000 || exit 77; {train}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    if done.returncode == 77:
        pytest.skip("the limit of the stack cannot be raised here")
    assert (done.returncode, done.stderr) == (0, "")
    assert "test_accuracy" in done.stdout


def train_as_nobody(
    limit: int, folder: Path, config: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The training's end, by a user of its own who may have so many processes and threads; root is bound by no limit.

    What that user may not reach from `/` is reached from `folder`, where it starts.
    """
    if config.parent != folder:
        shutil.copy(config, folder)
    folder.chmod(0o777)
    arguments = [sys.executable, "-m", "nnscratch", "train", config.name, "--no-plots", "--quiet", *options]
    setpriv = shutil.which("setpriv")
    if sys.platform != "linux" or os.geteuid() != 0 or setpriv is None:
        pytest.skip("needs Linux, setpriv and root, who alone becomes another user")
    reads = "+dac_override,+dac_read_search"  # this Python may lie in root's home
    user = [setpriv, "--reuid=54321", "--regid=54321", "--clear-groups", f"--inh-caps={reads}"]
    command = [*user, f"--ambient-caps={reads}", "bash", "-c", f'ulimit -u {limit}; exec "$0" "$@"', *arguments]
    if subprocess.run([*command[: -len(arguments)], "true"], capture_output=True, check=False).returncode:
        pytest.skip("no other user can be become here")
    unreachable = ("OPENBLAS_", "NNSCRATCH_DATA_DIR")  # the data may lie where that user may not look
    rest = {key: value for key, value in os.environ.items() if not key.startswith(unreachable)}
    return subprocess.run(command, capture_output=True, text=True, env=rest | environment, cwd=folder, check=False)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(("limit", "environment"), [(1, {}), (2, {}), (1, {"OPENBLAS_NUM_THREADS": "2"})])
def test_a_user_who_may_start_no_thread_trains_with_one(
    limit: int, environment: dict[str, str], root: Path, tmp_path: Path
) -> None:
    done = train_as_nobody(limit, tmp_path, root / "configs" / "smoke.yaml", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "test_accuracy" in done.stdout


@pytest.mark.usefixtures("two_cores")
def test_more_threads_than_a_user_may_start_are_refused_with_the_cause(root: Path, tmp_path: Path) -> None:
    done = train_as_nobody(1, tmp_path, root / "configs" / "smoke.yaml", "--threads", "2")
    assert done.returncode == 1
    assert done.stderr.startswith("error: 2 threads cannot be started: the system allows no more (`ulimit -u`")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("limit", [3, 9])
def test_a_table_for_whose_reading_too_few_threads_can_be_started_is_refused_with_the_cause(
    limit: int, tmp_path: Path
) -> None:
    (tmp_path / "table.csv").write_text("a,target\n" + "0.5,1\n1.5,0\n" * 10)
    config = tmp_path / "table.yaml"
    config.write_text("data: {dataset: csv, path: table.csv}\nmodel: {hidden_layers: [2]}\ntraining: {epochs: 1}\n")
    done = train_as_nobody(limit, tmp_path, config)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no table can be read: the system allows too few threads (`ulimit -u`")
    assert done.stderr.count("\n") == 2
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def cpu_group() -> Iterator[tuple[Path, Path]]:
    """A new control group of the kernel for CPU time, and the file of it that takes a quota."""
    mounts = Path("/sys/fs/cgroup")
    is_v1 = (mounts / "cpu" / "cpu.cfs_quota_us").is_file()
    group = (mounts / "cpu" if is_v1 else mounts) / f"nnscratch-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error.strerror}")
    try:
        quota = group / ("cpu.cfs_quota_us" if is_v1 else "cpu.max")
        if not quota.is_file():
            pytest.skip("this machine's control groups have no quota of CPU time")
        yield group, quota
    finally:
        group.rmdir()


@pytest.mark.usefixtures("two_cores")
def test_a_real_control_groups_quota_decides_the_threads(cpu_group: tuple[Path, Path]) -> None:
    group, quota = cpu_group
    quota.write_text("50000")  # of a period of 100,000 microseconds
    program = "from nnscratch import cpu; print(cpu.usable_threads(), cpu.cpu_quota(), cpu.thread_reasons()[0])"
    command = ["bash", "-c", f'echo $$ > {group}/cgroup.procs && exec "$0" "$@"', sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 0.5 a CPU quota gives this container 0.5 of")


def test_whether_blas_has_kernels_for_avx_512_is_asked_of_the_library_that_was_loaded() -> None:
    program = "import numpy, os; os.environ.pop('OPENBLAS_CORETYPE', 0)\n"
    program += "from nnscratch.cpu import has_avx512_kernels; print(has_avx512_kernels())"
    kernels = {"Haswell": "False", "SkylakeX": "True"} if cpu.cpu_flags() >= cpu.AVX512_FLAGS else {"Haswell": "False"}
    for kernel, expected in kernels.items():
        command = [sys.executable, "-c", program]
        environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == expected
