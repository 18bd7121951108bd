from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from nnscratch.config.config import Config, flatten, left_out, load_config, parse_config
from nnscratch.config.override import override as written_override
from nnscratch.config.override import overrides_of, parse_override
from nnscratch.errors import ConfigError

PLAIN = """\
name: plain
data: {dataset: shapes}
model: {hidden_layers: [8, 4]}
l2: {strength: 0.1, divide_by_batch: true}
optimizer: {name: adam, learning_rate: 0.002, beta1: 0.8}
"""
LAYERED = """\
name: layered
data: {dataset: shapes}
model: {layers: [flatten, dense: 8, leaky_relu: 0.2, dense]}
"""


def with_overrides(*overrides: str, text: str = PLAIN) -> tuple[Config, list[str]]:
    notes: list[str] = []
    return parse_config(text, "my.yaml", overrides, notes.append), notes


def value(path: str, *overrides: str, text: str = PLAIN) -> object:
    return flatten(with_overrides(*overrides, text=text)[0])[path]


def refusal(*overrides: str, text: str = PLAIN) -> str:
    with pytest.raises(ConfigError) as caught:
        with_overrides(*overrides, text=text)
    return str(caught.value)


@pytest.mark.parametrize("text", ["optimizer.learning_rate=3e-4", "--optimizer.learning_rate=3e-4"])
def test_both_forms_set_a_value_that_is_yaml(text: str) -> None:
    assert value("optimizer.learning_rate", text) == 0.0003


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("seed=7", "seed", 7),
        ("name=other", "name", "other"),
        ("model.hidden_layers=[256, 128]", "model.hidden_layers", [256, 128]),
        ("model.hidden_layers.1=3", "model.hidden_layers", [8, 3]),
        ("model.activation=tanh", "model.activation.name", "tanh"),
        ("model.weight_init=xavier", "model.weight_init.name", "xavier"),
        ("data.limit=", "data.limit", None),
        ("data.path=a=b", "data.path", "a=b"),
        ("schedule={name: cosine, warmup_epochs: 2}", "schedule.warmup_epochs", 2.0),
        ("schedule={'name':'cosine','warmup_epochs':2}", "schedule.warmup_epochs", 2.0),
        ("schedule={cosine: {final: 0.5}}", "schedule.final", 0.5),
        ("training.early_stopping=5", "training.early_stopping.patience", 5),
        ("wandb=offline", "wandb.mode", "offline"),
        ("training={epochs: 3}", "training.epochs", 3),
    ],
)
def test_any_field_can_be_set_in_short_form_or_long(override: str, path: str, expected: object) -> None:
    assert value(path, override) == expected


def test_a_field_of_a_section_that_is_left_out_leaves_the_others_at_their_defaults() -> None:
    config, _ = with_overrides("training.batch_size=32", "schedule.warmup_epochs=1", "loss.label_smoothing=0.1")

    assert (config.training.batch_size, config.training.epochs) == (32, 20)
    assert config.schedule.to_dict() == {"name": "constant", "warmup_epochs": 1.0}
    assert config.loss.name == "cross_entropy"


def test_a_field_of_an_optional_section_switches_it_on() -> None:
    assert value("training.early_stopping.patience", "training.early_stopping.patience=3") == 3
    assert "training.early_stopping.patience: is required" in refusal("training.early_stopping.minimum_change=1")


def test_the_short_value_of_a_section_keeps_its_other_fields() -> None:
    config, _ = with_overrides("l2=0.01")

    assert (config.l2.strength, config.l2.divide_by_batch) == (0.01, True)


def test_a_mapping_replaces_the_whole_section_and_a_note_says_what_is_lost() -> None:
    config, notes = with_overrides("l2={strength: 0.01}")

    assert (config.l2.strength, config.l2.divide_by_batch) == (0.01, False)
    assert notes == ["l2={strength: 0.01} drops divide_by_batch true"]


@pytest.mark.parametrize("override", ["optimizer.name=sgd", "optimizer=sgd", "--optimizer=sgd"])
def test_another_component_keeps_the_fields_it_has_and_a_note_names_the_dropped(override: str) -> None:
    config, notes = with_overrides(override)

    assert config.optimizer.name == "sgd"
    assert config.optimizer.to_dict()["learning_rate"] == 0.002
    assert notes == [f"{override} keeps learning_rate 0.002 and drops beta1, which sgd does not have"]


