"""Networks: chains of named stages built from a kit.

Every module of this package is imported, so that a new network is one file here and one
YAML file in `configs/model/`.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
