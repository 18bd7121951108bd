"""A layer in a file of one's own: refused without consent, checked, trained, copied and resumed with it."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.component import catalogue
from nnscratch.config import plugins
from nnscratch.config.config import load_config
from nnscratch.config.document import read_yaml
from nnscratch.config.plugins import fault_of_a_plugin
from nnscratch.errors import ConfigError, UserError
from nnscratch.nn.layers import Tanh
from nnscratch.nn.layers.activations import Activation
from nnscratch.results.report_page import repeating_command
from nnscratch.runs.kept_plugins import import_plugins
from nnscratch.runs.loaded import load_run
from nnscratch.runs.meta import Meta

LAYER = '''
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.layers.activations import Activation

Path(__file__).with_name("was_run").touch()

@dataclass(eq=False)
class {title}(Activation):
    """y = tanh(steep x),  dx = dy steep (1 - y^2)."""

    name: ClassVar[str] = "{name}"
    short: ClassVar[str | None] = "steep"
    backward_needs_output: ClassVar[bool] = True

    steep: float = setting(2.0, "slope at 0", gt=0)

    def forward(self, x, training):
        self.y = np.tanh(self.steep * x)
        return self.y

    def backward(self, dy):
        return dy * {factor} * (1 - self.y**2)
'''


def config_with(folder: Path, name: str, factor: str = "self.steep") -> Path:
    """A config and its plugin. Every test has a name of its own: a process keeps what it has imported."""
    title = name.title().replace("_", "")
    (folder / f"{name}.py").write_text(LAYER.format(name=name, title=title, factor=factor))
    path = folder / "own.yaml"
    path.write_text(
        f"plugins: [{name}.py]\n"
        "data: {dataset: {name: shapes, train: 60, test: 20}}\n"
        f"model: {{layers: [flatten, {{dense: 8}}, {{{name}: 1.5}}, dense]}}\n"
        "training: {epochs: 1, batch_size: 20}\n"
    )
    return path


def exit_code(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert isinstance(exit.value.code, int)
    return exit.value.code


@pytest.mark.parametrize("command", ["train", "gradcheck", "preflight"])
def test_without_consent_the_file_is_not_run(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config_with(tmp_path, f"refused_{command}")
    assert exit_code([command, str(path)]) == 2
    error = capsys.readouterr().err
    assert "own.yaml:1:" in error
    assert "--allow-plugins" in error
    assert not (tmp_path / "was_run").exists()


def test_with_consent_it_is_checked_like_a_built_in_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config_with(tmp_path, "steep_tanh")
    main(["gradcheck", str(path), "--allow-plugins"])
    output = capsys.readouterr().out
    assert "2.steep_tanh" in output
    assert "passed" in output


@pytest.mark.parametrize(("error", "factor"), [("sign", "-self.steep"), ("scale", "1")])
def test_its_wrong_gradient_exits_with_one_and_names_it(
    error: str, factor: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config_with(tmp_path, f"wrong_{error}", factor)
    assert exit_code(["gradcheck", str(path), "--allow-plugins"]) == 1
    assert f"layer 2.wrong_{error}: dx is wrong" in capsys.readouterr().err


def test_training_keeps_a_copy_with_its_digest_and_resuming_uses_the_copy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config_with(tmp_path, "kept_tanh")
    runs = ["--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots"]
    main(["train", str(path), "--allow-plugins", *runs])
    run = tmp_path / "runs" / "own"
    source, copy = tmp_path / "kept_tanh.py", run / "plugins" / "kept_tanh.py"
    assert copy.read_bytes() == source.read_bytes()
    meta = json.loads((run / "meta.json").read_text())
    assert meta["plugins"] == {"kept_tanh.py": hashlib.sha256(source.read_bytes()).hexdigest()}
    assert load_config(run / "config.yaml").plugins == ("plugins/kept_tanh.py",)

    assert "--allow-plugins" in repeating_command(load_run(run), Meta())

    source.unlink()
    main(["train", "--resume", str(run), "--epochs", "2", "--allow-plugins", "--threads", "1", "--no-plots"])
    main(["evaluate", str(run), "--allow-plugins", "--no-plots"])
    assert json.loads((run / "meta.json").read_text())["plugins"] == meta["plugins"]
    assert "2.kept_tanh" not in capsys.readouterr().err


def test_a_copy_that_was_changed_is_refused_even_with_consent(tmp_path: Path) -> None:
    path = config_with(tmp_path, "changed_tanh")
    main(["train", str(path), "--allow-plugins", "--runs-dir", str(tmp_path), "--threads", "1", "--no-plots", "-q"])
    copy = tmp_path / "own" / "plugins" / "changed_tanh.py"
    copy.write_text(copy.read_text() + "\n# one line more\n")
    with pytest.raises(UserError, match="has changed since"):
        import_plugins(tmp_path / "own")
    with pytest.raises(ConfigError, match="--allow-plugins"):
        load_config(tmp_path / "own" / "config.yaml")


def test_consent_is_for_the_contents_not_for_the_name(tmp_path: Path) -> None:
    path = config_with(tmp_path, "swapped_tanh")
    import_plugins(path)
    load_config(path)
    config_with(tmp_path, "swapped_tanh", "3")
    with pytest.raises(ConfigError, match="--allow-plugins"):
        load_config(path)


def test_a_newer_version_of_a_plugin_takes_the_place_of_the_older(tmp_path: Path) -> None:
    for factor in ("self.steep", "7"):
        path = config_with(tmp_path, "newer_tanh", factor)
        import_plugins(path)
    layer = load_config(path).build_layers()[2]
    assert "dy * 7" in str(vars(sys.modules[type(layer).__module__])["__source__"])


UNDECORATED = """
from nnscratch.component import setting
from nnscratch.nn.layers.activations import Activation

