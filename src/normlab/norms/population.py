"""Layers that remember statistics of the batches they were trained on, and how these are taken."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from normlab.config import NormConfig, neutral, setting
from normlab.norms.base import (
    Normalization,
    StepDependent,
    over_batch,
    refuse_single_value,
    statistics_dtype,
)
from normlab.randomness import Stream


@dataclass(frozen=True, kw_only=True)
class PopulationConfig(NormConfig):
    """Fields of every normalization by statistics of the batch."""

    TRAINS_ON_RUNNING_STATISTICS: ClassVar[bool] = False

    momentum: float = setting(
        0.1,
        "Share of the newest batch in the running statistics, as in PyTorch.",
        free_at_start=True,
    )
    population: Literal["ema", "precise", "batch"] = neutral(
        "ema",
        "What evaluation normalizes by: running averages, averages over many batches taken at "
        "the weights evaluated, or the evaluated batch's own statistics.",
        free_at_start=True,
    )
    freeze_after: int | None = neutral(
        None,
        "From this step on training too normalizes by the running averages, which stay as "
        "they are.",
        at_least=0,
        free_at_start=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.momentum <= 1:
            raise ValueError(
                "norm.momentum is the newest batch's share of the running statistics and must be "
                f"greater than 0 and at most 1; got {self.momentum}."
            )
        if self.freeze_after is not None and self.population == "batch":
            raise ValueError(
                "norm.freeze_after freezes the running statistics, which norm.population=batch "
                f"does not use; got freeze_after={self.freeze_after}. Choose "
                "norm.population=ema or precise, or norm.freeze_after=null."
            )

    @property
    def needs_trained_statistics(self) -> bool:
        return self.freeze_after == 0

    @property
    def evaluates_by_batch(self) -> bool:
        return self.population == "batch"

    @property
    def makes_bias_redundant(self) -> bool:
        return True

    def canonical(self) -> Self:
        if self.population == "batch" and not self.TRAINS_ON_RUNNING_STATISTICS:
            return dataclasses.replace(self, momentum=type(self).momentum)
        return self

    def within(self, num_steps: int) -> Self:
        never = self.freeze_after is not None and self.freeze_after >= num_steps
        return dataclasses.replace(self, freeze_after=None) if never else self


class PopulationNorm(Normalization, StepDependent):
    """A normalization by statistics of the batch, with running averages for evaluation.

    running <- (1 - momentum) * running + momentum * batch, where the batch's variance enters
    unbiased (divided by n - 1); it normalizes biased (divided by n).
    """

    UNDONE_BY_GAMMA_AND_BETA: ClassVar[bool] = False
    """Whether gamma and beta can undo what it does in evaluation once the running values are mean
    and biased variance of its inputs, so that `inserted_norms=identity` may put it in."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, config: PopulationConfig) -> None:
        super().__init__(num_features, eps=config.eps, affine=config.affine)
        self.momentum = config.momentum
        self.population = config.population
        self.freeze_after = config.freeze_after
        self.stream: Stream | None = None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def connect(self, stream: Stream) -> None:
        self.stream = stream

    @property
    def step(self) -> int:
        assert self.stream is not None, "the layer follows a clock and has none"
        return self.stream.clock.step

    @property
    def uses_batch(self) -> bool:
        """Whether the layer as it stands normalizes by the statistics of its input."""
        if not self.training:
            return self.population == "batch"
        return self.freeze_after is None or self.step < self.freeze_after

    def reset_parameters(self) -> None:
        """gamma = 1, beta = 0, running mean 0 and variance 1."""
        super().reset_parameters()
        self.running_mean.zero_()
        self.running_var.fill_(1)

    def check(self, shape: torch.Size) -> None:
        """Refuse a batch that has one value a feature."""
        refuse_single_value(
            "batch",
            shape,
            shape.numel() // self.num_features,
            "a feature's values in the batch",
            "Raise batch_size, or choose norm=layer or norm=group.",
        )

    def by_population(self, inputs: Tensor) -> Tensor:
        """The input normalized by the running statistics, as constants."""
        return torch.batch_norm(
            inputs,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            False,
            0.0,
            self.eps,
            torch.backends.cudnn.enabled,
        )

    def affine_after(self, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias of gamma * (scale * x + shift) + beta, which is one affine map of x."""
        if self.weight is not None:
            scale, shift = self.weight * scale, self.weight * shift
        return scale, shift if self.bias is None else self.bias + shift

    def evaluate_by(self, source: Literal["ema", "precise", "batch"]) -> None:
        """Normalize in evaluation by the evaluated batch, or by what the buffers hold."""
        self.population = "batch" if source == "batch" else "ema"

    def moments(self, inputs: Tensor) -> Tensor:
        """Mean and mean square of each feature, (2, C): what may be averaged over batches."""
        values = inputs.to(statistics_dtype(inputs))
        var, mean = torch.var_mean(values, over_batch(inputs), correction=0)
        return torch.stack([mean, var + mean.square()])

    def adopt(self, moments: Tensor) -> None:
        """Take averaged moments as the population's: var = E[x^2] - E[x]^2."""
        mean, square = moments
        self.running_mean.copy_(mean)
        self.running_var.copy_(square - mean.square())


@contextmanager
def precise_statistics(
    model: nn.Module, batches: Iterable[Tensor], *, everywhere: bool = False, quiet: bool = False
) -> Iterator[None]:
    """Evaluate a model by PreciseBN inside a `with` block (Wu & Johnson 2021, section 3).

    Layers with `population=precise` get mean = E[mu_B] and var = E[mu_B^2 + var_B] - E[mu_B]^2 over
    the batches (inputs, weighted by their size), taken in one pass in training mode at the weights
    as they are, every layer normalizing by its own batch. After the block the running statistics
    and the training mode are as they were. A model without such layers is left alone and the
    batches are not read.

    Args:
        everywhere: whatever `population` says, of every layer that has one.
        quiet: in the pass all but the layers with a population is in evaluation mode, so that
            neither noise nor dropout enters their statistics.
    """
    layers = [
        module
        for module in model.modules()
        if isinstance(module, PopulationNorm) and (everywhere or module.population == "precise")
    ]
    if not layers:
        yield
        return
    sources = {layer: layer.population for layer in layers}
    kept = {
        buffer: buffer.clone()
        for module in model.modules()
        if isinstance(module, PopulationNorm)
        for buffer in module.buffers(recurse=False)
    }
    try:
        averages = average_moments(model, layers, batches, quiet=quiet)
        for buffer, value in kept.items():
            buffer.copy_(value)
        for layer, average in averages.items():
            layer.adopt(average)
            layer.evaluate_by("precise")
        yield
    finally:
        for layer, source in sources.items():
            layer.population = source
        for buffer, value in kept.items():
            buffer.copy_(value)


def average_moments(
    model: nn.Module,
    layers: list[PopulationNorm],
    batches: Iterable[Tensor],
    *,
    quiet: bool = False,
) -> dict[PopulationNorm, Tensor]:
    """Each layer's `moments` of its inputs, averaged over samples, in training mode; `quiet`: with
    all else in evaluation mode.

    The running statistics move during the pass; the caller puts them back.
    """
    sums: dict[PopulationNorm, Tensor] = {}
    num_samples = 0

    def add(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(layer, PopulationNorm)
        weighted = layer.moments(inputs[0]).double() * len(inputs[0])
        sums[layer] = sums[layer] + weighted if layer in sums else weighted

    hooks = [layer.register_forward_pre_hook(add) for layer in layers]
    modes = {module: module.training for module in model.modules()}
    try:
        model.train(not quiet)
        for module in modes:
            if isinstance(module, PopulationNorm):
                module.train()
        with torch.no_grad():
            for batch in batches:
                model(batch)
                num_samples += len(batch)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    if num_samples == 0:
        raise ValueError("precise population statistics need at least one batch; got none.")
    return {layer: total / num_samples for layer, total in sums.items()}
