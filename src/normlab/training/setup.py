"""The parts of a training run, built from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from normlab.config import RunConfig
from normlab.data.batches import Batches
from normlab.data.dataset import Dataset
from normlab.models.chain import Chain, weight_layers
from normlab.models.kit import Kit
from normlab.objectives import Penalty, data_loss
from normlab.probes.base import Probe
from normlab.randomness import Clock
from normlab.training.device import parameter_dtype


@dataclass(frozen=True)
class Setup:
    """What one step needs; the clock is read by every module that draws random numbers."""

    model: Chain
    clock: Clock
    batches: Batches
    loss: Callable[[Tensor, Tensor], Tensor]
    penalty: Penalty
    optimizer: Optimizer
    probes: tuple[Probe, ...]


def build_model(config: RunConfig, clock: Clock) -> Chain:
    """The network a configuration describes, uninitialized, on the current default device."""
    kit = Kit(norm=config.norm, dropout=config.dropout, seed=config.seed, clock=clock)
    return config.model.build(kit, config.sample_shape(), config.data.num_outputs)


def build(config: RunConfig, dataset: Dataset, device: torch.device) -> Setup:
    """Model initialized, optimizer and probes ready, at step 0.

    The same seed gives the same initial weights, batches and masks wherever shapes agree.
    """
    assert config.steps is not None
    clock = Clock()
    batches = Batches(
        dataset,
        batch_size=config.batch_size,
        sampling=config.data.sampling,
        augment=config.data.augment,
        seed=config.seed,
    )
    model = build_model(config, clock)
    dtype = parameter_dtype(config.precision)
    model = model.to(dtype).train()
    first_inputs = batches.at(0).inputs.to("cpu", dtype)
    config.init.apply(model, first_inputs, config.seed)
    model = model.to(device)
    return Setup(
        model=model,
        clock=clock,
        batches=batches,
        loss=data_loss(dataset.task, config.regularizer.label_smoothing),
        penalty=Penalty(
            [layer.weight for _, layer in weight_layers(model)],
            l1=config.regularizer.l1,
            l2=config.regularizer.l2,
        ),
        optimizer=config.optimizer.build(model.parameters()),
        probes=tuple(probe.build(model, config.steps) for probe in config.probe),
    )
