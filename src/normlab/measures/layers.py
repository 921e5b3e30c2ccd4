"""The one total order of a network's weights, in which measures say "earlier" and "later"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

NORMALIZATIONS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""torch's layers whose `weight` is a scale of features, whatever its number of dimensions."""


@dataclass(frozen=True, kw_only=True)
class WeightLayer:
    """One weight and what is learned between it and the next one.

    `name` is the module's ("conv5" for the parameter "conv5.weight"; a weight that is not called
    `weight` keeps its whole name), `index` counts from 1, and `parameters` names the weight and
    the parameters that follow it: its bias, the scale and shift of the normalization behind it.
    """

    index: int
    name: str
    weight: str
    parameters: tuple[str, ...]


def weight_names(network: nn.Module) -> list[str]:
    """Names of the parameters that are weights: at least two dimensions, not a normalization's."""
    owners = dict(network.named_modules())
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.ndim >= 2 and not isinstance(owners[name.rpartition(".")[0]], NORMALIZATIONS)
    ]


def weights_of_layers(network: nn.Module, layers: Iterable[str] | None) -> dict[str, str]:
    """The names of the chosen layers' weights by layer; None: all, in order of registration.

    Raises:
        ValueError: no such layer.
    """
    weights = {name.removesuffix(".weight"): name for name in weight_names(network)}
    chosen = list(weights) if layers is None else list(layers)
    for layer in chosen:
        if layer not in weights:
            raise ValueError(
                f"the network has no weight layer {layer!r}; it has {', '.join(weights)}."
            )
    return {layer: weights[layer] for layer in chosen}


def total_order(network: nn.Module, forward: Callable[[], object]) -> tuple[WeightLayer, ...]:
    """The weights of a network in the order in which a forward pass first computes with them.

    Every other parameter belongs to the weight used last before it; parameters used before the
    first weight belong to that one. A weight that the forward never uses has no place and is
    left out.

    Args:
        forward: runs the network once; it is watched, not changed.

    Raises:
        ValueError: a weight is used in two places, so that "earlier than it" means nothing.
    """
    weights = set(weight_names(network))
    order = _order_of_use(network, weights, forward)
    first = next((name for name in order if name in weights), None)
    if first is None:
        return ()
    members: dict[str, list[str]] = {first: [first]}
    current = first
    for name in order:
        if name in weights:
            current = name
            members.setdefault(name, [name])
        else:
            members[current].append(name)
    return tuple(
        WeightLayer(
            index=index,
            name=weight.removesuffix(".weight"),
            weight=weight,
            parameters=tuple(parameters),
        )
        for index, (weight, parameters) in enumerate(members.items(), start=1)
    )


def select(
    order: Sequence[WeightLayer], names: Sequence[str] | None, network: nn.Module
) -> tuple[WeightLayer, ...]:
    """The layers to measure, in order: the named ones, or all but the first.

    Raises:
        ValueError: an unknown layer, the first one, one that the forward does not use, or a
            network with fewer than two.
    """
    if len(order) < 2:
        raise ValueError(
            "covariate shift is what earlier layers do to a later one: it needs a network of at "
            f"least 2 weight layers; the forward of this one uses {len(order)}."
        )
    used = {layer.name: layer for layer in order}
    idle = {
        weight.removesuffix(".weight")
        for weight in weight_names(network)
        if weight not in {layer.weight for layer in order}
    }
    if names is None and idle:
        raise ValueError(
            f"{_listed(sorted(idle))} does not run in the forward, so it has no place in the "
            "order of layers; remove it from the network or name the layers to measure."
        )
    for name in names or ():
        if name in idle:
            raise ValueError(f"layer {name} does not run in the forward; leave it out of `layers`.")
        if name not in used:
            raise ValueError(
                f"the network has no weight layer {name!r}; it has {_listed(list(used))}."
            )
        if name == order[0].name:
            raise ValueError(
                f"{name} is the first layer: nothing moves before it, so its shift is exactly 0 "
                f"and its cosine 1. Choose from {_listed(list(used)[1:])}."
            )
    return tuple(layer for layer in order[1:] if names is None or layer.name in names)


def _order_of_use(
    network: nn.Module, weights: set[str], forward: Callable[[], object]
) -> list[str]:
    """Parameters by their first use; a weight used in two places is refused."""
    names: dict[int, str] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        other = names.setdefault(id(parameter), name)
        if name != other and other in weights:
            raise _used_twice(f"{other} and {name} are one parameter")
    runs: Counter[str] = Counter()

    def count(name: str) -> Callable[[nn.Module, object], None]:
        return lambda module, inputs: runs.update([name])

    owners = {weight.rpartition(".")[0] for weight in weights}
    handles = [
        module.register_forward_pre_hook(count(name))
        for name, module in network.named_modules()
        if name in owners
    ]
    try:
        with torch.no_grad(), _Uses(names) as uses:
            forward()
    finally:
        for handle in handles:
            handle.remove()
    for name, num_runs in runs.items():
        if num_runs > 1:
            raise _used_twice(f"layer {name} runs {num_runs} times in one forward")
    in_order: dict[str, None] = {}
    current = ""
    for name in uses.sequence:
        if name in weights:
            if name in in_order and name != current:
                raise _used_twice(f"{name} is used again after {current}")
            current = name
        in_order.setdefault(name)
    return list(in_order)


class _Uses(TorchFunctionMode):
    """Notes every parameter that a torch function turns into tensors, call after call.

    Looking at a parameter (its device, its shape) gives no tensor and is not a use.
    """

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self.names = names
        self.sequence: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(True for _ in _tensors(result)):
            used = [*_tensors(args), *_tensors(list((kwargs or {}).values()))]
            self.sequence += [self.names[id(t)] for t in used if id(t) in self.names]
        return result


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _used_twice(what: str) -> ValueError:
    return ValueError(
        f"{what}: a weight needs one place in the order of layers, since Definition 2.1 moves "
        "what comes before it. Give each use a weight of its own."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