def test_a_learning_rate_that_another_component_is_trained_with_is_kept_aloud() -> None:
    text = PLAIN.replace("{name: adam, learning_rate: 0.002, beta1: 0.8}", "{name: sgd, learning_rate: 0.1}")

    assert with_overrides("optimizer=adam", text=text)[1] == ["optimizer=adam keeps learning_rate 0.1"]


def test_what_another_override_sets_is_not_called_kept() -> None:
    assert with_overrides("optimizer=sgd", "optimizer.learning_rate=0.3")[1] == [
        "optimizer=sgd drops beta1, which sgd does not have"
    ]


def test_a_field_with_the_new_components_own_default_is_not_called_kept() -> None:
    text = PLAIN.replace("{name: adam, learning_rate: 0.002, beta1: 0.8}", "{name: sgd, learning_rate: 0.001}")

    assert with_overrides("optimizer=adam", text=text)[1] == []


def test_a_component_left_to_its_default_has_nothing_to_keep() -> None:
    text = PLAIN.replace("optimizer: {name: adam, learning_rate: 0.002, beta1: 0.8}\n", "")

    assert with_overrides("optimizer=sgd", text=text)[1] == []


CSV = """\
data: {dataset: {name: csv, target: price}, path: rows.csv}
model: {hidden_layers: []}
loss: mean_squared_error
"""


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("data.path=a #b.csv", "data.path", "a #b.csv"),
        ("data.path=#b.csv", "data.path", "#b.csv"),
        ("data.path=[x].csv", "data.path", "[x].csv"),
        ("data.path={x}: y.csv", "data.path", "{x}: y.csv"),
        ("data.path='[x].csv'", "data.path", "[x].csv"),
        ("data.path='a' and 'b'.csv", "data.path", "'a' and 'b'.csv"),
        ("data.path=@home & *all!.csv", "data.path", "@home & *all!.csv"),
        ("data.path= 1e3 ", "data.path", "1e3"),
        ("data.path=true", "data.path", "true"),
        ("data.path=null", "data.path", None),
        ("data.path='null'", "data.path", "null"),
        ("name=007", "name", "007"),
        ("name=null", "name", "null"),
        ("data.dataset.target=price #2", "data.dataset.target", "price #2"),
        ("data.dataset.target=007", "data.dataset.target", "007"),
        ("data.dataset.target=[x].csv", "data.dataset.target", "[x].csv"),
        ("data.dataset.target=[a #1, 007]", "data.dataset.target", ["a #1", "007"]),
        ("data.dataset={name: csv, target: price #2}", "data.dataset.target", "price #2"),
        ("data.dataset.delimiter=;", "data.dataset.delimiter", ";"),
        ("data.dataset.delimiter=,", "data.dataset.delimiter", ","),
        ('data.dataset.delimiter="\\t"', "data.dataset.delimiter", "\t"),
        ("wandb.tags=[007, v1 #3]", "wandb.tags", ["007", "v1 #3"]),
        ("wandb.project=2024", "wandb.project", "2024"),
    ],
)
def test_a_field_that_is_text_takes_text_as_it_is(override: str, path: str, expected: object) -> None:
    assert value(path, override, text=CSV) == expected


def test_the_characters_that_stand_in_for_a_hash_sign_can_be_typed_too() -> None:
    assert value("data.dataset.target", "data.dataset={name: csv, target: \U000f0000 #1}", text=CSV) == (
        "\U000f0000 #1"
    )


@pytest.mark.parametrize("text", ["2024", "a #b", "[x]", 'say "x"', "line\u2028end", "\x85\x7f", "猫 😺", "", "a: b"])
def test_what_a_program_writes_as_an_override_is_read_back(text: str) -> None:
    dataset = {"name": "csv", "target": text}
    assert value("data.dataset.target", written_override("data.dataset.target", text), text=CSV) == text
    assert value("data.dataset.target", written_override("data.dataset", dataset), text=CSV) == text


