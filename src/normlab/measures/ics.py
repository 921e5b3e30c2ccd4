"""Internal covariate shift (Santurkar et al. 2018, Definition 2.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from normlab.measures import arguments
from normlab.measures.batches import pair
from normlab.measures.control import repeats, warn_of_control
from normlab.measures.layers import WeightLayer, select
from normlab.measures.replay import Loss, Replay
from normlab.measures.step import hypothetical_step
from normlab.measures.vectors import real_vector

Moved = Literal["all", "weights"]
"""What of the earlier layers takes its step: weights, biases and the parameters of their
normalizations, or the weights alone."""


@dataclass(frozen=True, kw_only=True)
class LayerShift:
    """What the step of the layers before it did to one layer's gradient.

    With L the data loss on the step's batch, W_1 .. W_k the weights in their total order, and the
    superscript the step,

        G  = dL/dW_i (W_1^t, ..., W_k^t)
        G' = dL/dW_i (W_1^{t+1}, ..., W_{i-1}^{t+1}, W_i^t, ..., W_k^t)

    Norms are Euclidean, over the layer's weight alone. What does not exist is NaN.
    """

    layer: str
    index: int
    """Place in the total order, from 1."""
    l2: float
    """||G - G'||; no shift: 0."""
    relative_l2: float
    """||G - G'|| / ||G||; NaN where ||G|| = 0."""
    cosine: float
    """G.G' / sqrt((G.G)(G'.G')); no shift: 1; NaN where a gradient is 0 or they overflow."""
    gradient_norm: float
    """||G||"""
    moved_gradient_norm: float
    """||G'||"""
    update_norm: float
    """||W_i^{t+1} - W_i^t||"""
    control: float
    """||G - G''|| with G'' computed like G' and nothing moved: the noise floor of `l2`."""


@dataclass(frozen=True)
class CovariateShift:
    """Internal covariate shift at one step, a row a layer, in the network's order of layers."""

    rows: tuple[LayerShift, ...]
    repeats: bool | None = None
    """Whether passes with nothing moved gave the step's gradients again, within rounding: else the
    rows measure something of the passes too. None where no control was taken."""

    def __getitem__(self, layer: str) -> LayerShift:
        """The row of a layer, by name."""
        return next(row for row in self.rows if row.layer == layer)


def measure_ics(
    model: nn.Module,
    loss: Loss,
    batch: tuple[Any, Any],
    optimizer: torch.optim.Optimizer,
    *,
    layers: Sequence[str] | None = None,
    control: bool = True,
    moved: Moved = "all",
    add_penalty: Callable[[nn.Module], None] | None = None,
    weights: Sequence[str] | None = None,
) -> CovariateShift:
    """Internal covariate shift of the step that the optimizer would take on this batch.

        model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        shift = measure_ics(model, nn.functional.cross_entropy, (inputs, targets), optimizer)
        for row in shift.rows:
            print(row.layer, row.l2, row.cosine)

    The step is hypothetical: the model and the optimizer take it on private copies of their
    tensors, with all their hooks, and are afterwards as before, as are gradients, buffers, the
    batch and the random generators (`normlab.measures.borrowed`). Modules run in the mode
    (training or evaluation) they are in. The first layer has no row: nothing moves before it, so
    its shift is exactly 0 and its cosine 1.

    Args:
        loss: (outputs, targets) -> the data loss, a single number. A penalty on weights that is
            part of it counts as loss; weight decay inside the optimizer does not.
        batch: (inputs, targets), each whatever `model` and `loss` take as one argument.
        optimizer: holds parameters of `model`; its `step` needs no closure.
        layers: names of the layers to measure; None: all from the second on.
        control: also compute each layer's gradient with nothing moved.
        moved: "weights" leaves biases and norm parameters of earlier layers where they are.
        add_penalty: adds to `.grad` of the model it is given what the step follows beside the
            loss; G and G' are of the loss alone.
        weights: names of the parameters that count as weights; None: those that `total_order`
            finds.

    Raises:
        ValueError: a weight used twice, a layer that is frozen, does not run or gets no gradient,
            a loss that is not a single number, an optimizer of another model or whose step needs a
            closure or cannot be taken back, a batch that is not (inputs, targets).

    Warns:
        UserWarning: the control is far above rounding (see `CovariateShift.repeats`).
    """
    arguments.names("layers", layers)
    arguments.one_of("moved", moved, Moved)
    return hypothetical_shift(
        Replay(model, weights=weights),
        model,
        loss,
        batch,
        optimizer,
        layers=layers,
        controls=None if control else (),
        moved=moved,
        add_penalty=add_penalty,
    )


def hypothetical_shift(
    replay: Replay,
    model: nn.Module,
    loss: Loss,
    batch: tuple[Any, Any],
    optimizer: torch.optim.Optimizer,
    *,
    layers: Sequence[str] | None = None,
    controls: Sequence[str] | None = None,
    moved: Moved = "all",
    add_penalty: Callable[[nn.Module], None] | None = None,
) -> CovariateShift:
    """As `measure_ics`, on a replay of the model, which is captured anew."""
    replay.capture(model)
    step = hypothetical_step(model, loss, batch, optimizer, add_penalty)
    return covariate_shift(
        replay,
        loss,
        batch,
        gradients=step.gradients,
        after=step.after,
        layers=layers,
        controls=controls,
        moved=moved,
    )


