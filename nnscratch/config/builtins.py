"""Imports every module that may define a component, so that all built-in YAML names are known.

A new layer, optimizer or dataset is a class in a file of these packages; there is no list to add it to.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

import nnscratch.datasets.sources
import nnscratch.nn
import nnscratch.training

for package in (nnscratch.nn, nnscratch.training, nnscratch.datasets.sources):
    for module in walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)