class Bent(Activation):
    name = "bent_and_undecorated"
    slope: float = setting(1.0, "slope")
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "defines no component"),
        ("def broken(:", r"SyntaxError: .*\(line 1\)"),
        ("\n\n1 / 0", r"ZeroDivisionError: division by zero \(line 3\)"),
        (LAYER.format(name="tanh", title="Mine", factor="1"), "layer `tanh`, which exists already"),
        *(
            (LAYER.format(name=name, title="Mine", factor="1"), rf"bad.py: Mine has the name '{name}', which no config")
            for name in ("", "a/b", "a.b", "my layer", "2", "1e5", "null", "true", "~")
        ),
        (UNDECORATED, "Bent has the setting slope, but is no dataclass"),
    ],
)
def test_a_file_that_is_no_plugin_says_why(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    path = tmp_path / "own.yaml"
    path.write_text("plugins: [bad.py]\ndata: {dataset: shapes}\nmodel: {hidden_layers: []}\n")
    with pytest.raises(UserError, match=message):
        import_plugins(path)
    assert catalogue(Activation)["tanh"] is Tanh


def test_a_run_of_before_may_have_a_name_that_is_not_taken_any_more(tmp_path: Path) -> None:
    root = read_yaml(config_with(tmp_path, "oddly_named")).root
    file = tmp_path / "oddly_named.py"
    file.write_text(file.read_text().replace('"oddly_named"', '"oddly named"'))
    with pytest.raises(UserError, match="has the name 'oddly named', which no config"):
        plugins.import_plugins(root, tmp_path, {})
    plugins.import_plugins(root, tmp_path, {file.name: hashlib.sha256(file.read_bytes()).hexdigest()})
    del catalogue(Activation)["oddly named"].name  # for the tests that look at every layer


def test_a_missing_file_is_a_problem_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("data: {dataset: shapes}\nmodel: {hidden_layers: []}\nplugins:\n  - nowhere.py\n")
    with pytest.raises(ConfigError, match=r"own\.yaml:4:5 .*nowhere\.py") as caught:
        load_config(path)
    assert len(caught.value.problems) == 1


def test_an_override_cannot_name_code(tmp_path: Path) -> None:
    path = config_with(tmp_path, "fixed_tanh")
    import_plugins(path)
    with pytest.raises(ConfigError, match="cannot be overridden"):
        load_config(path, ["plugins=[/tmp/evil.py]"])


def test_an_error_inside_a_plugin_names_its_line_not_nnscratch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config_with(tmp_path, "crashing_tanh", "np.ones(3)[dy.size] ")
    command = ["train", str(path), "--allow-plugins", "--runs-dir", str(tmp_path), "--threads", "1", "--no-plots"]
    assert exit_code(command) == 1
    lines = (tmp_path / "crashing_tanh.py").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "np.ones(3)" in text)
    assert f"a fault in crashing_tanh.py, line {line}" in capsys.readouterr().err


PARTS = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.datasets.dataset import Source
from nnscratch.nn.initializers import Initializer
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers.activations import Activation
from nnscratch.nn.losses import CrossEntropy, Loss
from nnscratch.training.augmentation.augmentation import Change
from nnscratch.training.metrics.metric import Metric
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.schedules import Schedule


@dataclass{arguments}
class {title}({base}):
    name: ClassVar[str] = "{name}"

    {method}
