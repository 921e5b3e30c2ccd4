"""A network that starts from a trained one, normalized where that one is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from normlab.config import Component, NormConfig, choices
from normlab.models.chain import Chain, weight_layers
from normlab.models.surgery import become_identity, output_statistics
from normlab.norms.base import Normalization, per_feature
from normlab.norms.batch import BatchConfig
from normlab.norms.population import PopulationNorm


def inherit(
    child: Chain,
    parent: Mapping[str, Tensor],
    batches: Iterable[Tensor],
    *,
    inserted: Literal["identity", "reset"],
) -> None:
    """Fill an initialized network with a trained one's parameters and statistics, in place.

    What both have is copied. Normalizations that the parent lacks are inserted:

    - `identity`: running mean and variance (biased) are those of the layer's inputs over the
      batches, the network in evaluation mode and the inserted layers passing their inputs on;
      gamma = sqrt(var + eps) and beta = mean undo them. A bias that the child drops because such a
      layer follows it is added to beta. In evaluation mode the child computes what the parent did
      (the insertion of fast.ai's first course, as in `insert_batch_norm`); in training mode
      the batch's own statistics change the outputs from the first step.
    - `reset`: they stay as initialized, and a bias dropped for them is lost: what batch
      normalization computes in training does not depend on it, and a beta taken from it would not
      be a fresh one. Evaluation by fresh running values, mean 0 and variance 1, is the parent's
      but for eps and these biases; it is training that finds another network.

    A layer that has neither parameters nor buffers (`norm=layer` with `norm.affine=false`) is not
    seen here: the caller compares the configurations.

    Args:
        child: on the CPU, initialized; its modes stay as they are.
        parent: a state_dict.
        batches: inputs of the network; read with `identity` alone, and only where a normalization
            is inserted.

    Raises:
        ValueError: a tensor of the parent has no place in the child, or one of another shape; the
            child has a tensor, not of an inserted normalization, that the parent lacks; an
            inserted normalization cannot be made an identity; there are no batches.
    """
    own = child.state_dict()
    norms, shifts = insertions(child, parent, inserted=inserted)
    with torch.no_grad():
        for name, values in parent.items():
            if name in own:
                own[name].copy_(values)
    if norms:
        _insert(child, norms, shifts, batches)


def insertions(
    child: Chain, parent: Mapping[str, Tensor], *, inserted: Literal["identity", "reset"]
) -> tuple[dict[str, PopulationNorm], dict[str, Tensor]]:
    """What `inherit` would make an identity, by name: layers, and the biases that some take over.

    Nothing is computed, so that networks on the meta device will do.

    Raises:
        ValueError: as `inherit`, but for the batches.
    """
    own = child.state_dict()
    norms = {
        name: module
        for name, module in child.named_modules()
        if isinstance(module, Normalization) and _is_new(module, name, parent)
    }
    dropped = {
        f"{name}.bias": name
        for name, layer in weight_layers(child)
        if norms and layer.bias is None and f"{name}.bias" in parent
    }
    _check_places(own, parent, set(norms), set(dropped))
    if inserted == "reset":
        return {}, {}
    invertible = {name: _invertible(name, norm) for name, norm in norms.items()}
    shifts = {
        _norm_behind(child, layer, norms): parent[bias].detach() for bias, layer in dropped.items()
    }
    return invertible, shifts


_REMEDY = (
    "Start from a run with the same model, number of outputs and norm, or, where that has "
    "norm=none, choose norm=batch here."
)


def _is_new(norm: Normalization, name: str, parent: Mapping[str, Tensor]) -> bool:
    keys = norm.state_dict().keys()
    return bool(keys) and not any(f"{name}.{key}" in parent for key in keys)


def _check_places(
    own: Mapping[str, Tensor], parent: Mapping[str, Tensor], new: set[str], dropped: set[str]
) -> None:
    """Refuse a pair of networks whose tensors do not correspond.

    Args:
        new: modules of the child that the parent lacks.
        dropped: tensors of the parent that the child does without.
    """
    for name in own:
        if name not in parent and name.rpartition(".")[0] not in new:
            raise ValueError(
                f"a network starts from one that has all it has; the parent has no {name}. "
                f"{_REMEDY}"
            )
    for name, values in parent.items():
        if name not in own and name not in dropped:
            raise ValueError(
                "a network has a place for all that the one it starts from has; the parent's "
                f"{name} finds none. {_REMEDY}"
            )
        if name in own and values.shape != own[name].shape:
            raise ValueError(
                "a network starts from one whose tensors have its shapes; the parent's "
                f"{name} has {tuple(values.shape)}, this network's {tuple(own[name].shape)}. "
                f"{_REMEDY}"
            )


def _invertible(name: str, norm: Normalization) -> PopulationNorm:
    """The layer, if its gamma and beta can undo what it does in evaluation."""
    if not isinstance(norm, PopulationNorm) or not norm.UNDONE_BY_GAMMA_AND_BETA:
        *names, last = (one for one, its in choices("norm").items() if _is_batch_norm(its))
        raise ValueError(
            "inserted_norms=identity needs layers that evaluate by running mean and variance, as "
            f"norm={', '.join(names)} and {last} have; {name} is a {type(norm).__name__}. Choose "
            "one of these, or inserted_norms=reset."
        )
    if norm.weight is None:
        raise ValueError(
            f"inserted_norms=identity undoes a layer's statistics by its gamma and beta; {name} "
            "has none. Set norm.affine=true, or inserted_norms=reset."
        )
    if norm.population != "ema":
        raise ValueError(
            "inserted_norms=identity keeps what evaluation by running averages computes; got "
            f"norm.population={norm.population}. Set norm.population=ema, or inserted_norms=reset."
        )
    return norm


def _is_batch_norm(norm: type[Component]) -> bool:
    return issubclass(norm, NormConfig) and norm.EVALUATES_AS == BatchConfig.EVALUATES_AS


def _norm_behind(child: Chain, layer: str, norms: Mapping[str, Normalization]) -> str:
    """The inserted normalization that reads a weight layer's outputs, and alone does."""
    container, _, own_name = layer.rpartition(".")
    stages = [name for name, _ in child.get_submodule(container).named_children()]
    for stage in stages[stages.index(own_name) + 1 :][:1]:
        name = f"{container}.{stage}" if container else stage
        module = child.get_submodule(name)
        while isinstance(module, nn.Sequential):  # such as batch_noisy
            part, module = next(module.named_children())
            name = f"{name}.{part}"
        if name in norms:
            return name
    raise ValueError(
        "inserted_norms=identity moves a bias that a normalization makes redundant into that "
        f"one's beta; no inserted normalization stands right behind {layer}, whose bias the "
        "parent has. Set norm.position=after, which keeps biases, or inserted_norms=reset."
    )


def _insert(
    child: Chain,
    norms: Mapping[str, PopulationNorm],
    shifts: Mapping[str, Tensor],
    batches: Iterable[Tensor],
) -> None:
    """Make normalizations the identity, or the bias given for them."""

    def pass_on(name: str) -> torch.utils.hooks.RemovableHandle:
        def outputs(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> Tensor:
            if name not in shifts:
                return inputs[0]
            return inputs[0] + per_feature(shifts[name].to(inputs[0]), inputs[0])

        return norms[name].register_forward_hook(outputs)

    hooks = [pass_on(name) for name in norms]
    try:
        statistics = output_statistics(child, norms, batches)
    finally:
        for hook in hooks:
            hook.remove()
    for name, (mean, var) in statistics.items():
        become_identity(norms[name], mean, var, shifts.get(name))
