"""The size of gradients, and how well one batch's agrees with others'."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.measures import arguments
from normlab.measures.batches import Batch, pair
from normlab.measures.layers import weights_of_layers
from normlab.measures.replay import Loss, Replay
from normlab.measures.vectors import real_vector


@dataclass(frozen=True, kw_only=True)
class LayerGradients:
    """One weight's gradients over replicate mini-batches g_1 .. g_K at the same parameters."""

    layer: str
    norm: float
    """||g_1||, on the first batch."""
    signal_to_noise: float
    """See `Replicates`; NaN of a single batch."""
    num_batches: int


def measure_gradients(
    model: nn.Module,
    loss: Loss,
    batches: Iterable[Batch],
    *,
    layers: Sequence[str] | None = None,
    weights: Sequence[str] | None = None,
) -> tuple[LayerGradients, ...]:
    """Gradients of every weight over mini-batches of one size, a row a layer.

        batches = [next(loader) for _ in range(8)]
        for row in measure_gradients(model, nn.functional.cross_entropy, batches):
            print(row.layer, row.norm, row.signal_to_noise)

    They are as a backward pass leaves them, after hooks on parameters. Parameters, `.grad`,
    buffers, the batches and the random generators stay as they are.

    Args:
        loss: (outputs, targets) -> a single number.
        batches: of (inputs, targets); an iterator is read to its end.
        layers: names of the layers to measure; None: all.
        weights: names of the parameters that count as weights; None: those that the rule of
            `total_order` finds, in order of registration.

    Raises:
        ValueError: no batch, no such layer, a layer without a gradient, a loss of several numbers.
    """
    arguments.names("layers", layers)
    pairs = [pair(batch) for batch in batches]
    if not pairs:
        raise ValueError("gradients need at least one batch; got none.")
    replay = Replay(model)
    if weights is None:
        weights = replay.weights_in(pairs[0][0])
    replicates: dict[str, Replicates] = {}
    norms: dict[str, float] = {}
    for batch in pairs:
        found = gradients_of(replay.gradients(loss, batch), model, layers, weights)
        for name, gradient in found.items():
            norms.setdefault(name, norm(gradient))
            replicates.setdefault(name, Replicates()).add(gradient)
    return tuple(
        LayerGradients(
            layer=name,
            norm=norms[name],
            signal_to_noise=replicate.signal_to_noise(),
            num_batches=len(pairs),
        )
        for name, replicate in replicates.items()
    )


def gradients_of(
    gradients: dict[str, Tensor],
    model: nn.Module,
    layers: Iterable[str] | None,
    weights: Sequence[str] | None = None,
) -> dict[str, Tensor]:
    """The chosen layers' gradients by layer, from gradients by parameter.

    Raises:
        ValueError: no such layer, or one without a gradient.
    """
    chosen = weights_of_layers(model, layers, weights)
    for layer, weight in chosen.items():
        if weight not in gradients:
            frozen = not dict(model.named_parameters())[weight].requires_grad
            reason = "it is frozen (requires_grad is False)" if frozen else "the loss ignores it"
            raise ValueError(
                f"layer {layer} has no gradient after the backward pass: {reason}. Name the "
                "layers to measure without it."
            )
    return {layer: gradients[weight] for layer, weight in chosen.items()}


def norm(gradient: Tensor) -> float:
    """Euclidean, summed in double precision."""
    return math.sqrt(_square(real_vector(gradient)))


def cosine(one: Tensor, other: Tensor) -> float:
    """a.b / sqrt((a.a)(b.b)) in double precision; NaN where one is zero or they overflow."""
    a, b = real_vector(one), real_vector(other)
    product = float(torch.dot(a, b))
    norms = math.sqrt(_square(a) * _square(b))
    return product / norms if 0 < norms < math.inf else math.nan


class Replicates:
    """Running mean and spread of one weight's gradients over mini-batches (Welford 1962).

    With m = mean of g_k and S = sum ||g_k - m||^2 / (K - 1), the noise of a mini-batch's gradient
    is estimated by S and the signal by ||m||^2 - S / K, both without bias (McCandlish et al. 2018,
    App. A; there 1 / ratio, times the batch size, is the simple noise scale).
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: Tensor | None = None
        self._spread: Tensor | None = None

    def add(self, gradient: Tensor) -> None:
        vector = real_vector(gradient)
        self._count += 1
        if self._mean is None or self._spread is None:
            self._mean, self._spread = vector.clone(), vector.new_zeros(())
            return
        change = vector - self._mean
        self._mean += change / self._count
        self._spread += torch.dot(change, vector - self._mean)

    def signal_to_noise(self) -> float:
        """(||m||^2 - S / K) / S: 1 where signal and noise of one batch are alike, at or below 0
        where the noise hides the signal; NaN of fewer than two batches or without any spread."""
        if self._count < 2 or self._mean is None or self._spread is None:
            return math.nan
        noise = float(self._spread) / (self._count - 1)
        if not 0 < noise < math.inf:
            return math.nan
        return (_square(self._mean) - noise / self._count) / noise


def _square(vector: Tensor) -> float:
    return float(torch.dot(vector, vector))
