"""Findings speak of what is wrong; the config's words for what to try are added here."""

from __future__ import annotations

import re
from typing import get_args

from nnscratch.config.advice import REMEDIES, advice, sentence
from nnscratch.config.config import Config, config_from_mapping
from nnscratch.training.diagnosis.findings import Finding, Remedy


def test_every_remedy_has_words_and_no_words_are_left_over() -> None:
    assert set(REMEDIES) == set(get_args(Remedy))


def test_several_remedies_are_alternatives() -> None:
    finding = Finding("exploding gradients", "1.dense", "gradient norm 1e9", ("clipping", "smaller learning rate"))
    assert advice(finding) == "training.clip_norm: 1, or a smaller optimizer.learning_rate"
    assert sentence(finding) == f"exploding gradients in 1.dense: gradient norm 1e9; try {advice(finding)}"


def test_fields_that_are_advised_exist() -> None:
    model = {"hidden_layers": [3]}
    config = config_from_mapping({"data": {"dataset": "shapes"}, "model": model})
    sections = "|".join(Config.model_fields)
    advised = {field for words in REMEDIES.values() for field in re.findall(rf"\b(?:{sections})(?:\.\w+)+", words)}
    assert {"data.scaling", "optimizer.learning_rate", "training.clip_norm"} <= advised
    for field in advised - {"optimizer.learning_rate"}:
        value: object = config
        for name in field.split("."):
            assert hasattr(value, name), field
            value = getattr(value, name)