def test_a_field_that_another_component_has_is_left_out_when_that_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(PLAIN)
    notes: list[str] = []
    changes = ["optimizer.name=sgd", "optimizer.beta2=0.9", "optimizer.momentum=0.5"]
    config = load_config(file, changes, notes.append, leave_out=True)

    assert config.optimizer.to_dict()["momentum"] == 0.5
    assert "optimizer.beta2 is left out: sgd has no beta2" in notes
    assert left_out(file, changes) == ["optimizer.beta2=0.9"]
    with pytest.raises(ConfigError, match=r"optimizer\.beta2: unknown field"):
        load_config(file, changes)
    with pytest.raises(ConfigError, match="did you mean momentum"):
        load_config(file, ["optimizer.name=sgd", "optimizer.momentu=0.5"], leave_out=True)


def test_a_value_that_another_component_cannot_have_is_dropped_aloud() -> None:
    text = PLAIN.replace("{dataset: shapes}", "{dataset: {name: shapes, test: 50}}")
    config, notes = with_overrides("data.dataset=csv", text=text)

    assert config.data.dataset.to_dict()["test"] == 0.2
    assert notes == ["data.dataset=csv drops test 50, which csv cannot have"]


def test_epochs_that_are_asked_for_count_more_than_the_minutes_of_a_file() -> None:
    text = PLAIN + "training: {minutes: 5}\n"
    config, notes = with_overrides("training.epochs=3", text=text)

    assert (config.training.epochs, config.training.minutes) == (3, None)
    assert notes == ["training.minutes 5 does not count: training.epochs is set beside it"]
    assert with_overrides("training.minutes=1", text=PLAIN + "training: {epochs: 3}\n")[0].training.minutes == 1
    assert with_overrides("training.minutes=1", "training.epochs=3", text=text)[0].training.minutes == 1
    assert with_overrides(text=PLAIN + "training: {minutes: 5, epochs: 3}\n")[0].training.minutes == 5


@pytest.mark.parametrize("path", ["data.dataset.columns.age", "data.dataset.csv.columns.age"])
def test_an_entry_of_a_mapping_is_reached_by_its_key(path: str) -> None:
    text = PLAIN.replace("{dataset: shapes}", "{dataset: {name: csv, columns: {sex: category}}, path: my.csv}")

    assert value("data.dataset.columns.age", f"{path}=number", text=text) == "number"
    assert value("data.dataset.columns.sex", f"{path}=number", text=text) == "category"
    assert value("data.dataset.columns.age", f"{path}=number", text=CSV) == "number"


def test_an_index_may_stand_in_brackets() -> None:
    assert value("model.layers.1.units", "model.layers[1].units=32", text=LAYERED) == 32


def test_an_activation_inside_a_layer_is_said_to_be_a_layer_of_its_own() -> None:
    assert "an activation is a layer of its own, after this one" in refusal(
        "model.layers.1={dense: {units: 3, activation: relu}}", text=LAYERED
    )


def test_hidden_layers_with_nothing_below_them_are_not_taken_for_a_linear_model() -> None:
    assert "model: needs hidden_layers (a list of widths, [] for a linear model)" in refusal("model.hidden_layers=")
    both = "data: {dataset: shapes}\nmodel: {hidden_layers: , layers: }\n"  # as in the config of a run of before
    assert value("model.hidden_layers", text=both) is None


def test_a_list_with_nothing_below_it_is_empty() -> None:
    text = PLAIN.replace("{dataset: shapes}", "\n  dataset: shapes\n  augment:\n")

    assert value("data.augment", text=text) == value("wandb.tags", "wandb.tags=") == []


def test_a_warm_up_as_long_as_the_training_is_told() -> None:
    told = ["schedule.warmup_epochs 3 takes all 3 epochs: the learning rate only rises"]

    assert with_overrides("schedule.warmup_epochs=3", "training.epochs=3")[1] == told
    assert with_overrides("schedule.warmup_epochs=3", "training.epochs=4")[1] == []


@pytest.mark.parametrize(
    ("schedule", "epochs", "is_told"),
    [
        ("{step: {every: 10}}", 10, True),
        ("{step: {every: 10}}", 11, False),
        ("{step: {every: 10, warmup_epochs: 2}}", 12, True),
        ("{reduce_on_plateau: {patience: 3}}", 4, True),
        ("{reduce_on_plateau: {patience: 3}}", 5, False),
        ("cosine", 1, False),
        ("constant", 1, False),
    ],
)
def test_a_schedule_that_comes_too_late_is_told(schedule: str, epochs: int, is_told: bool) -> None:
    """Told just when the rate of a training whose losses never fall stays the same to its end."""
    name = schedule.strip("{").partition(":")[0]
    length = f"{epochs} epochs" if epochs > 1 else "1 epoch"
    told = f"schedule {name} never lowers the learning rate in the {length} of this training"
    config, notes = with_overrides(f"schedule={schedule}", f"training.epochs={epochs}")
    assert notes == [told] * is_told
    if name in ("step", "reduce_on_plateau"):
        made = config.schedule.build()
        rates = {made(epoch, epochs, 1, [1.0] * epoch) for epoch in range(int(made.warmup_epochs), epochs)}
        assert (rates == {1.0}) == is_told