def covariate_shift(
    replay: Replay,
    loss: Loss,
    batch: tuple[Any, Any],
    *,
    gradients: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    layers: Sequence[str] | None = None,
    controls: Sequence[str] | None = None,
    moved: Moved = "all",
) -> CovariateShift:
    """Internal covariate shift of a step that was taken.

    What comes before a layer takes its whole update: weights, biases, and the parameters of
    normalizations; with moved="weights" the weights alone. Activations under the new parameters
    are carried forward once; each layer's pass starts at its stage, and no gradient is formed but
    that of its weight.

    Args:
        replay: captured before the step's forward (theta_t); holds theta_{t+1} partly afterwards.
        gradients: G by parameter name, from the step's backward, before penalties and clipping.
        after: theta_{t+1}, every parameter by name.
        layers: names of the layers to measure; None: all from the second on.
        controls: names of the layers whose zero-move control is taken too; None: all measured.

    Raises:
        ValueError: as `measure_ics`.
    """
    arguments.names("layers", layers)
    arguments.one_of("moved", moved, Moved)
    inputs, targets = pair(batch)
    batch = inputs, targets
    # The live parameters themselves, as a rule, which are about to point elsewhere.
    after = {name: value.detach() for name, value in after.items()}
    with replay.lent(loss):
        order = replay.order(inputs)
        measured = select(order, layers, replay.network, replay.weights)
        for layer in measured:
            _require_gradient(layer, gradients, replay)
        controlled = [layer for layer in measured if controls is None or layer.name in controls]
        unmoved = _gradients(replay, loss, batch, order, controlled)
        before = {layer.weight: replay.parameter(layer.weight).clone() for layer in measured}
        shifted = _gradients(replay, loss, batch, order, measured, after=after, moved=moved)
    products = []
    for layer in measured:
        gradient = real_vector(gradients[layer.weight])
        moved_gradient = real_vector(shifted[layer.weight])
        control = unmoved.get(layer.weight)
        products.append(
            torch.stack(
                [
                    _square(gradient - moved_gradient),
                    _square(gradient),
                    _square(moved_gradient),
                    torch.dot(gradient, moved_gradient),
                    _square(real_vector(after[layer.weight]) - real_vector(before[layer.weight])),
                    _square(gradient - (real_vector(control) if control is not None else math.nan)),
                ]
            )
        )
    # One transfer from the device for all layers.
    rows = torch.stack(products).tolist()
    parameters = list(replay.network.parameters())
    found = tuple(_row(layer, *row) for layer, row in zip(measured, rows, strict=True))
    far = [
        row.layer for row in found if repeats(row.control, row.gradient_norm, parameters) is False
    ]
    if far:
        warn_of_control(f"covariate shift of {', '.join(far)}")
    return CovariateShift(found, repeats=not far if controlled else None)


def _gradients(
    replay: Replay,
    loss: Loss,
    batch: tuple[Any, Any],
    order: Sequence[WeightLayer],
    layers: Sequence[WeightLayer],
    *,
    after: Mapping[str, Tensor] | None = None,
    moved: Moved = "all",
) -> dict[str, Tensor]:
    """Each layer's gradient with everything before it at `after` (None: where it is)."""
    inputs, targets = batch
    gradients = {}
    position = replay.start(inputs)
    num_moved = 0
    for layer in layers:
        if after is not None:
            for earlier in order[num_moved : layer.index - 1]:
                replay.load(after, earlier.parameters if moved == "all" else (earlier.weight,))
            num_moved = layer.index - 1
        position = replay.advance(position, replay.stage_of(layer.weight))
        gradients[layer.weight] = replay.gradient(position, layer.weight, loss, targets)
    return gradients


def _require_gradient(layer: WeightLayer, gradients: Mapping[str, Tensor], replay: Replay) -> None:
    if layer.weight in gradients:
        return
    if not replay.live[layer.weight].requires_grad:
        raise ValueError(
            f"layer {layer.name} is frozen (requires_grad is False), so it has no gradient to "
            "compare; unfreeze it, or name the layers to measure without it."
        )
    raise ValueError(
        f"layer {layer.name} has no gradient after the backward pass: the loss does not depend on "
        "it. Name the layers to measure without it."
    )


def _square(vector: Tensor) -> Tensor:
    return torch.dot(vector, vector)


def _row(
    layer: WeightLayer,
    difference: float,
    gradient: float,
    moved: float,
    product: float,
    update: float,
    control: float,
) -> LayerShift:
    """A layer's numbers from the squares of its vectors and the product of its two gradients."""
    l2 = math.sqrt(difference)
    norm = math.sqrt(gradient)
    norms = math.sqrt(gradient * moved)
    return LayerShift(
        layer=layer.name,
        index=layer.index,
        l2=l2,
        relative_l2=l2 / norm if norm else math.nan,
        cosine=product / norms if 0 < norms < math.inf else math.nan,
        gradient_norm=norm,
        moved_gradient_norm=math.sqrt(moved),
        update_norm=math.sqrt(update),
        control=math.sqrt(control),
    )
