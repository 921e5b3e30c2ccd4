"""What depth does to gradients and to small changes of weights; how far layers depend on others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

import normlab.init
import normlab.norms  # noqa: F401 (register what `init` and `norm` may be)
from normlab.config import choices
from normlab.data import load
from normlab.measures.gradients import cosine
from normlab.models.chain import Chain
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.objectives import data_loss
from normlab.randomness import derive_seed, generator
from normlab.training.setup import training_batches
from normlab.training.trained import Trained

NUM_INPUTS = 128
NUM_UNITS = 100
NUM_CLASSES = 10


def through_depth(
    *, seed: int, activation: str, init: str, norm: str, num_layers: int
) -> pd.DataFrame:
    """A network before training, of hidden layers of 100 units, in float64, in training mode.

    Inputs are 128 vectors from N(0, 1)^100 with random classes of 10, the loss is the
    cross-entropy. Rows: of each hidden layer `signal/gradient`, `signal/change` and
    `signal/change_between_inputs`; of the network `signal/gradient_factor`.
    """
    draws = generator(seed, "inputs")
    inputs = torch.randn(NUM_INPUTS, NUM_UNITS, generator=draws, dtype=torch.float64)
    targets = torch.randint(NUM_CLASSES, (NUM_INPUTS,), generator=draws)
    config = MLPConfig(widths=(NUM_UNITS,) * num_layers, activation=activation)  # type: ignore[arg-type]
    kit = Kit(norm=choices("norm")[norm](), seed=seed)
    network = config.build(kit, (NUM_UNITS,), NUM_CLASSES).double().train()
    choices("init")[init]().apply(network, inputs, seed)
    gradients = backpropagated(network, inputs, targets)
    rows = [_row("signal/gradient", norm, layer) for layer, norm in enumerate(gradients, start=1)]
    factor = (gradients[0] / gradients[-1]) ** (1 / (num_layers - 1))
    return pd.DataFrame(
        [*rows, _row("signal/gradient_factor", factor), *_changes(network, inputs, seed)]
    )


def of_training(*, seed: int, trained: Trained, norm: str, when: str) -> pd.DataFrame:
    """A network of a training run, on its training's batch of that step, in float64.

    Rows of each hidden layer: `signal/others_cosine` and `signal/others_shift`, after one step of
    gradient descent, at the run's learning rate, of all other layers; `signal/change` and
    `signal/change_between_inputs`.
    """
    config = trained.config
    dataset = load(config.data, size=config.image_size(), dtype=torch.float64, device="cpu")
    batch = training_batches(config, dataset, derive_seed(config.seed, "signal_depth", when)).at(0)
    network = copy.deepcopy(trained.model).double().train()
    loss = data_loss(dataset.task, config.regularizer.label_smoothing)

    def gradients() -> list[Tensor]:
        found = loss(network(batch.inputs), batch.targets)
        return list(torch.autograd.grad(found, list(network.parameters())))

    rows: list[dict[str, Any]] = []
    for layer, (own, others) in enumerate(dependence(network, gradients, config.optimizer.lr), 1):
        rows.append(_row("signal/others_cosine", cosine(own, others), layer))
        rows.append(_row("signal/others_shift", ((others - own).norm() / own.norm()).item(), layer))
    return pd.DataFrame([*rows, *_changes(network, batch.inputs, seed)])


def backpropagated(network: Chain, inputs: Tensor, targets: Tensor) -> list[float]:
    """Norms of the loss's gradient in the activations of each hidden layer, from the first on."""
    activations = list(_hidden(network, inputs))
    outputs = network.get_submodule(f"linear{len(activations) + 1}")(activations[-1])
    loss = nn.functional.cross_entropy(outputs, targets)
    return [gradient.norm().item() for gradient in torch.autograd.grad(loss, activations)]


def changes(network: Chain, inputs: Tensor, direction: Tensor) -> list[tuple[float, float]]:
    """How much more the activations of each hidden layer change than the first layer's weights.

    The change of the weights W along `direction` D is infinitely small, so that of the activations
    A is the directional derivative A': the first number is (||A'|| / ||A||) / (||D|| / ||W||). The
    second has A and A' less their means over inputs in the place of both.
    """
    weight = network.get_submodule("linear1").weight
    assert isinstance(weight, Tensor)
    relative = (direction.norm() / weight.norm()).item()
    found = []
    for values in _hidden(network, inputs):
        derivative = _along(values, weight, direction)
        found.append(
            (
                (derivative.norm() / values.norm()).item() / relative,
                (_between(derivative).norm() / _between(values).norm()).item() / relative,
            )
        )
    return found


def _along(values: Tensor, weight: Tensor, direction: Tensor) -> Tensor:
    """The derivative of values along a direction of the weight: v -> J^T v is linear, and what its
    own transpose makes of the direction is J direction."""
    vector = torch.zeros_like(values, requires_grad=True)
    (transposed,) = torch.autograd.grad(values, weight, vector, create_graph=True)
    (derivative,) = torch.autograd.grad(transposed, vector, direction, retain_graph=True)
    return derivative


def _between(values: Tensor) -> Tensor:
    return values - values.mean(0)


def dependence(
    network: nn.Module, gradients: Any, learning_rate: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each hidden layer the gradient in its weight, before and after all others have moved.

    The others' step is -learning_rate times their gradients, all parameters outside the layer and
    its norm included.

    Args:
        gradients: the loss's, in the order of the network's parameters.
    """
    names = [name for name, _ in network.named_parameters()]
    parameters = list(network.parameters())
    start = [parameter.detach().clone() for parameter in parameters]
    before = gradients()
    num_hidden = sum(name.startswith("linear") and name.endswith(".weight") for name in names) - 1
    for layer in range(1, num_hidden + 1):
        own = {f"linear{layer}", f"norm{layer}"}
        with torch.no_grad():
            for name, parameter, gradient in zip(names, parameters, before, strict=True):
                if name.partition(".")[0] not in own:
                    parameter.sub_(gradient, alpha=learning_rate)
        place = names.index(f"linear{layer}.weight")
        after = gradients()[place]
        with torch.no_grad():
            for parameter, value in zip(parameters, start, strict=True):
                parameter.copy_(value)
        yield before[place], after


def _hidden(network: Chain, inputs: Tensor) -> Iterator[Tensor]:
    """The activations of each hidden layer, behind norm and activation."""
    stages = list(network.named_children())
    num_hidden = sum(name.startswith("linear") for name, _ in stages) - 1
    layer, values = 0, inputs
    for name, stage in stages:
        if name.startswith("linear"):
            layer += 1
            if layer > 1:
                yield values
            if layer > num_hidden:
                return
        values = stage(values)


def _changes(network: Chain, inputs: Tensor, seed: int) -> list[dict[str, Any]]:
    shape = network.get_submodule("linear1").weight.shape
    assert isinstance(shape, torch.Size)
    direction = torch.randn(shape, generator=generator(seed, "change"), dtype=torch.float64)
    metrics = ("signal/change", "signal/change_between_inputs")
    return [
        _row(metric, value, layer)
        for layer, both in enumerate(changes(network, inputs, direction), start=1)
        for metric, value in zip(metrics, both, strict=True)
    ]


def _row(metric: str, value: float, layer: int | None = None) -> dict[str, Any]:
    return {"metric": metric, "value": value, "layer": f"layer{layer}" if layer else None}
