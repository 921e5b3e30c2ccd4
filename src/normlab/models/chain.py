"""A network as a chain of named stages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from torch import nn

NamedModule = tuple[str, nn.Module]
"""A stage of a network, by its name there; as `nn.Module.named_modules` gives them."""


class Chain(nn.Sequential):
    """Stages run one after the other, in the order in which they are registered.

    The order holds inside residual blocks too (branch first, then shortcut), so that the order
    of `named_modules()` is the one total order of layers that measurements speak of.
    """

    def __init__(self, stages: Mapping[str, nn.Module] | Sequence[NamedModule]) -> None:
        named = OrderedDict(stages)
        assert len(named) == len(stages), "a name is used twice"
        super().__init__(named)


WeightModule = nn.Linear | nn.modules.conv._ConvNd
"""Any module of torch with a weight matrix or kernel."""


def weight_layers(model: nn.Module) -> list[tuple[str, WeightModule]]:
    """(name, module) of every layer with a weight matrix or kernel, in order of registration.

    These are the linear and convolutional layers, the output layer among them; normalizations
    are not.
    """
    return [
        (name, module) for name, module in model.named_modules() if isinstance(module, WeightModule)
    ]
