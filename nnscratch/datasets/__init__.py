"""Datasets: every source is a component, so importing them all here is what makes them known."""

from importlib import import_module
from pkgutil import iter_modules

from nnscratch.datasets import sources
from nnscratch.datasets.dataset import Dataset, Source

for module in iter_modules(sources.__path__, f"{sources.__name__}."):
    import_module(module.name)

__all__ = ["Dataset", "Source"]
