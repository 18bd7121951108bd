"""The command line: what a person types, what they get."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nnscratch.cli import main
from nnscratch.config.config import load_config
from nnscratch.host.machine import Machine
from nnscratch.setup.doctor import Examination

TINY = ["data.dataset={name: shapes, train: 300, test: 60}", "model.hidden_layers=[8]", "training.batch_size=50"]


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in this process."""
    code = 0
    try:
        main(arguments)
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else 1
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def train(root: Path, tmp_path: Path) -> list[str]:
    """The beginning of a tiny training's command."""
    runs = ["--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots"]
    return ["train", str(root / "configs" / "quickstart.yaml"), *TINY, "--epochs", "2", *runs]


def test_train_prints_one_json_object_and_writes_the_run(
    train: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run([*train, "--json"], capsys)
    assert code == 0
    result = json.loads(out)
    assert set(result) == {
        "run",
        "epochs",
        "best",
        "test_loss",
        "test_accuracy",
        "parameters",
        "train_seconds",
        "train_samples",
    }
    assert result["epochs"] == 2
    assert result["parameters"] == 3072 * 8 + 8 + 8 * 10 + 10
    assert result["train_samples"] == 2 * 270
    assert "epoch 1/2" in err
    folder = Path(result["run"])
    assert folder == tmp_path / "runs" / "quickstart"
    for name in ("config.yaml", "meta.json", "metrics.jsonl", "metrics.csv", "logs/train.log"):
        assert (folder / name).stat().st_size > 0
    for name in ("last", "best"):
        assert (folder / "checkpoints" / f"{name}.npz").stat().st_size > 0
    assert "train_seconds" in (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert json.loads((folder / "meta.json").read_text())["status"] == "completed"


def test_the_same_command_again_makes_a_second_run_and_the_same_numbers(
    train: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = json.loads(run([*train, "--json"], capsys)[1])
    second = json.loads(run([*train, "--json"], capsys)[1])
    assert Path(second["run"]).name == "quickstart-2"
    assert first["test_loss"] == second["test_loss"]


def test_training_a_runs_resolved_config_repeats_the_run(
    train: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = json.loads(run([*train, "--json"], capsys)[1])
    again = ["train", f"{first['run']}/config.yaml", "--runs-dir", str(tmp_path / "again"), "--threads", "1"]
    second = json.loads(run([*again, "--no-plots", "--json"], capsys)[1])
    assert second["test_loss"] == first["test_loss"]


def test_name_seed_and_dotted_options_change_the_config(
    train: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = ["--name", "mine", "--seed", "7", "--optimizer.learning_rate=0.01", "--l2", "0.5", "--quiet"]
    assert run([*train, *extra], capsys)[0] == 0
    text = (tmp_path / "runs" / "mine" / "config.yaml").read_text()
    assert "seed: 7" in text
    assert "learning_rate: 0.01" in text
    assert "strength: 0.5" in text


@pytest.mark.parametrize("name", ["2024", "1e3", "true", "null"])
def test_a_name_may_look_like_a_number(
    name: str, train: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run([*train, "--name", name, "--epochs", "0", "--wandb", "off"], capsys)
    assert code == 0, err
    assert load_config(tmp_path / "runs" / name / "config.yaml").name == name


def test_quiet_prints_results_alone_and_the_log_has_everything(
    train: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, err = run([*train, "--quiet"], capsys)
    assert "epoch 1/2" not in out + err
    assert "test_accuracy" in out
    log = (tmp_path / "runs" / "quickstart" / "logs" / "train.log").read_text()
    assert "epoch 1/2" in log
    assert "test_accuracy" in log


def test_a_pipe_gets_one_plain_line_per_epoch_without_escape_codes(
    train: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(train, capsys)
    assert sum(line.startswith("epoch ") for line in out.splitlines()) == 2
    assert "\x1b" not in out


def test_a_dry_run_shows_the_network_and_writes_nothing(
    train: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run([*train, "--dry-run", "--json"], capsys)
    assert code == 0
    result = json.loads(out)
    assert result["parameters"] == 24_674
    assert result["layers"][1]["output_shape"] == [8]
    assert result["layers"][1]["flops"] == 2 * 3072 * 8
    # Forward and dW of both layers, dx of the second alone.
    assert result["training_flops_per_example"] == 2 * (2 * 3072 * 8) + 3 * (2 * 8 * 10)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train"], 2, "which config?"),
        (["train", "nowhere.yaml"], 2, "no such file"),
        (["train", "{quickstart}", "optimizer.leraning_rate=3"], 2, "did you mean learning_rate?"),
        (["train", "{quickstart}", "--epoch=3"], 2, "did you mean --epochs?"),
        (["train", "{quickstart}", *TINY[:1], "training.batch_size=100000"], 2, "larger than the training split"),
        (["train", "{quickstart}", "--threads", "0"], 2, "at least 1 thread"),
        (["train", "{quickstart}", "loss=mean_squared_eror"], 2, "did you mean mean_squared_error?"),
        (["train", "{quickstart}", "data.dataset=csv", "data.path=nowhere.csv"], 4, "nowhere.csv"),
        (["train", "--resume", "nowhere"], 2, "is not a run"),
        (["data", "verify"], 2, "which dataset? cifar10, fashion_mnist, mnist"),
        (["data", "fetch", "mnits"], 2, "there is no dataset 'mnits'; did you mean mnist?"),
        (["sweep", "{quickstart}"], 2, "is a training config; a sweep has method, metric, parameters, command"),
        (["tain"], 2, "train"),
        (["data", "fetch", "cifar11"], 2, "did you mean cifar10?"),
    ],
)
def test_a_mistake_has_its_exit_code_a_message_and_no_traceback(
    arguments: list[str], code: int, message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quickstart = str(root / "configs" / "quickstart.yaml")
    result, out, err = run([each.replace("{quickstart}", quickstart) for each in arguments], capsys)
    assert result == code
    assert message in err
    assert "Traceback" not in out + err


def test_init_writes_a_config_that_trains_and_never_overwrites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    assert run(["init", str(path)], capsys)[0] == 0
    code, out, _ = run(["train", str(path), *TINY, "--dry-run"], capsys)
    assert code == 0
    assert "nothing was written" in out
    before = path.read_text()
    code, _, err = run(["init", str(path)], capsys)
    assert code == 2
    assert "exists already" in err
    assert path.read_text() == before


def test_schema_is_a_json_schema_with_the_known_fields(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(["schema"], capsys)
    assert {"data", "model", "optimizer", "training"} <= set(json.loads(out)["properties"])


def test_doctor_measures_and_explains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["doctor", "--json", "--threads", "1", "--data-dir", str(tmp_path)], capsys)
    assert code == 0
    result = json.loads(out)
    assert result["gflops"] > 1
    assert result["matrix_product_correct"] is True
    assert result["reasons"]
    assert result["datasets"]["shapes"] == "needs no download"
    assert "fetch cifar10" in result["datasets"]["cifar10"]


def test_data_list_names_every_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(["data", "list", "--data-dir", str(tmp_path)], capsys)
    for name in ("cifar10", "fashion_mnist", "mnist", "csv", "npz", "image_folder", "shapes"):
        assert name in out


def test_python_dash_m_and_version_work() -> None:
    done = subprocess.run([sys.executable, "-m", "nnscratch", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("nnscratch 0.")


def test_a_reader_that_goes_away_causes_no_traceback() -> None:
    command = f"{sys.executable} -m nnscratch schema | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "config", ["cifar_best", "fashion_best", "reference/cifar_notebook", "reference/fashion_notebook"]
)
def test_the_published_configs_have_the_published_numbers_of_parameters(
    config: str, root: Path, public_data: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = public_data("cifar-10-batches-py" if "cifar" in config else "fashion-mnist").parent
    command = ["train", str(root / "configs" / f"{config}.yaml"), "--dry-run", "--json", "--data-dir", str(data_dir)]
    _, out, _ = run(command, capsys)
    assert json.loads(out)["parameters"] == (1_707_274 if "cifar" in config else 134_794)


def test_doctor_draws_the_conclusion_when_two_threads_are_no_faster_than_one() -> None:
    def examined(threads: int, together: float) -> Examination:
        return Examination(Machine(threads=threads), (), together, 10.0, 0.0, {})

    assert str(examined(2, 5.0).no_faster_together).startswith("2 threads are slower than one: ")
    assert str(examined(2, 11.0).no_faster_together).startswith("2 threads are hardly faster than one: ")
    assert "use --threads 1" in examined(2, 11.0).to_text()
    assert examined(2, 18.0).no_faster_together is None
    assert examined(1, 5.0).no_faster_together is None