"""
FAULTS: dict[str, tuple[str, str, str, str]] = {
    "build_nothing": ("Layer", "def build(self, input_shape, parameters): pass", "def build", "returned nothing"),
    "build_a_list": ("Layer", "def build(self, input_shape, parameters): return [8]", "def build", "returned [8]"),
    "build_raises": (
        "Layer",
        "def build(self, input_shape, parameters): return input_shape[7]",
        "def build",
        "IndexError",
    ),
    "no_forward": ("Layer", "def backward(self, dy): return dy", "class", "has no method forward(self, x, training)"),
    "no_backward": ("Layer", "def forward(self, x, training): return x", "class", "has no method backward(self, dy)"),
    "forward_nothing": ("Layer", "def forward(self, x, training): self.x = x", "def forward", "returned nothing"),
    "forward_shape": (
        "Layer",
        "def forward(self, x, training): return x[:, :2]",
        "def forward",
        "returned an array of",
    ),
    "forward_raises": ("Layer", "def forward(self, x, training): return x @ np.ones(3)", "def forward", "ValueError"),
    "forward_file": ("Layer", "def forward(self, x, training): open('/nowhere/x')", "def forward", "No such file"),
    "forward_arguments": ("Layer", "def forward(self, x): return x", "class", "TypeError"),
    "loss_nothing": (
        "CrossEntropy",
        "def __call__(self, y, t): super().__call__(y, t)",
        "def __call__",
        "nothing, not a pair",
    ),
    "loss_of_one": ("CrossEntropy", "def __call__(self, y, t): return 1.0", "def __call__", "returned 1.0, not a pair"),
    "loss_of_an_array": (
        "CrossEntropy",
        "def __call__(self, y, t): return y",
        "def __call__",
        "not a pair of the value",
    ),
    "loss_raises": ("CrossEntropy", "def __call__(self, y, t): raise ValueError('no')", "def __call__", "ValueError"),
    "loss_prepares": (
        "CrossEntropy",
        "def prepare(self, targets, outputs): 1 / 0",
        "def prepare",
        "ZeroDivisionError",
    ),
    "no_loss": ("Loss", "pass", "class", "has no method __call__(self, y, t)"),
    "augment_nothing": ("Change", "def apply(self, x, t, classes, rng): pass", "def apply", "returned nothing, not a"),
    "augment_half": ("Change", "def apply(self, x, t, classes, rng): return x", "def apply", "not a pair of x and t"),
    "augment_few": ("Change", "def apply(self, x, t, *more): return x, t[:3]", "def apply", "not t of "),
    "augment_other": ("Change", "def apply(self, x, t, *more): return x[:3], t", "def apply", "not x of shape "),
    "schedule_nothing": (
        "Schedule",
        "def factor(self, *given): pass\n    __call__ = factor",
        "def factor",
        "returned nothing, not a factor of the learning rate: a finite number, at least 0",
    ),
    "schedule_nan": ("Schedule", "def factor(self, *given): return float('nan')", "def factor", "returned nan, not a"),
    "schedule_uphill": ("Schedule", "def factor(self, *given): return -1", "def factor", "returned -1, not a factor"),
    "metric_nothing": ("Metric", "def __call__(self, t, p): pass", "def __call__", "returned nothing, not a number"),
    "no_optimizer": ("Optimizer", "pass", "class", "has no method update(self, chunk, rate, s)"),
    "optimizer_returns": (
        "Optimizer",
        "def update(self, chunk, rate, s): return chunk.theta - rate * chunk.g",
        "def update",
        "not None: it writes the new theta into chunk.theta",
    ),
    "optimizer_binds": (
        "Optimizer",
        "def update(self, chunk, rate, s): chunk.theta = chunk.theta - rate * chunk.g",
        "def update",
        "chunk.theta cannot become another array: write into it, chunk.theta[...] = ...",
    ),
    "activation_returns": (
        "Activation",
        "def function(self, x, y): return 2 * x",
        "def function",
        "not None: it writes into its last",
    ),
    "initializer_turns": (
        "Initializer",
        "def values(self, shape, fans, rng): return np.zeros(shape[::-1])",
        "def values",
        "returned an array of shape (8, 3072), not an array of shape (3072, 8)",
    ),
    "source_nothing": ("Source", "def load(self, *given, **more): pass", "def load", "returned nothing, not a Dataset"),
    "contradictions": ("Layer", "def contradictions(self): return [1]", "class", "TypeError"),
}


def config_of_part(folder: Path, name: str, base: str, method: str) -> Path:
    """A config that uses a plugin of that kind, with that one method."""
    kind = {"CrossEntropy": "loss"}.get(base, base.lower())
    frozen = "(frozen=True)" if kind in ("change", "schedule", "initializer", "metric") else "(eq=False)"
    title = name.title().replace("_", "")
    text = PARTS.format(arguments=frozen, title=title, base=base, name=name, method=method)
    (folder / f"{name}.py").write_text(text)
    config: dict[str, object] = {
        "plugins": [f"{name}.py"],
        "data": {"dataset": {"name": "shapes", "train": 60, "test": 20}},
        "model": {"layers": ["flatten", {"dense": 8}, name if kind in ("layer", "activation") else "tanh", "dense"]},
        "training": {"epochs": 1, "batch_size": 20},
    }
    if kind == "change":
        config["data"] = {"dataset": {"name": "shapes", "train": 60, "test": 20}, "augment": [name]}
    elif kind == "source":
        config["data"] = {"dataset": name}
    elif kind == "initializer":
        config["model"] = {"hidden_layers": [8], "weight_init": name}
    elif kind == "metric":
        config["training"] = {"epochs": 1, "batch_size": 20, "monitor": f"val_{name}"}
    elif kind not in ("layer", "activation"):
        config[kind] = {"name": name, **({"learning_rate": 0.1} if kind == "optimizer" else {})}
    path = folder / "own.yaml"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (name, command)
        for name, (base, *_) in FAULTS.items()
        for command in ("train", "gradcheck")
        if command == "train" or base not in ("Schedule", "Optimizer", "Metric")  # which a gradient check does not use
    ],
)
def test_whatever_is_wrong_with_a_plugin_is_its_fault_by_file_and_line(
    name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, method, where, said = FAULTS[name]
    path = config_of_part(tmp_path, f"{name}_{command}", base, method)
    options = ["--runs-dir", str(tmp_path), "--threads", "1", "--no-plots"] if command == "train" else []
    assert exit_code([command, str(path), "--allow-plugins", *options]) == 1
    error = capsys.readouterr().err
    lines = (tmp_path / f"{name}_{command}.py").read_text().splitlines()
    expected = [number for number, line in enumerate(lines, 1) if line.strip().startswith(where or ("def", "class"))]
    assert any(f"{name}_{command}.py, line {number}" in error for number in expected), error
    assert "fault in nnscratch" not in error
    assert said in error
    for file in re.findall(r"its traceback is in (\S+)", error):
        Path(file).unlink()


def test_a_monitored_figure_that_says_nothing_of_when_it_has_no_meaning_is_refused_in_a_whole_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config_of_part(tmp_path, "metric_nan", "Metric", "def __call__(self, t, p): return np.nan")
    assert exit_code(["train", str(path), "--allow-plugins", "--runs-dir", str(tmp_path), "--no-plots"]) == 2
    assert "has no meaning on this validation split: it is not a number\n" in capsys.readouterr().err


def test_an_error_that_a_plugin_caused_is_its_fault_however_it_was_wrapped(tmp_path: Path) -> None:
    import_plugins(config_with(tmp_path, "causing_tanh", "np.ones(3)[dy.size] "))
    layer = catalogue(Activation)["causing_tanh"]()
    layer.y = np.ones(2)

    def wrapped() -> None:
        try:
            layer.backward(np.ones(5))
        except IndexError as cause:
            raise RuntimeError("in other words") from cause

    with pytest.raises(RuntimeError) as caught:
        wrapped()
    assert "causing_tanh.py, line " in str(fault_of_a_plugin(caught.value))


def test_an_error_that_has_nothing_to_do_with_a_plugin_is_not_blamed_on_one(tmp_path: Path) -> None:
    import_plugins(config_with(tmp_path, "idle_tanh"))
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018  the error is what is wanted
    assert fault_of_a_plugin(caught.value) is None


def test_a_loss_that_returns_one_of_numpys_numbers_trains(tmp_path: Path) -> None:
    method = (
        "def __call__(self, y, t):\n        value, dy = super().__call__(y, t)\n        return np.float32(value), dy"
    )
    path = config_of_part(tmp_path, "single_loss", "CrossEntropy", method)
    main(["train", str(path), "--allow-plugins", "--runs-dir", str(tmp_path), "--threads", "1", "--no-plots", "-q"])
    assert json.loads((tmp_path / "own" / "meta.json").read_text())["status"] == "completed"


def test_runs_with_plugins_are_listed_and_compared_without_running_them(tmp_path: Path) -> None:
    path = config_with(tmp_path, "listed_tanh")
    for name in ("a", "b"):
        main(["train", str(path), "--allow-plugins", "--runs-dir", str(tmp_path / "runs"), "--threads", "1",
              "--no-plots", "-q", "--name", name])  # fmt: skip
        copy = tmp_path / "runs" / name / "plugins" / "listed_tanh.py"
        copy.write_text(copy.read_text() + f"# {name}: not what was imported")
    (tmp_path / "was_run").unlink()
    main(["runs", "compare", str(tmp_path / "runs" / "a"), str(tmp_path / "runs" / "b")])
    assert not list(tmp_path.rglob("was_run"))
