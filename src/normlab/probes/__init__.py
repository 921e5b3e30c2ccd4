"""Probes: when a measure is taken during training, and what its numbers are called.

Every module of this package is imported, so that a new probe is one file here and one YAML file
in `configs/probe/`.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
