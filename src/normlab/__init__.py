"""normlab: what a normalization layer does to the training of a deep network, and why.

The public door. Nothing is imported before it is asked for:

- `normlab.measures`, `normlab.norms`: measurements and layers for anyone's loop; torch and NumPy
  are all they need.
- `normlab.compose`, `normlab.train`: one run, in the words of the command line.
- `normlab.runs`, `normlab.table`, `normlab.plot`: what has been recorded, as tables and figures.
- `normlab.metrics`: what each recorded name means.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # typing's own would cost a command the moment in which it hears no Ctrl-C
if TYPE_CHECKING:
    from typing import Any

    from normlab import measures as measures
    from normlab import metrics as metrics
    from normlab import norms as norms
    from normlab.notebook import compose as compose
    from normlab.notebook import plot as plot
    from normlab.notebook import runs as runs
    from normlab.notebook import table as table
    from normlab.notebook import train as train

__version__ = "0.1.0"

_PACKAGES = ("measures", "metrics", "norms")
_FUNCTIONS = ("compose", "plot", "runs", "table", "train")

__all__ = ["__version__", *_PACKAGES, *_FUNCTIONS]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"normlab.{name}")
    if name in _FUNCTIONS:
        return getattr(import_module("normlab.notebook"), name)
    raise AttributeError(f"module 'normlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
