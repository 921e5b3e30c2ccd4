"""A network of a run, with every setting at work in it."""

from __future__ import annotations

from typing import Any

from normlab.config import ModelConfig
from normlab.models.chain import Chain
from normlab.models.dropout import Dropout
from normlab.models.kit import Kit
from normlab.models.noise import GaussianNoise
from normlab.norms.base import NormLayer


def build_network(
    model: ModelConfig, kit: Kit, sample_shape: tuple[int, ...], num_outputs: int
) -> Chain:
    """The chain a model makes of a kit, uninitialized, on the current default device.

    Raises:
        ValueError: the model refuses the kit or the data; or it has no place for a normalization,
            dropout or noise that is asked for, so that the run would not be what it is called.
    """
    network = model.build(kit, sample_shape, num_outputs)
    needs: list[tuple[str, Any, tuple[type, ...], str]] = []
    if kit.norm.HAS_LAYERS:
        needs.append(("norm", kit.norm.NAME, (NormLayer,), "layer to normalize"))
    if kit.dropout > 0:
        needs.append(("dropout", kit.dropout, (Dropout,), "place to drop units at"))
    if kit.noise > 0:
        place = "hidden activation to add noise to"
        needs.append(("noise.activation", kit.noise, (GaussianNoise,), place))
    for setting, value, modules, place in needs:
        if not any(isinstance(module, modules) for module in network.modules()):
            off = "none" if setting == "norm" else 0
            raise ValueError(
                f"model={model.NAME}, as it is set, has no {place}; got {setting}={value}. "
                f"Set {setting}={off}."
            )
    return network
