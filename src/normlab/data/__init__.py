"""Data sets as tensors on the device, and the batches a run draws from them.

Importing the package registers every `data=NAME`; no data is read and neither scikit-learn nor
torchvision is imported before a set is loaded.
"""

import pkgutil
from importlib import import_module

from normlab.data.batches import Batch, Batches, steps_per_epoch
from normlab.data.cache import load
from normlab.data.dataset import Dataset
from normlab.data.evaluation import evaluation_batches

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["Batch", "Batches", "Dataset", "evaluation_batches", "load", "steps_per_epoch"]
