"""The parts of a training run, built from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from normlab.config import ResolvedRun, RunConfig
from normlab.data.batches import Batches
from normlab.data.dataset import Dataset
from normlab.models.chain import Chain, weight_layers
from normlab.models.inherit import inherit
from normlab.models.kit import Kit
from normlab.models.network import build_network
from normlab.objectives import Penalty, data_loss
from normlab.probes.base import Probe
from normlab.randomness import Clock, derive_seed
from normlab.training.device import memory_format, parameter_dtype
from normlab.training.evaluation import population_inputs
from normlab.training.optimizers import parameter_groups


@dataclass(frozen=True)
class Setup:
    """What a training step uses; every module that draws random numbers reads the clock."""

    model: Chain
    clock: Clock
    batches: Batches
    population: Batches
    """Batches of the training set, in an order of their own, for precise statistics."""
    loss: Callable[[Tensor, Tensor], Tensor]
    penalty: Penalty
    optimizer: Optimizer
    probes: tuple[Probe, ...]


def build_model(config: RunConfig, clock: Clock) -> Chain:
    """The network a configuration describes, uninitialized, on the current default device."""
    kit = Kit(
        norm=config.norm,
        dropout=config.dropout,
        inverted_dropout=config.inverted_dropout,
        noise=config.noise.activation,
        seed=config.seed,
        clock=clock,
    )
    return build_network(config.model, kit, config.sample_shape(), config.data.num_outputs)


def build(
    config: ResolvedRun,
    dataset: Dataset,
    device: torch.device,
    start: Mapping[str, Tensor] | None = None,
) -> Setup:
    """Model initialized, optimizer and probes ready, at step 0.

    The same seed gives the same initial weights, batches and masks wherever shapes agree.

    Args:
        start: parameters and buffers of the network that `config.start_from` names.
    """
    clock = Clock()
    batches = training_batches(config, dataset, config.seed)
    model = build_model(config, clock)
    dtype = parameter_dtype(config.precision)
    model = model.to(dtype).train()
    first_inputs = batches.at(0).inputs.to("cpu", dtype)
    config.init.apply(model, first_inputs, config.seed)
    population = training_batches(config, dataset, derive_seed(config.seed, "population"))
    if start is not None:
        inputs = (batch.to("cpu", dtype) for batch in population_inputs(population, None))
        inherit(model, start, inputs, inserted=config.inserted_norms)
    model = model.to(device).to(memory_format=memory_format(device))
    return Setup(
        model=model,
        clock=clock,
        batches=batches,
        population=population,
        loss=data_loss(dataset.task, config.regularizer.label_smoothing),
        penalty=penalty_on(config, model),
        optimizer=config.optimizer.build(parameter_groups(model)),
        probes=tuple(probe.build(model, config.steps) for probe in config.probe),
    )


def training_batches(config: RunConfig, dataset: Dataset, seed: int) -> Batches:
    return Batches(
        dataset,
        batch_size=config.batch_size,
        sampling=config.data.sampling,
        augment=config.data.augment,
        order_in_batch=config.data.order_in_batch,
        noise=config.noise.input,
        seed=seed,
    )


def penalty_on(config: RunConfig, model: nn.Module) -> Penalty:
    """The configured penalty on a network's parameters."""
    regularizer = config.regularizer
    parameters = penalized(model, regularizer.include_biases_and_norms)
    return Penalty(parameters, l1=regularizer.l1, l2=regularizer.l2)


def penalized(model: nn.Module, include_biases_and_norms: bool) -> list[Tensor]:
    """What L1 and L2 bear on: the weights of linear and convolutional layers, or everything."""
    if include_biases_and_norms:
        return list(model.parameters())
    return [layer.weight for _, layer in weight_layers(model)]
