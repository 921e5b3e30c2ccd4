"""A forward pass that can be run again: in parts, and with other weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from normlab.measures.layers import WeightLayer, total_order

Loss = Callable[[Any, Any], Tensor]

READ_ONLY = (nn.Linear, nn.modules.conv._ConvNd)
"""Modules known to leave their input as it is; others may begin with an in-place activation."""


@dataclass(frozen=True)
class RandomState:
    """torch's global generators, on the CPU and on the CUDA devices in use."""

    cpu: Tensor
    cuda: tuple[tuple[torch.device, Tensor], ...]

    @classmethod
    def now(cls, devices: Iterable[torch.device]) -> RandomState:
        return cls(torch.get_rng_state(), tuple((d, torch.cuda.get_rng_state(d)) for d in devices))

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        for device, state in self.cuda:
            torch.cuda.set_rng_state(state, device)


Part = tuple[Callable[[Any], Any], nn.Module | None]
"""A piece of a forward: what it makes of what flows, and the module it runs (None: it only
rearranges what flows)."""


@runtime_checkable
class Parted(Protocol):
    """A module whose forward is its parts, one after the other."""

    def parts(self) -> list[Part]: ...


@dataclass(frozen=True)
class Position:
    """A point between two stages of a forward: what flows there, and the generators' states."""

    stage: int
    flow: Any
    random: RandomState


class Replay:
    """A network's forward at one step, on a private copy.

    The forward is cut into stages where it may be: an `nn.Sequential` (a `Chain` is one) at each
    child, nested ones too; a module with a method `parts()`, such as our residual block, at each
    part; any other module is a single stage. Every stage that runs starts from
    the buffers and the random state as they stood at `capture`, so that running statistics,
    dropout masks and noise are those of the step's own forward. (Randomness drawn outside torch's
    global generators must replay by itself, as `normlab.randomness.Stream` does.)

    The live network is only read. Besides tensors, its modules' plain settings (`training`, and
    every other attribute that is a number, a flag or a string) follow it at each `capture`.

    Args:
        model: the live network; its hooks are copied with it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.network = copy.deepcopy(model).requires_grad_(False)
        self.network.zero_grad()
        self._stages = _stages(self.network)
        self._parameters = dict(self.network.named_parameters())
        self._stage_of = {
            name: index
            for name, parameter in self._parameters.items()
            for index in [_holder(self._stages, parameter)]
        }
        self._buffers = dict(self.network.named_buffers())
        self._captured_buffers = {name: value.clone() for name, value in self._buffers.items()}
        self._buffer_places = [
            (module._buffers, name, value)
            for module in self.network.modules()
            for name, value in module._buffers.items()
            if value is not None
        ]
        devices = {parameter.device for parameter in self._parameters.values()}
        self._cuda_devices = tuple(device for device in devices if device.type == "cuda")
        self._random = self.random_state()
        self._order: tuple[WeightLayer, ...] | None = None

    def capture(self, model: nn.Module) -> None:
        """Take over the network as it stands, and the random state: call it before the forward.

        Raises:
            ValueError: the model is no longer the one that was copied.
        """
        live = dict(model.named_parameters())
        if {name: p.shape for name, p in live.items()} != {
            name: p.shape for name, p in self._parameters.items()
        }:
            raise ValueError(
                "the model's parameters are not those it had when it was copied for measurement; "
                "build a new Replay after changing a model."
            )
        self.load(live)
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                self._captured_buffers[name].copy_(buffer)
        for mine, theirs in zip(self.network.modules(), model.modules(), strict=True):
            copy_settings(theirs, mine)
        self._random = self.random_state()

    def load(self, parameters: Mapping[str, Tensor], names: Iterable[str] | None = None) -> None:
        """Give the copy other values for all, or for the named, parameters."""
        with torch.no_grad():
            for name in parameters if names is None else names:
                self._parameters[name].copy_(parameters[name])

    def order(self, inputs: Any) -> tuple[WeightLayer, ...]:
        """The network's weight layers; watched in a forward the first time, then remembered."""
        if self._order is None:
            start = self.start(inputs)
            self._order = total_order(self.network, lambda: self.advance(start, len(self._stages)))
        return self._order

    def parameter(self, name: str) -> Tensor:
        """A parameter's present value in the copy."""
        return self._parameters[name]

    def random_state(self) -> RandomState:
        """torch's global generators as they stand now."""
        return RandomState.now(self._cuda_devices)

    def stage_of(self, parameter: str) -> int:
        """Index of the stage that holds a parameter."""
        return self._stage_of[parameter]

    def start(self, inputs: Any) -> Position:
        """The position before the first stage."""
        return Position(0, inputs, self._random)

    def advance(self, position: Position, stage: int) -> Position:
        """Run the stages before `stage` with the copy's present parameters, without gradients."""
        if position.stage == stage:
            return position
        with torch.no_grad():
            flow = self._run(position, stage)
        return Position(stage, flow, self.random_state())

    def outputs(self, inputs: Any) -> Any:
        """The whole forward with the copy's present parameters."""
        return self._run(self.start(inputs), len(self._stages))

    def gradient(self, position: Position, weight: str, loss: Loss, targets: Any) -> Tensor:
        """The loss's gradient with respect to one weight alone, from a position before its stage.

        Raises:
            ValueError: the loss is not a single number or does not depend on the weight.
        """
        parameter = self._parameters[weight].requires_grad_(True)
        try:
            with torch.enable_grad():
                value = scalar(loss(self._run(position, len(self._stages)), targets))
                (gradient,) = (
                    torch.autograd.grad(value, parameter, allow_unused=True)
                    if value.requires_grad
                    else (None,)
                )
        finally:
            parameter.requires_grad_(False)
        if gradient is None:
            raise ValueError(f"the loss does not depend on {weight}: it has no gradient.")
        return gradient

    def _run(self, position: Position, stop: int) -> Any:
        position.random.restore()
        self._reset_buffers()
        stages = self._stages[position.stage : stop]
        flow = position.flow
        if stages and stages[0][1] is not None and not isinstance(stages[0][1], READ_ONLY):
            flow = _cloned(flow)
        for run, _ in stages:
            flow = run(flow)
        return flow

    def _reset_buffers(self) -> None:
        for place, name, value in self._buffer_places:
            place[name] = value  # a forward may have put another tensor there
        if self._buffers:
            with torch.no_grad():
                torch._foreach_copy_(
                    list(self._buffers.values()), list(self._captured_buffers.values())
                )


