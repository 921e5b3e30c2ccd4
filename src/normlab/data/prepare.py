"""From stored arrays to what a network sees: limit, validation split, scaling, device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from normlab.config import DataConfig
from normlab.data.corruptions import corrupt_
from normlab.data.dataset import Dataset
from normlab.data.source import Source
from normlab.randomness import generator

CHUNK_SIZE = 256


def prepare(
    config: DataConfig,
    source: Source,
    transform: Callable[[Tensor], Tensor],
    device: torch.device,
    *,
    num_classes: int | None,
) -> Dataset:
    """Build the data set a configuration describes.

    In this order: the first `data.limit` training samples as stored; `data.validation_fraction`
    of those set aside, the same ones in every run; `transform` on the inputs of each split;
    corruption, of the samples set aside as of those trained on, for both are drawn from one
    distribution; and, with `data.standardize`, mean and deviation of the remaining training
    samples as they were before corruption, applied to all splits. Computed on the CPU, so that
    every device sees the same numbers.

    Args:
        transform: gives a tensor of its own, which is then changed in place.
    """
    train, val = split_indices(config)
    train_inputs = transform(source.train_inputs.index_select(0, train))
    test_inputs = transform(source.test_inputs)
    val_inputs = transform(source.train_inputs.index_select(0, val)) if len(val) else None
    moments = channel_moments(train_inputs) if config.standardize else None
    for split, inputs, corruption in (
        ("train", train_inputs, config.train_corruption),
        ("test", test_inputs, config.test_corruption),
        ("val", val_inputs, config.train_corruption),
    ):
        if inputs is not None:
            corrupt_(inputs, corruption, config.corruption_severity, split)
            if moments is not None:
                shift, deviation = moments
                inputs.sub_(shift).div_(deviation)

    def targets(stored: Tensor) -> Tensor:
        return stored.to(device, train_inputs.dtype if num_classes is None else None)

    return Dataset(
        train_inputs=train_inputs.to(device),
        train_targets=targets(source.train_targets.index_select(0, train)),
        test_inputs=test_inputs.to(device),
        test_targets=targets(source.test_targets),
        val_inputs=None if val_inputs is None else val_inputs.to(device),
        val_targets=targets(source.train_targets.index_select(0, val)) if len(val) else None,
        num_classes=num_classes,
        checksum=source.checksum,
    )


def split_indices(config: DataConfig) -> tuple[Tensor, Tensor]:
    """Positions in the stored training set that are trained on, and that are set aside.

    Which samples are set aside depends on their number and on nothing else. Both keep the
    stored order.
    """
    num_train, num_val = config.num_train_samples, config.num_val_samples
    if num_val == 0:
        return torch.arange(num_train), torch.arange(0)
    order = torch.randperm(num_train + num_val, generator=generator(0, "validation"))
    return order[num_val:].sort().values, order[:num_val].sort().values


def channel_moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) standard deviation of every channel, or of every feature of a vector.

    Shaped to broadcast over `inputs`; summed in float64. A channel that never changes cannot be
    standardized: `ValueError`.
    """
    dims = [dim for dim in range(inputs.ndim) if dim != 1]
    count = inputs.numel() / inputs.shape[1]
    # One buffer for all chunks: fresh memory would cost ten times what the sums do.
    buffer = torch.empty_like(inputs[:CHUNK_SIZE], dtype=torch.float64)

    def total(term: Callable[[Tensor], Tensor]) -> Tensor:
        chunks = (buffer[: len(chunk)].copy_(chunk) for chunk in torch.split(inputs, CHUNK_SIZE))
        return torch.stack([term(chunk).sum(dims, keepdim=True) for chunk in chunks]).sum(0)

    mean = total(lambda chunk: chunk) / count
    variance = total(lambda chunk: chunk.sub_(mean).square_()) / count
    constant = (variance == 0).flatten().nonzero().flatten().tolist()
    if constant:
        raise ValueError(
            "data.standardize needs channels that vary over the training set; "
            f"channel {constant[0]} has one value throughout. Give data.standardize=false."
        )
    return mean.to(inputs.dtype), variance.sqrt().to(inputs.dtype)
