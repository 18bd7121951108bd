"""The configs that are shipped show what there is to choose from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from nnscratch.experiment.book import PAGES, Page
from nnscratch.experiment.components import Section, Specification
from nnscratch.experiment.config import load_config
from nnscratch.nn.component import Component

CONFIGS = Path(__file__).parents[2] / "configs"


def chosen(value: object) -> Iterator[type[Component]]:
    """Every component that a config names, nested ones included."""
    if isinstance(value, Specification):
        yield value.component
        yield from chosen(value.fields)
    elif isinstance(value, Section):
        yield from chosen([getattr(value, field) for field in type(value).model_fields])
    elif isinstance(value, Mapping):
        yield from chosen(list(value.values()))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from chosen(each)


@pytest.fixture(scope="module")
def shown() -> set[type[Component]]:
    paths = [path for path in CONFIGS.rglob("*.yaml") if not path.name.startswith("sweep")]
    return {component for path in paths for component in chosen(load_config(path))}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name in ("layers", "optimizers", "schedules", "augmentation", "averaging")],
    ids=lambda page: page.name,
)
def test_every_component_is_shown_in_a_config(page: Page, shown: set[type[Component]]) -> None:
    assert [each.name for each in page.components if each not in shown] == []
