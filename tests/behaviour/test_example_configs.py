"""The configs that are shipped show what there is to choose from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from nnscratch.component import Component
from nnscratch.config.config import load_config
from nnscratch.config.specification import Section, Specification
from nnscratch.nn.network import Network
from nnscratch.teaching.book import PAGES

CONFIGS = Path(__file__).parents[2] / "configs"


def chosen(value: object) -> Iterator[type[Component]]:
    """Every component that a config sets itself, nested ones included; what it leaves to the defaults is not shown."""
    if isinstance(value, Specification):
        yield value.component
        yield from chosen(value.fields)
    elif isinstance(value, Section):
        yield from chosen([getattr(value, field) for field in value.model_fields_set])
    elif isinstance(value, Mapping):
        yield from chosen(list(value.values()))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from chosen(each)


@pytest.fixture(scope="module")
def shown() -> set[type[Component]]:
    paths = [path for path in CONFIGS.rglob("*.yaml") if not path.name.startswith("sweep")]
    return {component for path in paths for component in chosen(load_config(path))}


@pytest.mark.parametrize("kind", ["layers", "optimizers", "schedules", "augmentation", "averaging"])
def test_every_layer_optimizer_schedule_augmentation_and_average_is_shown(
    kind: str, shown: set[type[Component]]
) -> None:
    page = {page.name: page for page in PAGES}[kind]
    assert [each.name for each in page.components if each not in shown] == []


@pytest.mark.parametrize("path", sorted((CONFIGS / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_layers_of_an_example_fit_its_images(path: Path) -> None:
    Network(load_config(path).build_layers(), (32, 32, 3), outputs=10)