def test_epochs_beside_minutes_are_told_to_count_for_nothing_unless_the_minutes_are_newer() -> None:
    told = ["training.epochs 3 does not count: training.minutes is set beside it"]

    assert with_overrides("training.epochs=3", "training.minutes=1")[1] == told
    assert with_overrides("training.minutes=1", text=PLAIN + "training: {epochs: 3}\n")[1] == []
    assert with_overrides(text=PLAIN + "training: {epochs: 3, minutes: 1}\n")[1] == told


def test_the_same_component_drops_nothing() -> None:
    config, notes = with_overrides("optimizer=adam")

    assert config.optimizer.to_dict()["beta1"] == 0.8
    assert notes == []


def test_a_mapping_replaces_the_whole_component() -> None:
    config, notes = with_overrides("optimizer={name: adam, beta2: 0.9}", "optimizer.learning_rate=0.1")

    assert config.optimizer.to_dict()["beta1"] == 0.9
    assert notes == ["optimizer={name: adam, beta2: 0.9} drops beta1 0.8"]


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer.momentum=0.9", "optimizer.name=sgd"],
        ["optimizer.name=sgd", "optimizer.momentum=0.9"],
        ["optimizer.momentum=0.9", "optimizer=sgd"],
    ],
)
def test_the_order_of_a_name_and_its_fields_does_not_matter(overrides: Sequence[str]) -> None:
    assert value("optimizer.momentum", *overrides) == 0.9


def test_of_two_values_for_one_field_the_last_wins() -> None:
    assert value("seed", "seed=1", "seed=2") == 2
    assert value("optimizer.beta1", "optimizer.adam.beta1=0.5", "optimizer.beta1=0.6") == 0.6


def test_layers_are_reached_by_index_whatever_form_they_were_written_in() -> None:
    assert value("model.layers.1.units", "model.layers.1.units=32", text=LAYERED) == 32
    assert value("model.layers.3.units", "model.layers.3.units=5", text=LAYERED) == 5


def test_a_layer_is_exchanged_by_its_name() -> None:
    config, notes = with_overrides("model.layers.2=gelu", text=LAYERED)

    assert config.model.layers is not None
    assert config.model.layers[2].to_dict() == {"name": "gelu"}
    assert notes == ["model.layers.2=gelu drops slope, which gelu does not have"]


def test_an_optional_component_is_switched_on_by_its_name() -> None:
    assert value("training.averaging.decay", "training.averaging=ema", "training.averaging.decay=0.5") == 0.5
    assert value("training.averaging.decay", "training.averaging.decay=0.5", "training.averaging.name=ema") == 0.5
    assert "choose one first: training.averaging=NAME" in refusal("training.averaging.decay=0.5")


NAMED = """
data: {dataset: shapes}
model:
  layers: [{dense: {units: 10, bias: false}}, relu]
optimizer: {adam: {beta1: 0.8}}
"""


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("optimizer.adam.beta2=0.9", "optimizer.beta2", 0.9),
        ("model.layers.0.dense.units=32", "model.layers.0.units", 32),
        ("model.layers.0.dense=32", "model.layers.0.units", 32),
        ("model.layers.0.dense={units: 32}", "model.layers.0.units", 32),
        ("optimizer.adam=", "optimizer.beta1", 0.8),
        ("schedule.cosine.final=0.5", "schedule.final", 0.5),
        ("schedule.cosine=", "schedule.name", "cosine"),
        ("training.averaging.ema.decay=0.5", "training.averaging.decay", 0.5),
        ("data.scaling.standardize.per=channel", "data.scaling.per", "channel"),
        ("loss.cross_entropy.label_smoothing=0.1", "loss.label_smoothing", 0.1),
    ],
)
def test_a_path_may_name_the_component_as_a_file_does(override: str, path: str, expected: object) -> None:
    assert value(path, override, text=NAMED) == expected


