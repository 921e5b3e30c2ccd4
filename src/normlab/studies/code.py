"""The Python files of an experiment's folder: figure.py, claims.py, compute.py."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType


def load_code(folder: Path, name: str) -> ModuleType:
    """The module `name` of an experiment's folder, wherever that lies.

    The folder becomes a package of its own under a name made from its path: two experiments of one
    name do not meet, and nothing is put on `sys.path`. A file takes from its neighbours by
    `from .claims import ...`.
    """
    path = folder.resolve()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    package = f"normlab_experiment_{digest}_{folder.name}"
    if package not in sys.modules:
        module = ModuleType(package)
        module.__path__ = [str(path)]
        sys.modules[package] = module
    return importlib.import_module(f"{package}.{name}")
