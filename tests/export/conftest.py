"""Networks with weights of their own, as a run has them, made without a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.config.config import Config, config_from_mapping
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.loaded import LoadedRun
from nnscratch.runs.network_record import NetworkRecord
from nnscratch.training.scaling import UNCHANGED, Affine, affine

Make = Callable[..., LoadedRun]


def loaded_run(
    folder: Path,
    config: Config,
    input_shape: tuple[int, ...],
    outputs: int = 3,
    *,
    images: bool = True,
    regression: bool = False,
    feature_names: tuple[str, ...] | None = None,
    weights: tuple[dict[str, Array], dict[str, Array]] | None = None,
    scaling: Affine | None = None,
    target_affine: Affine = UNCHANGED,
    temperature: float = 1.0,
    encoding: TableEncoding | None = None,
) -> LoadedRun:
    """The network of a config with these weights, or else with random ones and running statistics."""
    record = NetworkRecord.of(config)
    network = record.build(input_shape, outputs)
    network.initialize(RandomStreams(config.seed))
    if weights is None:
        rng = np.random.default_rng(1)
        named, state = network.parameters.named(), network.parameters.named_state()
        for name, array in (*named.items(), *state.items()):
            if not name.endswith("weight"):
                array += rng.uniform(0, 0.5, array.shape).astype(np.float32)
    else:
        network.parameters.load(weights[0])
        network.parameters.load_state(weights[1])
    checkpoint = folder / "best.npz"
    checkpoint.write_bytes(b"f" * 64)
    return LoadedRun(
        run=RunDirectory(folder),
        checkpoint=checkpoint,
        epoch=1,
        config_text=config.to_yaml(),
        record=record,
        network=network,
        affine=scaling or affine(1 / 255 if images else 1.5, -0.25),
        target_affine=target_affine,
        input_shape=input_shape,
        outputs=outputs,
        classes=None if regression else tuple(f"class {index}" for index in range(outputs)),
        target_names=tuple(f"y{index}" for index in range(outputs)),
        feature_names=feature_names,
        takes_images=images,
        encoding=encoding,
        temperature=temperature,
    )


def settings(layers: list[Any], **more: Any) -> Config:
    return config_from_mapping({"name": "own", "data": {"dataset": "shapes"}, "model": {"layers": layers}, **more})


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make(layers, input_shape, ...): the LoadedRun of these layers."""

    def made(layers: list[Any], input_shape: tuple[int, ...], *, config: dict[str, Any] | None = None, **more: Any):  # type: ignore[no-untyped-def]  # Make says what it gives
        return loaded_run(tmp_path, settings(layers, **(config or {})), input_shape, **more)

    return made