def test_the_short_value_behind_a_components_name_keeps_its_other_fields_and_a_mapping_replaces_them() -> None:
    assert value("model.layers.0.bias", "model.layers.0.dense=32", text=NAMED) is False
    config, notes = with_overrides("model.layers.0.dense={units: 32}", text=NAMED)
    assert flatten(config)["model.layers.0.bias"] is True
    assert notes == ["model.layers.0.dense={units: 32} drops bias false"]


def test_a_path_that_names_another_component_is_refused_unless_that_one_is_chosen() -> None:
    assert "optimizer.sgd.momentum: `optimizer` is adam, not sgd" in refusal("optimizer.sgd.momentum=0.9", text=NAMED)
    assert value("optimizer.momentum", "optimizer.sgd.momentum=0.9", "optimizer=sgd", text=NAMED) == 0.9
    assert "`relu` takes no value here" in refusal("model.layers.1.relu=3", text=NAMED)


def test_a_field_of_a_component_that_is_not_chosen_is_left_out_when_that_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(PLAIN)
    notes: list[str] = []
    changes = ["optimizer=adam", "optimizer.sgd.momentum=0.9", "optimizer.adam.beta2=0.5"]

    assert load_config(file, changes, notes.append, leave_out=True).optimizer.to_dict()["beta2"] == 0.5
    assert notes == ["optimizer.sgd.momentum is left out: optimizer is adam"]
    assert left_out(file, changes) == changes[1:2]
    with pytest.raises(ConfigError, match="`optimizer` is adam, not sgd"):  # nothing has chosen between them
        load_config(file, changes[1:], leave_out=True)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer.leraning_rate=1", "optimizer.leraning_rate: unknown field; did you mean learning_rate?"),
        ("trainin.epochs=1", "trainin.epochs: unknown field; did you mean training?"),
        ("lr=3", "lr: unknown field; did you mean optimizer.learning_rate?"),
        ("optimizer.lr=3", "optimizer.lr: unknown field; did you mean learning_rate?"),
        ("optimizer.adm.lr=3", "optimizer.adm.lr: unknown field; did you mean adam?"),
        ("learning_rate=3", "learning_rate: unknown field; did you mean optimizer.learning_rate?"),
        ("epochs=3", "epochs: unknown field; did you mean training.epochs?"),
        ("training.lr=3", "training.lr: unknown field; did you mean optimizer.learning_rate?"),
        ("bs=3", "bs: unknown field; did you mean training.batch_size?"),
        ("optimizer.name=adm", "optimizer.name: unknown optimizer `adm`; did you mean adam?"),
        ("optimizer=adm", "optimizer.name: unknown optimizer `adm`; did you mean adam?"),
        ("optimizer=Adam", "optimizer.name: unknown optimizer `Adam`; did you mean adam?"),
        ("loss=mse", "loss.name: unknown loss `mse`; did you mean mean_squared_error?"),
        ("model.activation=swish", "unknown activation `swish`; did you mean silu?"),
        ("model.weight_init=kaiming_normal", "unknown initializer `kaiming_normal`; did you mean he?"),
        ("schedule=none", "unknown schedule `none`; did you mean constant?"),
        ("schedule.step_size=3", "unknown field; did you mean every? step has it"),
        ("optimizer.weight_decay=0.1", "unknown field; sgd, adamw, lion, muon have it"),
        ("training.monitor=val_f1", "unknown value `val_f1`; did you mean val_macro_f1?"),
        ("data.dataset.train=1000001", "must be at most 1,000,000, got 1000001"),
        ("optimizer={adam: , learning_rate: 0.1}", "`adam` is its name: indent its fields below it"),
        ("optimizer.learning_rate=-1", "optimizer.learning_rate: must be greater than 0, got -1"),
        ("optimizer.learning_rate=fast", "expected a number, got text 'fast'"),
        ("seed.x=1", "`seed` has no field `x`"),
        ("seed.0=1", "`seed` has no field `0`"),
        ("model.hidden_layers.7=1", "`model.hidden_layers` has 2 items, counted from 0"),
        ("model.hidden_layers.x=1", "`model.hidden_layers` is a list"),
        ("model.layers.0.units=1", "`model.layers` is not set, so it has no items"),
        ("schedule=[1", "this [ is not closed by a ]"),
        ("seed", "an override has the form field=value"),
        ("=1", "an override has the form field=value"),
        ("a..b=1", "an override has the form field=value"),
        ("seed=&a 1", "anchors and aliases"),
        ("data=1", "data: expected a mapping of fields, got 1"),
        ("model=", "model: needs hidden_layers"),
    ],
)
def test_a_wrong_override_is_refused_and_shown(override: str, words: str) -> None:
    message = refusal(override)

    assert words in message
    assert f"\n    {override}\n" in message
    assert "override:" not in message


