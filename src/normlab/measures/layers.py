"""The one total order of a network's weights, in which measures say "earlier" and "later"."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from normlab.measures.belongings import Belongings
from normlab.measures.uses import Use, uses_of

NORMALIZATIONS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""torch's layers whose `weight` is a scale of features, whatever its number of dimensions."""

WEIGHTED = (
    nn.Linear,
    nn.Bilinear,
    nn.modules.conv._ConvNd,
    nn.modules.rnn.RNNBase,
    nn.modules.rnn.RNNCellBase,
    nn.MultiheadAttention,
    nn.Embedding,
    nn.EmbeddingBag,
)
"""torch's modules that multiply with their parameters of two and more dimensions, or look them
up."""


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


def weight_names(network: nn.Module, weights: Sequence[str] | None = None) -> list[str]:
    """Names of the parameters that are weights, as far as can be told without a forward.

    A weight is what a matrix product or a convolution multiplies with, or what a lookup looks up.
    Of torch's own modules it is known which do; a parameter of any other module is taken for one
    where it has at least two dimensions greater than 1, and its first is not 1, as that of a
    position or class token is: what is broadcast over the batch is no weight.

    Args:
        weights: names of parameters, or of layers, to be taken instead.

    Raises:
        ValueError: no such parameter.
    """
    if weights is not None:
        return chosen_weights(network, weights)
    owners = dict(network.named_modules())
    return [
        name
        for name, parameter in network.named_parameters()
        if _looks_like_a_weight(owners[name.rpartition(".")[0]], name, parameter)
    ]


def chosen_weights(network: nn.Module, weights: Sequence[str]) -> list[str]:
    """The parameters that somebody says are weights, in order of registration.

    Raises:
        ValueError: no such parameter; none at all.
    """
    known = dict(network.named_parameters())
    found = set()
    for name in weights:
        parameter = name if name in known else f"{name}.weight"
        if parameter not in known:
            nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
            raise ValueError(
                f"the network has no parameter {name!r}. Nearest: {_listed(nearest) or 'none'}."
            )
        found.add(parameter)
    if not found:
        raise ValueError("weights names no parameter; name some, or give None for the rule.")
    return [name for name in known if name in found]


def _looks_like_a_weight(owner: nn.Module, name: str, parameter: Tensor) -> bool:
    if parameter.ndim < 2 or isinstance(owner, NORMALIZATIONS):
        return False
    own = name.rpartition(".")[2]
    if isinstance(owner, WEIGHTED) and "weight" in own:
        # Of weight_g and weight_v, the first is a gain (torch.nn.utils.weight_norm).
        return not (own.endswith("_g") and f"{own[:-2]}_v" in owner._parameters)
    return parameter.shape[0] > 1 and sum(size > 1 for size in parameter.shape) > 1


def weights_of_layers(
    network: nn.Module, layers: Iterable[str] | None, weights: Sequence[str] | None = None
) -> dict[str, str]:
    """The names of the chosen layers' weights by layer; None: all, in order of registration.

    Args:
        weights: names of the parameters that count as weights; None: those of `weight_names`.

    Raises:
        ValueError: no such layer.
    """
    found = {layer_name(name): name for name in weight_names(network, weights)}
    chosen = list(found) if layers is None else list(layers)
    for layer in chosen:
        if layer not in found:
            raise ValueError(
                f"the network has no weight layer {layer!r}; it has {', '.join(found)}."
            )
    return {layer: found[layer] for layer in chosen}


def layer_name(weight: str) -> str:
    """A layer's name, from its weight's."""
    return weight.removesuffix(".weight")


