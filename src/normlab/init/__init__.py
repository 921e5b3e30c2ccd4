"""Initializations, one file a family.

Every module of this package is imported, so that a new initialization is one file here and one
YAML file in `configs/init/`.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
