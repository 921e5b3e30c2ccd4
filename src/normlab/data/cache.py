"""Prepared data sets kept in the process: the runs of a serial sweep load each once."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import torch

from normlab.config import DataConfig
from normlab.data.dataset import Dataset


def load(
    config: DataConfig, *, size: int | None, dtype: torch.dtype, device: torch.device | str
) -> Dataset:
    """`config.load`, remembered for the last few data sets; treat the tensors as read-only.

    Settings that only say how batches are drawn share one copy.
    """
    config = dataclasses.replace(config, sampling="epoch", augment=False, order_in_batch="random")
    return _load(config, size, dtype, torch.device(device))


@lru_cache(maxsize=4)
def _load(
    config: DataConfig, size: int | None, dtype: torch.dtype, device: torch.device
) -> Dataset:
    return config.load(size, dtype, device)