def total_order(
    network: nn.Module, forward: Callable[[], object], weights: Sequence[str] | None = None
) -> tuple[WeightLayer, ...]:
    """The weights of a network in the order in which a forward pass first computes with them.

    A weight is what a matrix product or a convolution multiplies the data with, or what the data
    look up, be it as it is, cast, reshaped, cut, standardized or masked: the parameter whose
    entries become the operand's. What is added to the data or scales them elementwise, or scales
    a weight, is none: biases, norm parameters, gains, layer scales, temperatures, positions and
    class tokens. Each of these belongs to the weight used last before it; those used before the
    first weight belong to that one. A weight that the forward never uses has no place and is left
    out.

    Args:
        forward: runs the network once; it is watched, not changed.
        weights: names of the parameters that count as weights instead.

    Raises:
        ValueError: a weight is used in two places, so that "earlier than it" means nothing; no
            parameter of a name in `weights`.
    """
    given = None if weights is None else set(chosen_weights(network, weights))
    uses = uses_of(network, _constants(network), forward)
    found = given or {use.parameter for use in uses if use.is_weight}
    _refuse_second_uses(
        [use for use in uses if use.parameter in found and (use.is_weight or given)], network
    )
    members: dict[str, list[str]] = {}
    early: list[str] = []
    for name in dict.fromkeys(use.parameter for use in uses):
        if name in found:
            members[name] = [name, *early]
            early = []
        elif members:
            members[next(reversed(members))].append(name)
        else:
            early.append(name)
    return tuple(
        WeightLayer(
            index=index, name=layer_name(weight), weight=weight, parameters=tuple(parameters)
        )
        for index, (weight, parameters) in enumerate(members.items(), start=1)
    )


def weights_in(network: nn.Module, forward: Callable[[], object]) -> list[str]:
    """The weights of a network by the rule of `total_order`, in order of registration.

    Of what the forward leaves unused, those that look like weights count (`weight_names`).
    """
    uses = uses_of(network, _constants(network), forward)
    running = {use.parameter for use in uses}
    found = {use.parameter for use in uses if use.is_weight}
    idle = {name for name in weight_names(network) if name not in running}
    return [name for name, _ in network.named_parameters() if name in found | idle]


def select(
    order: Sequence[WeightLayer],
    names: Sequence[str] | None,
    network: nn.Module,
    weights: Sequence[str] | None = None,
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
    running = {parameter for layer in order for parameter in layer.parameters}
    idle = {layer_name(name) for name in weight_names(network, weights) if name not in running}
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


def _refuse_second_uses(uses: Sequence[Use], network: nn.Module) -> None:
    """
    Raises:
        ValueError: a weight is used after another one again, or in another call of a module.
    """
    first: dict[str, Use] = {}
    current = ""
    for use in uses:
        name = use.parameter
        before = first.setdefault(name, use)
        if before.call != use.call and before.module == use.module:
            calls = 1 + len({u.call for u in uses if u.parameter == name} - {before.call})
            names = _names(network, name)
            if len(names) > 1:
                raise _used_twice(f"{' and '.join(names)} are one parameter, used {calls} times")
            raise _used_twice(f"layer {use.module} runs {calls} times in one forward")
        if name != current and before is not use:
            raise _used_twice(
                f"{name} is used again after {current}: in {_called(before.module)} and in "
                f"{_called(use.module)}"
            )
        if before.call != use.call:
            names = _names(network, name)
            what = (
                f"{' and '.join(names)} are one parameter, used"
                if len(names) > 1
                else (f"{name} is used")
            )
            raise _used_twice(f"{what} in {_called(before.module)} and in {_called(use.module)}")
        current = name


def _constants(network: nn.Module) -> list[Tensor]:
    """What a forward reads beside parameters and data."""
    return [t for t in Belongings(network).tensors if not isinstance(t, nn.Parameter)]


def _names(network: nn.Module, parameter: str) -> list[str]:
    """All names of a parameter."""
    wanted = dict(network.named_parameters())[parameter]
    return [
        name for name, other in network.named_parameters(remove_duplicate=False) if other is wanted
    ]


def _called(module: str) -> str:
    return module or "the network's own forward"


def _used_twice(what: str) -> ValueError:
    return ValueError(
        f"{what}: a weight needs one place in the order of layers, since Definition 2.1 moves "
        "what comes before it. Give each use a weight of its own."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
