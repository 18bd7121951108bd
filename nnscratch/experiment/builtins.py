"""Imports every module that may define a component, so that all built-in YAML names are known.

A new layer, optimizer or dataset is a class in a file of these packages; there is no list to add it to.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import nnscratch.datasets
import nnscratch.nn.layers
import nnscratch.training

for package in (nnscratch.nn.layers, nnscratch.training, nnscratch.datasets):
    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