def test_the_caret_points_at_the_value() -> None:
    assert refusal("optimizer.learning_rate=-1") == (
        "optimizer.learning_rate: must be greater than 0, got -1\n"
        "    optimizer.learning_rate=-1\n"
        "                            ^"
    )


def test_a_default_that_does_not_fit_is_not_laid_to_the_override_of_a_neighbour() -> None:
    config = parse_config(PLAIN, "my.yaml", ["training.epochs=1"])
    assert str(config.problem("training.batch_size", "is too large")) == "my.yaml  training.batch_size: is too large"
    own = config.problem("training.epochs", "is too small")
    assert str(own) == "training.epochs: is too small\n    training.epochs=1\n                    ^"


def test_all_wrong_overrides_are_reported_beside_the_problems_of_the_file() -> None:
    message = refusal("seed=x", "trainin=1", text=PLAIN + "schedule: cosin\n")

    assert [line.split("  ")[0] for line in message.splitlines() if not line.startswith(" ")] == [
        "my.yaml:6:11",
        "trainin: unknown field; did you mean training? (allowed: data, evaluation, l2, loss, model, name, optimizer, "
        "plugins, schedule, seed, tracking, training, wandb)",
        "seed: expected a whole number, got text 'x'",
    ]


def test_fields_of_a_component_with_an_unknown_name_are_not_blamed() -> None:
    assert refusal("optimizer=adm", "optimizer.momentum=0.9").count("^") == 1


def test_hidden_layers_do_not_override_explicit_layers() -> None:
    assert refusal("model.hidden_layers=[256]", text=LAYERED).startswith(
        "model.hidden_layers: cannot be combined with model.layers (line 3)"
    )


def test_an_override_can_mend_a_config() -> None:
    assert value("optimizer.name", "optimizer=sgd", text=PLAIN.replace("name: adam", "name: adm")) == "sgd"


def test_paths_have_whole_numbers_for_indices() -> None:
    assert parse_override("--model.layers.10.units=3").path == ("model", "layers", 10, "units")


@pytest.mark.parametrize(
    ("path", "given", "expected"),
    [
        ("optimizer", {"sgd": {"momentum": 0.5}}, ["optimizer={sgd: {momentum: 0.5}}"]),
        ("optimizer", {"name": "sgd", "momentum": 0.5}, ["optimizer={name: sgd, momentum: 0.5}"]),
        ("optimizer.adam", {"beta1": 0.5}, ["optimizer.adam={beta1: 0.5}"]),
        ("optimizer", {"beta1": 0.5}, ["optimizer.beta1=0.5"]),
        ("model", {"weight_init": {"random": {"scale": 0.5}}}, ["model.weight_init={random: {scale: 0.5}}"]),
        ("data", {"dataset": {"shapes": {"train": 40}}}, ["data.dataset={shapes: {train: 40}}"]),
        ("data", {"dataset": {"train": 40}, "validation": 0.5}, ["data.dataset.train=40", "data.validation=0.5"]),
        ("training", {"averaging": {"ema": {"decay": 0.5}}}, ["training.averaging={ema: {decay: 0.5}}"]),
        ("l2", {"strength": 0.5}, ["l2.strength=0.5"]),
    ],
)
def test_a_component_from_python_means_what_it_does_in_yaml(path: str, given: object, expected: list[str]) -> None:
    found = with_overrides(*overrides_of(path, given, Config))
    assert found[0] == with_overrides(*expected)[0]


def test_a_component_that_there_is_not_is_refused_without_settings_too() -> None:
    wrong: tuple[object, ...] = ({"sgdd": {}}, {"sgdd": {"momentum": 0.5}})
    for given in wrong:
        assert "optimizer.sgdd: unknown field" in refusal(*overrides_of("optimizer", given, Config))
    assert overrides_of("training", {}, Config) == []