def scalar(loss: Tensor) -> Tensor:
    """The loss itself.

    Raises:
        ValueError: it is not one number.
    """
    if loss.numel() != 1:
        raise ValueError(
            f"the loss must be a single number; it has shape {tuple(loss.shape)}. "
            "Reduce it over the batch, by its mean or its sum."
        )
    return loss


def _stages(module: nn.Module) -> list[Part]:
    """The parts that run one after the other and make up a module's forward."""
    if module._forward_hooks or module._forward_pre_hooks:
        return [(module, module)]
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        return [stage for child in module for stage in _stages(child)]
    if isinstance(module, Parted):
        return module.parts()
    return [(module, module)]


def _holder(stages: list[Part], parameter: Tensor) -> int:
    return next(
        index
        for index, (_, module) in enumerate(stages)
        if module is not None and any(parameter is own for own in module.parameters())
    )


def _cloned(flow: Any) -> Any:
    """Tensors a stage may write to without another pass noticing."""
    if isinstance(flow, Tensor):
        return flow.clone()
    return tuple(map(_cloned, flow)) if isinstance(flow, tuple) else flow


def copy_settings(source: nn.Module, target: nn.Module) -> None:
    """Give a module the plain settings of another: `training`, numbers, flags, strings."""
    for name, value in vars(source).items():
        if value is None or isinstance(value, bool | int | float | str):
            vars(target)[name] = value
