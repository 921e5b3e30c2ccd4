"""Data sets as tensors on the device, and the batches a run draws from them.

No data is read and neither scikit-learn nor torchvision is imported before a set is loaded.
"""

from normlab.data.batches import Batch, Batches, steps_per_epoch
from normlab.data.cache import load
from normlab.data.dataset import Dataset
from normlab.data.evaluation import evaluation_batches

__all__ = ["Batch", "Batches", "Dataset", "evaluation_batches", "load", "steps_per_epoch"]
