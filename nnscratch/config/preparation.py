"""Data and network of a config, checked against each other, before anything is written or allocated."""

from __future__ import annotations

from dataclasses import dataclass

from nnscratch.config.assembly import (
    Splits,
    build_network,
    load_dataset,
    split_dataset,
)
from nnscratch.config.config import Config
from nnscratch.datasets.dataset import Dataset
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.network import Network


@dataclass(frozen=True)
class Prepared:
    """Data and network of a config, checked against each other, before anything is written or allocated."""

    config: Config
    dataset: Dataset
    splits: Splits
    network: Network


def prepare(config: Config, workplace: Workplace, display: Display) -> Prepared:
    """Loads the data and builds the network. Raises the UserError of whatever does not fit."""
    dataset = load_dataset(config, workplace.data_dir, display.say, display.download, workplace.download)
    splits = split_dataset(config, dataset)
    network = build_network(config, dataset.input_shape, dataset.outputs)
    return Prepared(config, dataset, splits, network)
